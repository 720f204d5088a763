"""Dria (seed 000): no role, index, object or created; metadata names the node; chunks are bare deltas (L97-140)."""

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
    """The order in a body; `timeout_secs` bounds the whole answer (L40)."""
    seconds = body.get("timeout_secs", dialect.request.defaults.get("timeout_secs", 120))
    return Order(base.chat(body, dialect), bool(body.get("stream")), finish_within=float(min(seconds, 10**9)))


def body(stamp: Stamp, _: Order, reply: Reply) -> Json:
    """The answer as printed in L97-116."""
    choices = [{"message": base.message(c, role=False), "finish_reason": c.reason} for c in reply.choices]
    head = {"id": stamp.id, "model": stamp.model, "choices": choices, "usage": base.usage(reply.usage)}
    return {**head, "metadata": {"node_id": stamp.node}}


def encoder(_: Stamp, __: Order) -> Stream:
    """Chunks as printed in L137-139; the last one adds the finish reason, which the page leaves open."""
    return Stream(_chunk, _choice)


def _chunk(choices: list[Json], _: Usage | None) -> Json:
    return {"choices": choices}


def _choice(_: int, delta: Json, finish: str | None, __: tuple[Scored, ...]) -> Json:
    return {"delta": delta, "finish_reason": finish} if finish else {"delta": delta}
