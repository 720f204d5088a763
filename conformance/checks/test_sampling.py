from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

from conformance.capability import honoured
from conformance.chat import brief
from conformance.fields import shown
from conformance.registry import check
from conformance.schema import spots
from conformance.verdict import Inconclusive, Mismatch

if TYPE_CHECKING:
    from conformance.chat import Chat
    from conformance.reply import Reply

Json = dict[str, Any]
SEED = 20_077
PENALTIES = ("frequency_penalty", "presence_penalty")
ENDS = (-2, 2)
ODD = (2.5, -100)
STRANGE_BIASES: tuple[Json, ...] = ({"999999999": 100}, {"-1": 5}, {"0": -100, "2147483648": 1}, {"not-a-token": 1})


def _repeated(chat: Chat, times: int, **fields: Any) -> list[Reply]:  # noqa: ANN401 - JSON
    """The same request so many times, asked once a run."""
    return [honoured(chat, exchange) for exchange in chat.repeated(times, **fields)]


def _equal(replies: list[Reply]) -> bool:
    return len({reply.text for reply in replies}) == 1


@check("sampling.temperature-zero-repeats")
def test_temperature_zero_repeats(chat: Chat) -> None:
    """At temperature 0 the same request gives the same text."""
    if _equal(_repeated(chat, 2, temperature=0)):
        return
    replies = _repeated(chat, 3, temperature=0)
    if any(a.text == b.text for a, b in combinations(replies, 2)):
        raise Inconclusive("two of three answers at temperature 0 are equal, one is not")
    texts = ", ".join(shown(reply.text) for reply in replies)
    raise Mismatch("equal answers at temperature 0", f"three different ones: {texts}", replies[-1].exchange)


@check("sampling.seed-repeats")
def test_seed_repeats(chat: Chat) -> None:
    """The same request with the same seed gives the same text, where the target can repeat itself at all."""
    first, second = _repeated(chat, 2, temperature=1, seed=SEED)
    if first.text == second.text:
        return
    marks = {shown(reply.body.get("system_fingerprint")) for reply in (first, second)}
    if len(marks) > 1:
        raise Inconclusive(f"two backends answered: system_fingerprint {' and '.join(sorted(marks))}")
    if not _equal(_repeated(chat, 2, temperature=0)):
        raise Inconclusive("the target does not repeat itself at temperature 0 either")
    observed = f"{shown(first.text)} and {shown(second.text)}"
    raise Mismatch(f"the same text twice for seed {SEED}", observed, second.exchange)


@check("sampling.penalties-accepted")
def test_penalties_accepted(chat: Chat) -> None:
    """Penalties of -2 and 2 give an answer; where the document states no range, odder ones break nothing either."""
    for value in ENDS:
        reply = chat.ask(frequency_penalty=value, presence_penalty=value)
        if reply.finish is None:
            raise Mismatch("an answer that finishes", brief(reply.exchange), reply.exchange)
    for odd in () if _bounded(chat) else ODD:
        chat.survived(chat.post(chat.body(frequency_penalty=odd, presence_penalty=-odd)))


def _bounded(chat: Chat) -> bool:
    """Whether the document gives the penalties a range."""
    root = chat.dialect.schemas["request"]
    return all("maximum" in spot.rule for name in PENALTIES for spot in spots(root, name))


@check("sampling.logit-bias-safe")
def test_logit_bias_safe(chat: Chat) -> None:
    """A bias for tokens that do not exist is ignored or refused, and the next request is answered."""
    for bias in STRANGE_BIASES:
        chat.survived(chat.post(chat.body(logit_bias=bias)))
    chat.accepted(chat.post(chat.body()))
