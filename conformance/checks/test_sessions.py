from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from conformance.chat import HI, OMIT, brief
from conformance.fields import shown
from conformance.registry import check
from conformance.reply import dig
from conformance.values import text
from conformance.verdict import Inconclusive, Mismatch

if TYPE_CHECKING:
    from conformance.chat import Chat
    from conformance.explore import Explorer
    from conformance.reply import Reply

Json = dict[str, Any]
PATIENCE = 30.0
LARGE_BUDGET_MS = 60_000
KNOWN_LATE = (503, 504)
LABELS = st.dictionaries(text(), text(), max_size=4)


@st.composite
def conversations(draw: st.DrawFn) -> list[tuple[str | None, bool]]:
    """Steps of a client with two sessions: (the session's id, or None for a new one; whether it streams)."""
    sessions = [str(draw(st.uuids())) for _ in range(2)]
    steps = st.tuples(st.sampled_from([None, *sessions]), st.booleans())
    return draw(st.lists(steps, min_size=2, max_size=4))


def _session(reply: Reply) -> str:
    """The answer's session id, in small letters; a stream's chunks may not disagree."""
    bodies = [chunk.value for chunk in reply.chunks] if reply.streamed else [reply.body]
    found = {shown(dig(body, "session_id")) for body in bodies if dig(body, "session_id") is not None}
    if len(found) != 1:
        raise Mismatch("one session_id", f"{len(found)}: {', '.join(sorted(found)) or 'none'}", reply.exchange)
    value = found.pop().strip('"')
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise Mismatch("a session_id that is a UUID", shown(value), reply.exchange) from None


def _told(reply: Reply) -> str | None:
    """The session id of a whole answer; of a stream only where its chunks have one, as the page shows no chunk."""
    if reply.streamed and all(dig(chunk.value, "session_id") is None for chunk in reply.chunks):
        return None
    return _session(reply)


@check("sessions.echo", smoke=True)
def test_echo(chat: Chat, explore: Explorer) -> None:
    """An answer has the session_id of its request, whatever was asked in other sessions before."""
    known = str(uuid.uuid4())
    _echoes(known, chat.ask(session_id=known))
    if explore.examples > 1:
        explore(conversations(), lambda steps: _converse(chat, steps))


def _converse(chat: Chat, steps: list[tuple[str | None, bool]]) -> None:
    """Walk through the steps; a request without a session gets one that was never seen before."""
    seen = {session for session, _ in steps if session}
    for session, stream in steps:
        named = session or OMIT
        reply = chat.stream(session_id=named) if stream else chat.ask(session_id=named)
        if session:
            _echoes(session, reply)
        elif (minted := _told(reply)) is not None:
            _is_new(minted, seen, reply)


def _echoes(session: str, reply: Reply) -> None:
    told = _told(reply)
    if told is not None and told != session:
        raise Mismatch(f"the session_id of the request, {session}", told, reply.exchange)


def _is_new(minted: str, seen: set[str], reply: Reply) -> None:
    if minted in seen:
        raise Mismatch("a new session_id for a request without one", f"{minted}, seen before", reply.exchange)
    seen.add(minted)


@check("sessions.minted")
def test_minted(chat: Chat) -> None:
    """Without a session_id, and with null, every answer has a new one, a UUID."""
    seen: set[str] = set()
    for value in (OMIT, OMIT, None):
        reply = chat.ask(session_id=value)
        _is_new(_session(reply), seen, reply)


@check("sessions.labels")
def test_labels(chat: Chat, explore: Explorer) -> None:
    """Labels are taken: any map of strings to strings, an empty one too."""
    chat.ask(labels={})
    explore(LABELS, lambda labels: _labelled(chat, labels))


def _labelled(chat: Chat, labels: dict[str, str]) -> None:
    chat.ask(labels=labels)


@check("sessions.metadata-alias")
def test_metadata_alias(chat: Chat) -> None:
    """Labels and metadata at once, equal, apart or at odds, are taken or refused, never a server error."""
    for labels, metadata in (({"k": "v"}, {"k": "v"}), ({"k": "v"}, {"m": "w"}), ({"k": "v"}, {"k": "w"})):
        chat.survived(chat.post(chat.body(labels=labels, metadata=metadata)))


@check("sessions.completion-id-history")
def test_completion_id_history(chat: Chat) -> None:
    """An earlier answer, sent back with its completion_id in the same session, is taken, and the session stays."""
    session = str(uuid.uuid4())
    first = chat.ask(session_id=session)
    completion = dig(first.body, "choices", 0, "completion_id")
    if not isinstance(completion, str):
        raise Inconclusive(f"the first answer has no completion_id to send back: {brief(first.exchange)}")
    said = {"role": "assistant", "content": first.text, "completion_id": completion}
    history = [{"role": "user", "content": HI}, said, {"role": "user", "content": "And again, please."}]
    _echoes(session, chat.ask(history, session_id=session))


@check("sessions.ttft-budget")
def test_ttft_budget(chat: Chat) -> None:
    """A large max_ttft_ms is kept; a tiny one is answered soon, by an answer or by an error, never by silence."""
    reply = chat.stream(max_ttft_ms=LARGE_BUDGET_MS)
    first = next((chunk.timed.t * 1000 for chunk in reply.chunks), None)
    if first is None or first > LARGE_BUDGET_MS:
        observed = "no chunk" if first is None else f"the first chunk after {first:.0f} ms"
        raise Mismatch(f"the first chunk within {LARGE_BUDGET_MS} ms", observed, reply.exchange)
    for budget in (0, 1):
        for stream in (False, True):
            exchange = chat.post(chat.body(max_ttft_ms=budget, stream=stream), total=PATIENCE)
            ended = exchange.status is not None and (exchange.status < 500 or exchange.status in KNOWN_LATE)
            if not ended or exchange.seconds > PATIENCE:
                expected = f"an answer, a 4xx, 503 or 504 within {PATIENCE:g} s for max_ttft_ms {budget}"
                raise Mismatch(expected, f"{brief(exchange)} after {exchange.seconds:.1f} s", exchange)


@check("sessions.streaming-typo")
def test_streaming_typo(chat: Chat) -> None:
    """A request that says streaming in place of stream is answered, as one document or as a stream."""
    exchange = chat.post(chat.body(streaming=True))
    if not exchange.ok or exchange.media_type not in ("application/json", "text/event-stream"):
        raise Mismatch("a 2xx answer, one JSON document or an event stream", brief(exchange), exchange)
