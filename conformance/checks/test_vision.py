from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from PIL import Image

from conformance.capability import honoured, lever_model
from conformance.chat import brief
from conformance.fields import shown
from conformance.registry import check
from conformance.sayings import LONGER, SLACK, length, prompt_tokens
from conformance.verdict import Mismatch, NotApplicable

if TYPE_CHECKING:
    from conformance.chat import Chat
    from conformance.explore import Explorer
    from conformance.reply import Reply
    from conformance.wire.exchange import Exchange

Json = dict[str, Any]
ASKED = "What do you see? Answer in one sentence."
SIDES = st.integers(32, 160)
PICTURES = st.tuples(st.sampled_from(("PNG", "JPEG")), SIDES, SIDES, st.sampled_from(("red", "navy", "#40c0a0")))


def _picture(kind: str, width: int, height: int, colour: str) -> bytes:
    """An image file: a coloured field with a white square in it."""
    image = Image.new("RGB", (width, height), colour)
    image.paste("white", (width // 4, height // 4, width // 2, height // 2))
    file = BytesIO()
    image.save(file, kind)
    return file.getvalue()


def _uri(data: bytes, kind: str = "PNG") -> str:
    return f"data:image/{kind.lower()};base64,{base64.b64encode(data).decode()}"


def _message(chat: Chat, uri: str) -> list[Json]:
    """A user message of a text and an image, in the form of the dialect."""
    form = chat.dialect.request.image_parts
    if form == "none":
        raise NotApplicable("the document has no image parts")
    image = {"type": "image_url", "image_url": {"url": uri} if form == "object" else uri}
    return [{"role": "user", "content": [{"type": "text", "text": ASKED}, image]}]


def _seeing(chat: Chat) -> str:
    """The model to show images to."""
    chat.offered("vision")
    return chat.profile.models.get("vision", chat.target.model)


def _show(chat: Chat, uri: str, model: str, **fields: Any) -> Exchange:  # noqa: ANN401 - JSON
    return chat.post(chat.body(_message(chat, uri), tokens=32, **{"model": model, "temperature": 0, **fields}))


@check("vision.image-accepted")
def test_image_accepted(chat: Chat, explore: Explorer) -> None:
    """PNG and JPEG images of any usual size are taken, streamed or not, and they count: they are not just dropped."""
    model = _seeing(chat)
    blind = chat.memo("vision blind", lambda: chat.ask(ASKED, tokens=32, model=model, temperature=0))
    chat.accepted(_streamed(chat, model))
    if explore.examples > 1:
        explore(PICTURES, lambda picture: _seen(chat, model, picture, blind))
    else:
        _seen(chat, model, ("JPEG", 64, 48, "navy"), blind)


def _seen(chat: Chat, model: str, picture: tuple[str, int, int, str], blind: Reply) -> None:
    """Show a picture; the same answer for the same number of prompt tokens as without it means that it was dropped."""
    reply = chat.accepted(_show(chat, _uri(_picture(*picture), picture[0]), model))
    counts = reply.count("prompt_tokens"), blind.count("prompt_tokens")
    if counts[0] is not None and counts[0] <= (counts[1] or 0) and reply.text == blind.text:
        observed = (
            f"{counts[0]} prompt tokens with the image, {counts[1]} without it, and both times {shown(reply.text)}"
        )
        raise Mismatch("an answer to the image", observed, reply.exchange)


def _streamed(chat: Chat, model: str) -> Exchange:
    """What comes, streamed and counted, of a small picture; asked once a run."""
    uri = _uri(_picture("PNG", 64, 48, "red"))
    exchange: Exchange = chat.memo("vision streamed", lambda: _show(chat, uri, model, stream=True, **chat.asking_usage))
    return exchange


def _counted(chat: Chat, model: str) -> Reply:
    """The answer to that picture: the streamed one where it has a count, else one that came whole."""
    reply = honoured(chat, _streamed(chat, model))
    if reply.count("prompt_tokens") is not None:
        return reply
    return honoured(chat, _show(chat, _uri(_picture("PNG", 64, 48, "red")), model))


@check("vision.every-part")
def test_every_part(chat: Chat) -> None:
    """Every part of a message reaches the model: the texts before and after images, and each of two images."""
    model = _seeing(chat)
    blind = chat.memo("vision blind", lambda: chat.ask(ASKED, tokens=32, model=model, temperature=0))
    text, seen = length(chat), _counted(chat, model)
    [*_, image] = _message(chat, _uri(_picture("PNG", 64, 48, "red")))[0]["content"]
    long = {"type": "text", "text": LONGER}
    body = chat.body([{"role": "user", "content": [long, image, image, long]}], tokens=32, model=model, temperature=0)
    reply = honoured(chat, chat.post(body))
    none, one, all_of_it = map(prompt_tokens, (blind, seen, reply))
    picture = max(0, one - none)  # some do not count images
    least = 2 * (text + picture) - SLACK * (min(text, picture) or text)
    if all_of_it < least:
        expected = f"at least {least:.0f} prompt tokens, as each image has {picture} and each text {text}"
        raise Mismatch(expected, f"{all_of_it}", reply.exchange)


@check("vision.bad-image")
def test_bad_image(chat: Chat) -> None:
    """An image that cannot be decoded is refused with the documented status, streamed or not, and nothing breaks."""
    model = _seeing(chat)
    cause = chat.dialect.cause("bad_image")
    statuses = cause.status if cause else ()
    broken = {
        "broken base64": "data:image/png;base64,@@@@not-base64@@@@",
        "bytes that are no image": _uri(b"this is no image at all, only text"),
        "an image cut after 20 bytes": _uri(_picture("PNG", 64, 48, "red")[:20]),
    }
    for uri in broken.values():
        chat.refused(_show(chat, uri, model), *statuses)
    chat.refused(_show(chat, broken["bytes that are no image"], model, stream=True), *statuses)


@check("vision.text-model-refuses")
def test_text_model_refuses(chat: Chat) -> None:
    """A model that only reads text refuses an image."""
    model = lever_model(chat, "text_only", "a model that takes no images")
    exchange = _show(chat, _uri(_picture("PNG", 64, 48, "red")), model)
    absent = chat.dialect.cause("unknown_model")
    allowed = exchange.status in (absent.status if absent else ())  # nobody there who could see: as good as no model
    if exchange.status is None or not (400 <= exchange.status < 500 or allowed):
        raise Mismatch("a 4xx status for an image to a model that only reads text", brief(exchange), exchange)
