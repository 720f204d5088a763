"""DOS AI (seed 003): chunks without created and model, and usage always, in the chunk of the last finish (L105-120)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference_server.wire import Order, base
from reference_server.wire.streams import Stream

if TYPE_CHECKING:
    from dialects import Dialect
    from reference_server.engine import Json, Scored, Usage
    from reference_server.reply import Reply
    from reference_server.wire import Stamp

__all__ = ["body", "decode", "encoder"]


def decode(body: Json, dialect: Dialect) -> Order:
    """The order in a body."""
    return Order(base.chat(body, dialect, **base.tools(body)), bool(body.get("stream")))


def body(stamp: Stamp, _: Order, reply: Reply) -> Json:
    """The answer as printed in L61-83; a tool call's content is null (L162)."""
    choices = [{"index": c.index, "message": base.message(c), "finish_reason": c.reason} for c in reply.choices]
    head = {"id": stamp.id, "object": "chat.completion", "created": stamp.created, "model": stamp.model}
    return {**head, "choices": choices, "usage": base.usage(reply.usage)}


def encoder(stamp: Stamp, order: Order) -> Stream:
    """Chunks as printed in L108-112."""

    def chunk(choices: list[Json], usage: Usage | None) -> Json:
        made = {"id": stamp.id, "object": "chat.completion.chunk", "choices": choices}
        return {**made, "usage": base.usage(usage)} if usage else made

    return Stream(chunk, _choice, order.chat.n, lead={"role": "assistant"}, usage="with_finish")


def _choice(index: int, delta: Json, finish: str | None, _: tuple[Scored, ...]) -> Json:
    return {"index": index, "delta": delta, "finish_reason": finish}
