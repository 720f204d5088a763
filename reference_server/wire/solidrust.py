"""SolidRusT.ai (seed 001): the plain OpenAI shape (L52-73); its streaming guide has the role in a chunk of its own."""

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
    return Order(base.chat(body, dialect), bool(body.get("stream")))


def body(stamp: Stamp, _: Order, reply: Reply) -> Json:
    """The answer as printed in L52-73."""
    choices = [{"index": c.index, "message": base.message(c), "finish_reason": c.reason} for c in reply.choices]
    return {**_head(stamp, "chat.completion"), "choices": choices, "usage": base.usage(reply.usage)}


def encoder(stamp: Stamp, _: Order) -> Stream:
    """Chunks with every key; no usage, for no page of this vendor has it in a stream."""

    def chunk(choices: list[Json], _: Usage | None) -> Json:
        return {**_head(stamp, "chat.completion.chunk"), "choices": choices}

    return Stream(chunk, _choice, opening={"role": "assistant"})


def _choice(index: int, delta: Json, finish: str | None, _: tuple[Scored, ...]) -> Json:
    return {"index": index, "delta": delta, "finish_reason": finish}


def _head(stamp: Stamp, kind: str) -> Json:
    return {"id": stamp.id, "object": kind, "created": stamp.created, "model": stamp.model}
