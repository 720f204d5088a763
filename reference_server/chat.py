"""The chat endpoint: admission, the order, the answer as one document or as a stream, and every way it can end."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from starlette.responses import Response

from reference_server import body, sse, strict_json, validation
from reference_server.errors import ApiError, refuse
from reference_server.generation import Gone, Stopping, punctual, while_wanted
from reference_server.keys import ANONYMOUS, credential
from reference_server.ratelimit import headers as limit_headers
from reference_server.reply import fold
from reference_server.wire import Order, Stamp, codec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from dialects import Dialect
    from reference_server.catalog import Catalog
    from reference_server.context import Context
    from reference_server.engine import Event, Usage
    from reference_server.journal import Visit
    from reference_server.keys import Key

__all__ = ["Chat"]

JSON_HEADERS = {"content-type": "application/json"}


@dataclass(slots=True)
class Trail:
    """What one answer remembers on its way; alterations may keep notes in `memo`."""

    order: Order
    stamp: Stamp
    visit: Visit
    key: Key
    memo: dict[str, Any] = field(default_factory=dict)


class Chat:
    """The endpoint of one dialect."""

    def __init__(self, dialect: Dialect, catalog: Catalog, context: Context) -> None:
        self.dialect = dialect
        self.catalog = catalog
        self.context = context
        self.codec = codec(dialect.id)

    async def __call__(self, request: Request) -> Response:
        """Answer one request. Raises ApiError for every refusal."""
        visit: Visit = request.scope["visit"]
        skipped = self.context.alterations.apply("skip", frozenset(), request)
        key = self.admit(request, visit, skipped)
        body.check_media_type(request.headers)
        order = self._order(await body.read(request.receive), skipped)
        trail = Trail(order, self._stamp(order, skipped), visit, key)
        visit.order = _summary(order)
        self.context.refuse_on_demand(visit.path)
        return await self._answer(trail, request)

    def admit(self, request: Request, visit: Visit, skipped: frozenset[str] = frozenset()) -> Key:
        """The key of a request, counted against its limits; its standing goes into the answer's headers."""
        refused: ApiError | None = None
        key = ANONYMOUS
        try:
            value = credential(self.dialect, request.headers)
            key = self.context.keys.admit(value) if value else ANONYMOUS
        except ApiError as error:
            refused = None if "auth" in skipped else error
        requests, tokens, spent = self.context.limiter.take(self.dialect.id, key)
        visit.headers.update(limit_headers(self.dialect, requests, tokens))
        if refused or spent:
            raise refused or spent  # type: ignore[misc]  # one of them is set
        return key

    def _order(self, data: bytes, skipped: frozenset[str]) -> Order:
        document = strict_json.read_object(data)
        if self.dialect.request.null_is_absent:
            document = validation.without_nulls(document)
        try:
            validation.check(self.dialect, document)
        except ApiError as error:
            if error.cause not in skipped:
                raise
        order: Order = self.context.alterations.apply("order", self.codec.decode(document, self.dialect))
        return order

    def _stamp(self, order: Order, skipped: frozenset[str]) -> Stamp:
        model = self.catalog.resolve(order.chat.model, accept_any="unknown_model" in skipped)
        prefix = self.dialect.response.id_prefix or "chatcmpl-"
        session = self.context.sessions.continued(order.session) if self.dialect.documents("session_id") else ""
        completions = tuple(str(uuid4()) for _ in range(order.chat.n))
        return Stamp(f"{prefix}{uuid4().hex}", int(time.time()), model, self.context.node, session, completions)

    async def _answer(self, trail: Trail, request: Request) -> Response:
        counters = self.context.journal.counters
        counters["generations"] += 1
        events = self._events(trail)
        try:
            work = self._first(events) if trail.order.stream else self._plain(events, trail)
            outcome = await while_wanted(work, request.receive, self.context.stopping)
        except Gone:
            counters["abandoned"] += 1
            trail.visit.ended = "the client left"
            return Response(status_code=499)
        except Stopping:
            raise ApiError("unavailable", "The server is shutting down", retry_after=1) from None
        if isinstance(outcome, Response):
            return outcome
        return _EventStream(self, trail, events, outcome)

    async def _events(self, trail: Trail) -> AsyncGenerator[Event, None]:
        """The generation's events, each counted and passed through the alterations."""
        alterations = self.context.alterations
        async with aclosing(punctual(self.context.engine.generate(trail.order.chat), trail.order)) as events:
            async for event in events:
                for altered in alterations.apply("events", [event], trail):
                    yield altered

    async def _first(self, events: AsyncGenerator[Event, None]) -> Event | None:
        """The first event: while it is not there, the answer may still be a refusal."""
        return await anext(events, None)

    async def _plain(self, events: AsyncGenerator[Event, None], trail: Trail) -> Response:
        reply = fold([event async for event in events], trail.order.chat.n)
        self.finished(trail, reply.usage, {choice.index: choice.text for choice in reply.choices})
        alterations = self.context.alterations
        document = self.codec.body(trail.stamp, trail.order, reply)
        document = alterations.apply("document", alterations.apply("body", document, trail), trail)
        status, headers = alterations.apply("head", (200, dict(JSON_HEADERS)), trail)
        return _Plain(self, document, status, headers)

    def finished(self, trail: Trail, usage: Usage, texts: dict[int, str]) -> None:
        """Book a complete answer: its tokens, its place in the session."""
        self.context.journal.counters["finished"] += 1
        trail.visit.ended = "finished"
        self.context.limiter.charge(self.dialect.id, trail.key, usage.prompt + usage.completion)
        if trail.stamp.session and trail.order.store:
            said = [(name, texts.get(number, "")) for number, name in enumerate(trail.stamp.completions)]
            self.context.sessions.keep(trail.stamp.session, trail.stamp.model, said)

    def dumps(self, document: Any) -> bytes:  # noqa: ANN401 - any JSON value
        """A document's bytes."""
        options = {"ensure_ascii": False, "separators": (",", ":")}
        text: str = json.dumps(document, **self.context.alterations.apply("dumps", options))
        return text.encode("utf-8", "surrogatepass")

    def failure(self, error: ApiError) -> dict[str, Any]:
        """What stands in the event that ends a stream which failed: the error under the key `error`."""
        refusal = refuse(self.dialect, error)
        return {"error": refusal.body} if refusal.text else refusal.body


class _Plain(Response):
    """One JSON document, written at once or in the pieces that an alteration cuts."""

    def __init__(self, chat: Chat, document: Any, status: int, headers: dict[str, str]) -> None:  # noqa: ANN401
        self._alterations = chat.context.alterations
        super().__init__(chat.dumps(document), status, headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(self._alterations.apply("delay", 0))
        if not self._alterations.any("write"):
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for piece in self._alterations.apply("write", [bytes(self.body)]):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _EventStream(Response):
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
        await asyncio.sleep(self._alterations.apply("delay", 0))
        status, headers = self._alterations.apply("head", (200, dict(sse.HEADERS)), self._trail)
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        try:
            await while_wanted(self._pump(send), receive, self._chat.context.stopping)
        except Gone:
            self._chat.context.journal.counters["abandoned"] += 1
            self._trail.visit.ended = "the client left"
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
        if hasattr(event, "text"):
            self._texts[event.choice] = self._texts.get(event.choice, "") + event.text
        elif hasattr(event, "prompt"):
            self._chat.finished(self._trail, event, self._texts)
        return self._encoder.push(event)

    async def _send(self, send: Send, chunks: list[dict[str, Any]]) -> None:
        for chunk in self._alterations.apply("chunks", chunks, self._trail):
            document = self._alterations.apply("document", chunk, self._trail)
            await self._write(send, b"data: %b\n\n" % self._chat.dumps(document))

    async def _write(self, send: Send, frame: bytes) -> None:
        altered = self._alterations.apply("frame", frame, self._trail)
        for piece in self._alterations.apply("write", [altered]):
            await send({"type": "http.response.body", "body": piece, "more_body": True})

    async def _fail(self, send: Send, error: ApiError) -> None:
        self._trail.visit.ended = self._trail.visit.cause = error.cause
        await self._write(send, sse.document(self._chat.failure(error)))


def _summary(order: Order) -> dict[str, Any]:
    """What was understood, without what was said: enough to see that defaults were applied."""
    chat = order.chat
    return {
        "model": chat.model,
        "messages": len(chat.messages),
        "stream": order.stream,
        "include_usage": order.include_usage,
        "max_tokens": chat.max_tokens,
        "temperature": chat.temperature,
        "top_p": chat.top_p,
        "n": chat.n,
        "stop": list(chat.stop),
        "seed": chat.seed,
        "tools": [tool.name for tool in chat.tools],
        "tool_choice": chat.tool_choice.mode,
        "constrained": chat.schema is not None,
        "first_within": order.first_within,
        "finish_within": order.finish_within,
        "session": order.session,
    }
