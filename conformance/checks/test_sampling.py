from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from conformance.capability import honoured
from conformance.chat import brief
from conformance.fields import shown
from conformance.registry import check
from conformance.verdict import Inconclusive, Mismatch

if TYPE_CHECKING:
    from conformance.chat import Chat
    from conformance.explore import Explorer
    from conformance.reply import Reply

Json = dict[str, Any]
ASKED = "Write a short story about a lighthouse."
TOKENS = 24
SEED = 20_077
PENALTY = st.floats(-2, 2).map(lambda value: round(value, 2))
ENDS = (-2, 2)
STRANGE_BIASES: tuple[Json, ...] = ({"999999999": 100}, {"-1": 5}, {"0": -100, "2147483648": 1}, {"not-a-token": 1})


def _repeated(chat: Chat, times: int, **fields: Any) -> list[Reply]:  # noqa: ANN401 - JSON
    """The same request so many times, asked once a run."""
    name = f"sampling {sorted(fields.items())}"
    replies: list[Reply] = chat.memo(name, list)
    while len(replies) < times:
        replies.append(honoured(chat, chat.post(chat.body(ASKED, tokens=TOKENS, **fields))))
    return replies[:times]


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
def test_penalties_accepted(chat: Chat, explore: Explorer) -> None:
    """Penalties at the ends of their range, and anywhere between, give an answer."""
    for value in ENDS:
        _penalised(chat, (value, value))
    if explore.examples > 1:
        explore(st.tuples(PENALTY, PENALTY), lambda pair: _penalised(chat, pair))


def _penalised(chat: Chat, pair: tuple[float, float]) -> None:
    reply = chat.ask(frequency_penalty=pair[0], presence_penalty=pair[1])
    if reply.finish is None:
        raise Mismatch("an answer that finishes", brief(reply.exchange), reply.exchange)


@check("sampling.logit-bias-safe")
def test_logit_bias_safe(chat: Chat) -> None:
    """A bias for tokens that do not exist is ignored or refused, and the next request is answered."""
    for bias in STRANGE_BIASES:
        chat.survived(chat.post(chat.body(logit_bias=bias)))
    chat.accepted(chat.post(chat.body()))
