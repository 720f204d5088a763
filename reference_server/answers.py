"""Answers on the wire: one JSON document, or a stream of events and every way in which it can end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from reference_server import sse
from reference_server.engine import Text, Usage
from reference_server.errors import ApiError
from reference_server.generation import Gone, Stopping, while_wanted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.types import Receive, Scope, Send

    from reference_server.chat import Chat
    from reference_server.engine import Event
    from reference_server.journal import Visit
    from reference_server.keys import Key
    from reference_server.wire import Order, Stamp

__all__ = ["EventStream", "Plain", "Trail"]


@dataclass(slots=True)
class Trail:
    """What one answer remembers on its way; alterations may keep notes in `memo`."""

    order: Order
    stamp: Stamp
    visit: Visit
    key: Key
    memo: dict[Any, Any] = field(default_factory=dict)


class Plain(Response):
    """One JSON document, written at once or in the pieces that an alteration cuts."""

    def __init__(self, chat: Chat, trail: Trail, document: Any, status: int, headers: dict[str, str]) -> None:  # noqa: ANN401
        self._alterations = chat.context.alterations
        self._trail = trail
        super().__init__(chat.dumps(document), status, headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the document."""
        await asyncio.sleep(self._alterations.apply("delay", 0, self._trail))
        if not self._alterations.any("write"):
            await super().__call__(scope, receive, send)
            return
        headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        for piece in self._alterations.apply("write", [bytes(self.body)]):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class EventStream(Response):
    """An answer in events. A failure after the first byte is told in one last event; [DONE] is for complete answers."""

    def __init__(self, chat: Chat, trail: Trail, events: AsyncGenerator[Event, None], first: Event | None) -> None:
        self._chat = chat
        self._trail = trail
        self._events = events
        self._first = first
        self._alterations = chat.context.alterations
        self._encoder = chat.codec.encoder(trail.stamp, trail.order)
        self._texts: dict[int, str] = {}
        self.background = None

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Send the events until they end, fail, or nobody reads them any more."""
        await asyncio.sleep(self._alterations.apply("delay", 0, self._trail))
        status, headers = self._alterations.apply("head", (200, dict(sse.HEADERS)), self._trail)
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        try:
            await while_wanted(self._pump(send), receive, self._chat.context.stopping)
        except Gone:
            self._chat.context.journal.counters["abandoned"] += 1
            self._trail.visit.ended = "the client left"
            self._alterations.apply("gone", None, self._trail)
            return
        except Stopping:
            await self._fail(send, ApiError("unavailable", "The server is shutting down"))
        except ApiError as error:
            await self._fail(send, error)
        finally:
            await self._events.aclose()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _pump(self, send: Send) -> None:
        await self._send(send, self._encoder.open())
        if self._first is not None:
            await self._send(send, self._encode(self._first))
        async for event in self._events:
            await self._send(send, self._encode(event))
        await self._send(send, self._encoder.close())
        ending = [sse.DONE] if self._chat.dialect.stream.done else []
        for frame in self._alterations.apply("tail", ending, self._trail):
            await self._write(send, frame)

    def _encode(self, event: Event) -> list[dict[str, Any]]:
        """The chunks that an event makes due; texts are gathered for the session, usage closes the books."""
        if isinstance(event, Text):
            self._texts[event.choice] = self._texts.get(event.choice, "") + event.text
        elif isinstance(event, Usage):
            self._chat.finished(self._trail, event, self._texts)
        return self._encoder.push(event)

    async def _send(self, send: Send, chunks: list[dict[str, Any]]) -> None:
        for chunk in self._alterations.apply("chunks", chunks, self._trail):
            document = self._alterations.apply("document", chunk, self._trail)
            await self._write(send, sse.event(self._chat.dumps(document)))

    async def _write(self, send: Send, frame: bytes) -> None:
        altered = self._alterations.apply("frame", frame, self._trail)
        for piece in self._alterations.apply("write", [altered]):
            await send({"type": "http.response.body", "body": piece, "more_body": True})

    async def _fail(self, send: Send, error: ApiError) -> None:
        self._trail.visit.ended = self._trail.visit.cause = error.cause
        await self._write(send, sse.event(self._chat.dumps(self._chat.failure(error))))
