from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from conformance.capability import excused, honoured, streaming, whole
from conformance.chat import OMIT, SHORT, STORY
from conformance.fields import shown
from conformance.registry import check, oracle
from conformance.reply import asked, dig
from conformance.verdict import Inconclusive, Mismatch, NotApplicable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.chat import Chat
    from conformance.explore import Explorer
    from conformance.reply import Choice, Reply
    from conformance.wire.exchange import Exchange
    from dialects import Dialect

Json = dict[str, Any]
ROUNDING = 1e-4
CLOSE = 0.05  # servers round, and some score a token apart from its alternatives
MASS = 1.01
LOWEST = -1e30
MOST = 20
BYTE = 256


def _scored(chat: Chat, *, stream: bool = False, top: int | None = 3) -> Reply:
    """An answer with log probabilities, asked once a run."""
    chat.offered("logprobs")
    room = chat.room(SHORT)
    more = chat.asking_usage if stream else {}
    top_logprobs = OMIT if top is None else top
    body = chat.body(STORY, tokens=room, logprobs=True, stream=stream, top_logprobs=top_logprobs, **more)
    exchange: Exchange = chat.memo(f"logprobs {stream} {top}", lambda: chat.post(body))
    return (streaming if stream else honoured)(chat, exchange)


def _tokens(reply: Reply, choice: Choice) -> list[Json]:
    """The choice's tokens, which must be there where it has a text."""
    if not choice.logprobs:
        excused(choice)
        where = "any chunk" if reply.streamed else "logprobs.content"
        raise Mismatch("log probabilities of the tokens, as logprobs true asks", f"no token in {where}", reply.exchange)
    return choice.logprobs


def _spelt(tokens: list[Json]) -> bytes:
    """The bytes of all tokens; of one without bytes its text."""
    return b"".join(_bytes(token) for token in tokens)


def _bytes(token: Json) -> bytes:
    numbers = token.get("bytes")
    if isinstance(numbers, list) and all(isinstance(n, int) and 0 <= n < BYTE for n in numbers):
        return bytes(numbers)
    text = token.get("token")
    return text.encode("utf-8", "replace") if isinstance(text, str) else b""


def _parted(token: Json) -> bool:
    """Whether a token is a part of a character and does not say in its bytes which."""
    text = token.get("token")
    return not isinstance(token.get("bytes"), list) and isinstance(text, str) and "\ufffd" in text


def _covers(reply: Reply, choice: Choice) -> None:
    """The tokens spell the text; white space around it and a token for its end may be left out of the text."""
    tokens = _tokens(reply, choice)
    if any(_parted(token) for token in tokens):
        return  # nobody can tell what these spell
    spelt = _spelt(tokens)
    text = choice.text.strip()
    # Bytes that are no UTF-8 become U+FFFD in a text and stay as they are in the tokens: both are right.
    if text.encode("utf-8", "replace") not in spelt and text not in spelt.decode("utf-8", "replace"):
        observed = f"{shown(spelt.decode('utf-8', 'replace'))} for the text {shown(choice.text)}"
        raise Mismatch("tokens that spell the text", observed, reply.exchange)


@check("logprobs.present")
def test_present(chat: Chat) -> None:
    """With logprobs every token of the text has its log probability, whether alternatives are asked for, or none."""
    for top in (None, 3, 0):
        reply = _scored(chat, top=top)
        for choice in reply.choices:
            _covers(reply, choice)


@check("logprobs.streamed")
def test_streamed(chat: Chat) -> None:
    """The chunks of a stream have the log probabilities of their tokens."""
    reply = _scored(chat, stream=True)
    for choice in reply.choices:
        _covers(reply, choice)


@check("logprobs.every-choice")
def test_every_choice(chat: Chat) -> None:
    """Each of several choices has the log probabilities of its tokens, with a stop sequence asked for beside them."""
    chat.offered("n", "logprobs")
    body = chat.body(logprobs=True, n=2, stop=["\u2603never"])
    reply = honoured(chat, chat.post(body))
    for choice in reply.choices:
        _covers(reply, choice)


@check("logprobs.values")
def test_values(chat: Chat) -> None:
    """Log probabilities are finite and not above 0, add up to no more than certainty, and bytes spell their token."""
    for stream in (False, True):
        reply = _scored(chat, stream=stream)
        for choice in reply.choices:
            for token in _tokens(reply, choice):
                for problem in _problems(token):
                    raise Mismatch(
                        "finite log probabilities of at most 0, and bytes of the token", problem, reply.exchange
                    )


def _problems(token: Json) -> Iterator[str]:
    top = dig(token, "top_logprobs")
    others = top if isinstance(top, list) else []
    strays = [other for other in others if not isinstance(other, dict)]
    if strays:
        yield f"the alternative {shown(strays[0])}"
        return
    for entry in (token, *others):
        if not _is_log_probability(entry.get("logprob")):
            yield f"logprob {shown(entry.get('logprob'))} of the token {shown(entry.get('token'))}"
            return
        yield from _misspelt(entry)
    told = [(shown(other.get("token")), shown(other.get("bytes")), other["logprob"]) for other in others]
    if len(set(told)) < len(told):
        yield f"the same alternative twice: {max(told, key=told.count)[0]}"
    own = [other["logprob"] for other in others if _same(other, token)]
    if own and min(abs(value - token["logprob"]) for value in own) > CLOSE:
        yield f"logprob {shown(token['logprob'])} of {shown(token['token'])}, {shown(own[0])} as its own alternative"
    mass = sum(math.exp(other["logprob"]) for other in others)
    if mass > MASS:
        yield f"alternatives with a probability of {mass:.3f} together"


def _same(other: Json, token: Json) -> bool:
    """Whether an alternative is the token itself; parts of characters may share a text."""
    text = token.get("token")
    return (
        isinstance(text, str) and "\ufffd" not in text and all(other.get(n) == token.get(n) for n in ("token", "bytes"))
    )


def _is_log_probability(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and LOWEST <= value <= ROUNDING  # false for NaN, too


def _misspelt(entry: Json) -> Iterator[str]:
    """Bytes that are a whole text must be the token's; parts of characters have no text of their own."""
    numbers, text = entry.get("bytes"), entry.get("token")
    if not isinstance(numbers, list) or not isinstance(text, str):
        return
    if not all(isinstance(n, int) and 0 <= n < BYTE for n in numbers):
        yield f"bytes {shown(numbers)}"
        return
    try:
        spelt = _bytes(entry).decode("utf-8")
    except UnicodeDecodeError:
        return
    if spelt != text:
        yield f"bytes {shown(numbers)} of the token {shown(text)}"


@check("logprobs.top-count")
def test_top_count(chat: Chat, explore: Explorer) -> None:
    """Every position has at most top_logprobs alternatives, and some where some were asked for, from 0 to 20."""
    shown_any = [_counted(chat, top) for top in (0, MOST)]
    shown_any.append(_counted(chat, MOST, stream=True))
    if explore.examples > 1:
        explore(st.integers(1, MOST - 1), lambda top: shown_any.append(_counted(chat, top)))
    if not any(shown_any):
        raise Inconclusive("every request with top_logprobs was refused, or brought no log probabilities")


def _counted(chat: Chat, top: int, *, stream: bool = False) -> bool:
    """Whether the target answered with that many alternatives at most; a refusal, or no token at all, shows nothing."""
    try:
        reply = _scored(chat, top=top, stream=stream)
    except Inconclusive:
        return False
    for choice in reply.choices:
        lists = [token.get("top_logprobs") for token in choice.logprobs]
        if not lists:
            return False
        counts = [len(found) if isinstance(found, list) else 0 for found in lists]
        if max(counts) > top or (top and not max(counts)):
            expected = f"up to {top} alternatives for each token" if top else "no alternatives"
            raise Mismatch(expected, f"from {min(counts)} to {max(counts)}", reply.exchange)
    return True


@check("logprobs.absent-unasked")
def test_absent_unasked(chat: Chat) -> None:
    """Without logprobs in the request no log probabilities come."""
    for reply in (chat.plain(), chat.streamed()):
        holders = [reply.body] if not reply.streamed else [chunk.value for chunk in reply.chunks]
        for holder in holders:
            choices = dig(holder, "choices")
            for choice in choices if isinstance(choices, list) else []:
                if dig(choice, "logprobs", "content"):
                    raise Mismatch("no log probabilities", shown(dig(choice, "logprobs")), reply.exchange)


@oracle("logprobs.asked")
def test_asked(reply: Reply, dialect: Dialect) -> None:
    """Every choice that was asked for log probabilities has those of its text, and no more tokens than its limit."""
    sent = asked(reply.exchange)
    spoken = [choice for choice in reply.choices if choice.text.strip() and not choice.calls]
    if sent.get("logprobs") is not True or not spoken:
        raise NotApplicable("no log probabilities were asked for, or no text came")
    whole(reply)
    limits = [n for name in dialect.request.token_limits if isinstance(n := sent.get(name), int) and n > 0]
    for choice in spoken:
        _covers(reply, choice)
        if limits and len(choice.logprobs) > max(limits):
            expected = f"at most {max(limits)} tokens, the limit, in choice {choice.index}"
            raise Mismatch(expected, f"{len(choice.logprobs)}", reply.exchange)
