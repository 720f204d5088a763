from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.capability import excused
from conformance.chat import REPEATED_TOKENS, STORY, brief
from conformance.fields import Field
from conformance.registry import check, oracle
from conformance.reply import asked, dig
from conformance.sayings import repeated
from conformance.verdict import Inconclusive, Mismatch, NotApplicable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.chat import Chat
    from conformance.reply import Reply
    from dialects import Dialect

OK = 200
SECOND = 1.0
FEW, MANY = 64, 4096
GROWN, REPEATED, GROWTHS, LOOKED = 12, 40, 3, 2000
LONG_STORY = "Write a story of 5000 words about a lighthouse keeper and the sea."


@check("stream.content-type", smoke=True)
def test_content_type(chat: Chat) -> None:
    """A streamed answer has the status 200 and the media type text/event-stream."""
    exchange = chat.post(chat.body(stream=True), headers={"accept": "text/event-stream"})
    if exchange.ok and exchange.media_type != "text/event-stream":
        raise Mismatch("media type text/event-stream", f"{exchange.media_type or 'none'}", exchange)
    given = [value for name, value in exchange.headers if name.lower() == "content-type"]
    if len(given) > 1:
        raise Mismatch("one media type", " and ".join(given), exchange)
    chat.accepted(exchange)
    if exchange.status != OK:
        raise Mismatch("status 200", brief(exchange), exchange)


@oracle("stream.framing")
def test_framing(stream: Reply) -> None:
    """Every event ends with a blank line and holds fields that the standard knows, in UTF-8; none lacks its data."""
    decoder, events = stream.exchange.decoded
    if decoder.overflow:
        raise Mismatch("events of sane size", f"an event of more than {decoder.limit} bytes", stream.exchange)
    if not events and stream.exchange.body.strip():
        raise Mismatch(
            "events, each ended by a blank line", f"none in {len(stream.exchange.body)} bytes", stream.exchange
        )
    if decoder.unfinished and not stream.exchange.error:
        raise Mismatch(
            "a blank line after the last event", "the stream ends inside an event, which readers drop", stream.exchange
        )
    if decoder.oddities:
        offset, what = decoder.oddities[0]
        raise Mismatch("fields of server-sent events in UTF-8", f"{what} at byte {offset}", stream.exchange)
    if decoder.dataless > len(events) / 2:  # now and then it is a sign of life, which readers pass over
        raise Mismatch(
            "data in every event",
            "an event type without data (its data line is cut off by a blank line)",
            stream.exchange,
        )
    glued = next((t.event for t in events if "\n" in t.event.data and t.event.data.lstrip().startswith("{")), None)
    if glued is not None and len([line for line in glued.data.split("\n") if line.startswith("{")]) > 1:
        raise Mismatch(
            "a blank line between chunks", f"several chunks in one event at byte {glued.start}", stream.exchange
        )


@oracle("stream.json-chunks")
def test_json_chunks(stream: Reply) -> None:
    """Every event but [DONE] is one JSON object."""
    for chunk in stream.chunks:
        if not isinstance(chunk.value, dict):
            data = chunk.timed.event.data
            raise Mismatch(
                "a JSON object in every event", f"{data[:100]!r} at byte {chunk.timed.event.start}", stream.exchange
            )


@oracle("stream.done")
def test_done(stream: Reply) -> None:
    """The stream ends with exactly one [DONE], and nothing follows it."""
    _unbroken(stream)
    events = stream.exchange.decoded[1]
    if len(stream.done) != 1:
        raise Mismatch("exactly one [DONE]", f"{len(stream.done)}", stream.exchange)
    if stream.done[0] != len(events) - 1:
        after = events[stream.done[0] + 1].event
        raise Mismatch("nothing after [DONE]", f"{after.data[:80]!r} at byte {after.start}", stream.exchange)


@oracle("stream.field", per="path")
def test_field(stream: Reply, dialect: Dialect, path: str) -> None:
    """The member of a chunk is as the document says: there, of its type, one of its values."""
    field = Field.of(dialect, "chunk", path)
    for number, chunk in stream.distinct:
        if not isinstance(chunk.value, dict) or "error" in chunk.value:
            continue
        problem = next(field.problems(chunk.value), None)
        if problem:
            raise Mismatch(f"in every chunk {field.expectation}", f"in chunk {number}: {problem}", stream.exchange)


@oracle("stream.id-constant")
def test_id_constant(stream: Reply) -> None:
    """All chunks of one stream have the same id."""
    _constant(stream, "id")


@oracle("stream.model-constant")
def test_model_constant(stream: Reply) -> None:
    """All chunks of one stream name the same model."""
    _constant(stream, "model")


@oracle("stream.created-constant")
def test_created_constant(stream: Reply) -> None:
    """All chunks of one stream have the same time of creation."""
    _constant(stream, "created")


@oracle("stream.session-id-constant")
def test_session_id_constant(stream: Reply) -> None:
    """All chunks of one stream have the same session id, the one that was asked for if any was."""
    _constant(stream, "session_id")
    wanted = asked(stream.exchange).get("session_id")
    found = next((c.value.get("session_id") for c in stream.chunks if isinstance(c.value, dict)), None)
    if isinstance(wanted, str) and isinstance(found, str) and found.lower() != wanted.lower():
        raise Mismatch(f"session_id {wanted!r}", f"{found!r}", stream.exchange)


@oracle("stream.finish-once")
def test_finish_once(stream: Reply) -> None:
    """Each choice of a stream ends with exactly one finish reason, and no text of it follows."""
    _unbroken(stream)
    if not stream.choices:
        raise Mismatch("a choice with a finish reason", "no choice at all", stream.exchange)
    for choice in stream.choices:
        if len(choice.finishes) != 1:
            found = ", ".join(map(repr, choice.finishes)) or "none"
            raise Mismatch(f"exactly one finish reason in choice {choice.index}", found, stream.exchange)
    finished: set[int] = set()
    for raw in _deltas(stream):
        index = _index(raw)
        if index in finished and (dig(raw, "delta", "content") or dig(raw, "delta", "tool_calls")):
            raise Mismatch(f"nothing of choice {index} after its finish reason", f"{str(raw)[:100]}", stream.exchange)
        if isinstance(raw.get("finish_reason"), str) and isinstance(index, int):
            finished.add(index)


@oracle("stream.role-first")
def test_role_first(stream: Reply) -> None:
    """The first delta of each choice names the role assistant."""
    seen: set[Any] = set()
    for raw in _deltas(stream):
        index = _index(raw)
        if index not in seen:
            seen.add(index)
            role = dig(raw, "delta", "role")
            if role != "assistant":
                raise Mismatch(f"role 'assistant' in the first delta of choice {index}", f"{role!r}", stream.exchange)


@oracle("stream.role-once")
def test_role_once(stream: Reply) -> None:
    """A choice's role is named once, in its first delta."""
    for choice in stream.choices:
        if len(choice.roles) > 1:
            raise Mismatch("the role once", f"{len(choice.roles)} times in choice {choice.index}", stream.exchange)


@oracle("stream.delta-not-message")
def test_delta_not_message(stream: Reply) -> None:
    """Every choice of a chunk has an object `delta` and no `message`."""
    for raw in _deltas(stream):
        if not isinstance(raw.get("delta"), dict) or "message" in raw:
            raise Mismatch("a delta object and no message", f"{str(raw)[:100]}", stream.exchange)


@check("stream.text-present", smoke=True)
def test_text_present(chat: Chat) -> None:
    """The deltas of a simple answer make a text."""
    reply = chat.streamed()
    excused(reply.choice())
    if not reply.text:
        raise Mismatch("a text in the deltas", f"none in {len(reply.chunks)} chunks", reply.exchange)


@oracle("stream.incremental")
def test_incremental(stream: Reply) -> None:
    """Each delta adds to the text: none repeats all that was sent before."""
    texts: dict[Any, str] = {}
    last: dict[Any, str] = {}
    grown: dict[Any, int] = {}
    for raw in _deltas(stream):
        index, content = _index(raw), dig(raw, "delta", "content")
        if not isinstance(content, str) or not content:
            continue
        before, previous = texts.get(index, ""), last.get(index, "")
        # New text may begin like the piece before it once or twice by chance, not again and again and ever longer.
        grows = bool(previous) and len(content) > len(previous) and content.startswith(previous)
        grown[index] = grown.get(index, 0) + 1 if grows else 0
        whole_again = len(before) >= REPEATED and content.startswith(before)
        if (whole_again or (grown[index] >= GROWTHS and len(content) >= GROWN)) and not _goes_round(content):
            raise Mismatch("only new text in each delta", f"the text so far again: {content[:80]!r}", stream.exchange)
        texts[index], last[index] = before + content, content


def _goes_round(text: str) -> bool:
    """Whether a text says the same over and over, as a weak model may: any piece of it begins like any other."""
    text = text[:LOOKED]
    return any(text.startswith(text[period:]) for period in range(1, len(text) // 2 + 1))


@check("stream.equals-plain")
def test_equals_plain(chat: Chat) -> None:
    """The same request streamed and not gives the same finish reason and, where answers repeat at all, the same text."""
    ask: dict[str, Any] = {"temperature": 0} if chat.dialect.documents("temperature") else {}
    whole, again = map(chat.accepted, chat.repeated(2, **ask))
    streamed = chat.stream(STORY, tokens=REPEATED_TOKENS, **ask)
    if whole.finish != again.finish or whole.text != again.text:
        raise Inconclusive("two whole answers to the same request differ, so a streamed one may")
    if whole.finish is not None and streamed.finish != whole.finish and not chat.unfinished(streamed):
        raise Mismatch(f"finish reason {whole.finish!r}, as not streamed", f"{streamed.finish!r}", streamed.exchange)
    _equal(streamed, whole)
    _equal_awkward(chat)


def _equal(streamed: Reply, whole: Reply) -> None:
    """Raise Mismatch where the texts differ, with the place where they begin to."""
    here, there = streamed.text, whole.text
    if here == there:
        return
    at = next((i for i, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), min(len(here), len(there)))
    around = slice(max(0, at - 10), at + 30)
    raise Mismatch(
        f"the text that comes not streamed ({len(there)} characters)",
        f"another from character {at}: {here[around]!r} for {there[around]!r}",
        streamed.exchange,
    )


def _equal_awkward(chat: Chat) -> None:
    """The same of a text with line ends, runs of white space and rare characters; whole answers to it that differ show nothing."""
    whole, streamed = repeated(chat, stream=False), repeated(chat, stream=True)
    if streamed.text != whole.text and repeated(chat, stream=False, again=True).text == whole.text:
        _equal(streamed, whole)


@check("stream.progressive")
def test_progressive(chat: Chat) -> None:
    """Text comes while it is generated: in a generation of at least one second it is spread, not dumped at the end."""
    reply = chat.memo("long stream", lambda: _long_stream(chat))
    times = [chunk.timed.t for chunk in reply.chunks if any(dig(c, "delta", "content") for c in chunk.choices)]
    total = reply.exchange.seconds
    if len(times) < 8 or total < SECOND:
        raise Inconclusive(f"the generation took {total:.2f} s in {len(times)} chunks: too little to tell")
    if times[0] > 0.9 * total and times[-1] - times[0] < 0.1 * total:
        raise Mismatch(
            "the first text well before the last",
            f"all {len(times)} chunks in the last {times[-1] - times[0]:.3f} s of {total:.2f} s",
            reply.exchange,
        )


@check("stream.n-choices")
def test_n_choices(chat: Chat) -> None:
    """A stream with n = 2 has chunks of both indexes, each with one finish reason."""
    chat.offered("n")
    exchange = chat.choices(2, stream=True, **chat.asking_usage)
    if not exchange.ok and exchange.status is not None and exchange.status < 500:
        raise Inconclusive(
            f"n = 2 is refused with status {exchange.status}: what cannot be honoured is rightly refused"
        )
    reply = chat.accepted(exchange)
    if [choice.index for choice in reply.choices] != [0, 1]:
        raise Mismatch("chunks of the indexes 0 and 1", f"{[choice.index for choice in reply.choices]}", exchange)
    for choice in reply.choices:
        if len(choice.finishes) != 1:
            raise Mismatch(f"one finish reason in choice {choice.index}", f"{choice.finishes}", exchange)
        excused(choice)
        if not choice.text:
            raise Mismatch(f"a text in choice {choice.index}", "none", exchange)


@check("stream.error-not-after-200", smoke=True)
def test_error_not_after_200(chat: Chat) -> None:
    """A bad request that asks for a stream is refused with its status, not with an event in a 200 stream."""
    body = chat.body(stream=True)
    body.pop("messages")
    cause = chat.dialect.cause("missing_field")
    chat.refused(chat.post(body), *(cause.status if cause else ()))


@oracle("stream.no-truncation")
def test_no_truncation(stream: Reply) -> None:
    """A stream ends by the rules: no broken connection, no error event, a finish reason in what came."""
    exchange = stream.exchange
    if exchange.error:
        raise Mismatch(
            "a stream that ends by the rules",
            f"it broke off after {len(stream.chunks)} chunks ({exchange.error})",
            exchange,
        )
    error = next(
        (chunk.value["error"] for chunk in stream.chunks if isinstance(chunk.value, dict) and chunk.value.get("error")),
        None,
    )
    if error is not None:
        raise Mismatch("a stream without an error event", f"{str(error)[:120]}", exchange)
    if not stream.chunks:
        raise Mismatch("chunks", "none", exchange)


def _index(raw: dict[str, Any]) -> int:
    """The index of a choice; 0 for what is none, which the row of choices.index judges."""
    index = raw.get("index", 0)
    return index if isinstance(index, int) else 0


def _unbroken(stream: Reply) -> None:
    """Leave broken streams to stream.no-truncation."""
    if stream.exchange.error or any(isinstance(c.value, dict) and c.value.get("error") for c in stream.chunks):
        raise NotApplicable("the stream broke off")


def _deltas(stream: Reply) -> Iterator[dict[str, Any]]:
    for chunk in stream.chunks:
        yield from chunk.choices


def _constant(stream: Reply, name: str) -> None:
    values = [
        chunk.value[name]
        for chunk in stream.chunks
        if isinstance(chunk.value, dict) and chunk.value.get(name) is not None
    ]
    if not values:
        raise NotApplicable(f"no chunk has {name}")
    other = next((value for value in values if value != values[0]), None)
    if other is not None:
        raise Mismatch(f"{name} {values[0]!r} in every chunk", f"{other!r}", stream.exchange)


def _long_stream(chat: Chat) -> Reply:
    """A stream of at least a second, if the target's pace allows within a sane number of tokens."""
    tokens = FEW
    reply = chat.stream(LONG_STORY, tokens=tokens)
    while reply.exchange.seconds < SECOND and tokens < MANY and reply.finish == "length":
        tokens = min(MANY, int(tokens * 1.5 * SECOND / max(reply.exchange.seconds, 0.01)) + 1)
        reply = chat.stream(LONG_STORY, tokens=tokens)
    return reply
