"""Sessions: the id that an answer tells, and a client with several of them as a state machine."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, multiple, rule

from conformance.chat import OMIT
from conformance.fields import shown
from conformance.reply import dig
from conformance.verdict import Mismatch

if TYPE_CHECKING:
    from conformance.chat import Chat
    from conformance.reply import Reply

__all__ = ["Conversations", "echoes", "is_new", "session", "told"]


def session(reply: Reply) -> str:
    """The answer's session id, in small letters; a stream's chunks may not disagree. Raises Mismatch."""
    bodies = [chunk.value for chunk in reply.chunks] if reply.streamed else [reply.body]
    found = {shown(dig(body, "session_id")) for body in bodies if dig(body, "session_id") is not None}
    if len(found) != 1:
        raise Mismatch("one session_id", f"{len(found)}: {', '.join(sorted(found)) or 'none'}", reply.exchange)
    value = found.pop().strip('"')
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise Mismatch("a session_id that is a UUID", shown(value), reply.exchange) from None


def told(reply: Reply) -> str | None:
    """The session id of a whole answer; of a stream only where its chunks have one, as the page shows no chunk."""
    if reply.streamed and all(dig(chunk.value, "session_id") is None for chunk in reply.chunks):
        return None
    return session(reply)


def echoes(wanted: str, reply: Reply) -> None:
    """Raise Mismatch where an answer tells another session than its request named."""
    found = told(reply)
    if found is not None and found != wanted:
        raise Mismatch(f"the session_id of the request, {wanted}", found, reply.exchange)


def is_new(minted: str, seen: set[str], reply: Reply) -> None:
    """Raise Mismatch where a session was seen before; it is seen from now on."""
    if minted in seen:
        raise Mismatch("a new session_id for a request without one", f"{minted}, seen before", reply.exchange)
    seen.add(minted)


class Conversations(RuleBasedStateMachine):
    """A client that names sessions of its own, lets the target open some, and comes back to any, streamed or not."""

    known = Bundle("known")

    def __init__(self, chat: Chat) -> None:
        super().__init__()
        self.chat = chat
        self.seen: set[str] = set()

    @rule(target=known, name=st.uuids().map(str), stream=st.booleans())
    def begin(self, *, name: str, stream: bool) -> str:
        """Name a session that the target has not heard of."""
        self.seen.add(name)
        echoes(name, self._ask(stream=stream, session_id=name))
        return name

    @rule(target=known, nothing=st.sampled_from([OMIT, None]), stream=st.booleans())
    def open(self, *, nothing: Any, stream: bool) -> Any:  # noqa: ANN401 - OMIT or null; an id or no more than that
        """Name none, so that the target opens one that is new."""
        reply = self._ask(stream=stream, session_id=nothing)
        minted = told(reply)
        if minted is None:
            return multiple()
        is_new(minted, self.seen, reply)
        return minted

    @rule(name=known, stream=st.booleans())
    def come_back(self, *, name: str, stream: bool) -> None:
        """Go on in a session that is known, whoever opened it."""
        echoes(name, self._ask(stream=stream, session_id=name))

    def _ask(self, *, stream: bool, session_id: Any) -> Reply:  # noqa: ANN401 - a string, null or OMIT
        return self.chat.stream(session_id=session_id) if stream else self.chat.ask(session_id=session_id)
