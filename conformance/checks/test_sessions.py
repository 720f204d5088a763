from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from conformance.chat import HI, OMIT, brief
from conformance.registry import check
from conformance.reply import dig
from conformance.sessions import Conversations, echoes, is_new, session
from conformance.values import text
from conformance.verdict import Inconclusive, Mismatch

if TYPE_CHECKING:
    from conformance.chat import Chat
    from conformance.explore import Explorer

Json = dict[str, Any]
STEPS = 6
PATIENCE = 30.0
LARGE_BUDGET_MS = 60_000
KNOWN_LATE = (503, 504)
LABELS = st.dictionaries(text(), text(), max_size=4)


@check("sessions.echo", smoke=True)
def test_echo(chat: Chat, explore: Explorer) -> None:
    """An answer has the session_id of its request, whatever was asked in other sessions before."""
    known = str(uuid.uuid4())
    echoes(known, chat.ask(session_id=known))
    if explore.examples > 1:
        explore.walk(lambda: Conversations(chat), walks=explore.examples, steps=STEPS)


@check("sessions.minted")
def test_minted(chat: Chat) -> None:
    """Without a session_id, and with null, every answer has a new one, a UUID."""
    seen: set[str] = set()
    for value in (OMIT, OMIT, None):
        reply = chat.ask(session_id=value)
        is_new(session(reply), seen, reply)


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
    name = str(uuid.uuid4())
    first = chat.ask(session_id=name)
    completion = dig(first.body, "choices", 0, "completion_id")
    if not isinstance(completion, str):
        raise Inconclusive(f"the first answer has no completion_id to send back: {brief(first.exchange)}")
    said = {"role": "assistant", "content": first.text, "completion_id": completion}
    history = [{"role": "user", "content": HI}, said, {"role": "user", "content": "And again, please."}]
    echoes(name, chat.ask(history, session_id=name))


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
