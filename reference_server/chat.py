"""The chat endpoint: admission, the order, the answer as one document or as a stream, and every way it can end."""

from __future__ import annotations

import json
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from starlette.responses import Response

from reference_server import body, strict_json, validation
from reference_server.answers import EventStream, Plain, Trail
from reference_server.catalog import SLOW, TEXT_ONLY
from reference_server.errors import ApiError, refuse
from reference_server.generation import Gone, Stopping, never_in_time, punctual, while_wanted
from reference_server.keys import ANONYMOUS, credential
from reference_server.ratelimit import headers as limit_headers
from reference_server.reply import fold
from reference_server.wire import Order, Stamp, codec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request

    from dialects import Dialect
    from reference_server.catalog import Catalog
    from reference_server.context import Context
    from reference_server.engine import Event, Usage
    from reference_server.journal import Visit
    from reference_server.keys import Key

__all__ = ["Chat"]

PATIENCE = 1.5  # seconds that the slow model is waited for
STANDING = ("no_credit", "forbidden")  # causes that concern a key which is known
JSON_HEADERS = {"content-type": "application/json"}


class Chat:
    """The endpoint of one dialect."""

    def __init__(self, dialect: Dialect, catalog: Catalog, context: Context) -> None:
        self.dialect = dialect
        self.catalog = catalog
        self.context = context
        self.codec = codec(dialect.id)
        self._schema = validation.RequestSchema(dialect)

    async def __call__(self, request: Request) -> Response:
        """Answer one request. Raises ApiError for every refusal."""
        visit: Visit = request.scope["visit"]
        visit.dialect = self.dialect.id
        skipped = self.context.alterations.apply("skip", frozenset(), request)
        key = self.admit(request, visit, skipped)
        body.check_media_type(request.headers)
        order = self._order(await body.read(request.receive), skipped)
        trail = Trail(order, self._stamp(order, skipped), visit, key)
        if trail.stamp.model == TEXT_ONLY and any(message.images for message in order.chat.messages):
            raise ApiError("bad_image", f"messages: {TEXT_ONLY} reads text only, and an image was sent", "messages")
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
            refused = None if ("standing" if error.cause in STANDING else "auth") in skipped else error
        requests, tokens, spent = self.context.limiter.take(self.dialect.id, key)
        standing = limit_headers(self.dialect, requests, tokens)
        visit.headers.update(self.context.alterations.apply("limits", standing, self.dialect))
        refusal = refused or self.context.alterations.apply("spent", spent, self.dialect)
        if refusal:
            raise refusal
        return key

    def _order(self, data: bytes, skipped: frozenset[str]) -> Order:
        document = strict_json.read_object(data)
        document = self.context.alterations.apply("asked", document, self.dialect)
        if self.dialect.request.null_is_absent and not self._schema.allows(document):
            document = validation.without_nulls(document)
        try:
            self._schema.check(document)
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
        return EventStream(self, trail, events, outcome)

    async def _events(self, trail: Trail) -> AsyncGenerator[Event, None]:
        """The generation's events, each counted and passed through the alterations."""
        alterations = self.context.alterations
        slow = trail.stamp.model == SLOW
        generation = never_in_time(PATIENCE) if slow else self.context.engine.generate(trail.order.chat)
        async with aclosing(punctual(generation, trail.order)) as events:
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
        return Plain(self, trail, document, status, headers)

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
