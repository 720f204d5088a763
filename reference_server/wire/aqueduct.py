"""Aqueduct (seed 004): OpenAI's shape with all null keys dropped, and a usage chunk without choices in every stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference_server.validation import without_nulls
from reference_server.wire import Order, base
from reference_server.wire.openai import alternatives
from reference_server.wire.streams import Stream

if TYPE_CHECKING:
    from dialects import Dialect
    from reference_server.engine import Json, Scored, Usage
    from reference_server.reply import Reply
    from reference_server.wire import Stamp

__all__ = ["body", "decode", "encoder"]


def decode(body: Json, dialect: Dialect) -> Order:
    """The order in a body, which may hold any of OpenAI's parameters (L23, L40)."""
    chat = base.chat(body, dialect, **base.tools(body), logprobs=alternatives(body))
    return Order(chat, bool(body.get("stream")), include_usage=True)


def body(stamp: Stamp, order: Order, reply: Reply) -> Json:
    """OpenAI's answer without its null keys."""
    scored = order.chat.logprobs is not None
    choices = [
        {
            "index": choice.index,
            "message": base.message(choice),
            "logprobs": base.logprobs(choice.tokens) if scored else None,
            "finish_reason": choice.reason,
        }
        for choice in reply.choices
    ]
    return _bare({**_head(stamp, "chat.completion"), "choices": choices, "usage": base.usage(reply.usage)})


def encoder(stamp: Stamp, order: Order) -> Stream:
    """OpenAI's chunks without their null keys."""

    def chunk(choices: list[Json], usage: Usage | None) -> Json:
        counted = base.usage(usage) if usage else None
        return _bare({**_head(stamp, "chat.completion.chunk"), "choices": choices, "usage": counted})

    return Stream(chunk, _choice, order.chat.n, opening={"role": "assistant", "content": ""}, usage="own")


def _choice(index: int, delta: Json, finish: str | None, tokens: tuple[Scored, ...]) -> Json:
    scored = base.logprobs(tokens) if tokens else None
    return {"index": index, "delta": delta, "logprobs": scored, "finish_reason": finish}


def _head(stamp: Stamp, kind: str) -> Json:
    return {"id": stamp.id, "object": kind, "created": stamp.created, "model": stamp.model}


def _bare(document: Json) -> Json:
    bare: Json = without_nulls(document)
    return bare
