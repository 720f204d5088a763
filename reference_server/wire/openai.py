"""OpenAI, by its OpenAPI document 2.3.0: every key of the schema, nulls included; usage chunk only on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference_server.errors import ApiError
from reference_server.wire import Order, base
from reference_server.wire.streams import Stream

if TYPE_CHECKING:
    from dialects import Dialect
    from reference_server.engine import Json, Scored, Usage
    from reference_server.reply import Choice, Reply
    from reference_server.wire import Stamp

__all__ = ["alternatives", "body", "decode", "encoder"]


def decode(body: Json, dialect: Dialect) -> Order:
    """The order in a body; asks for spoken output are refused, for there is no voice."""
    if "audio" in (body.get("modalities") or ()):
        raise ApiError("out_of_range", "modalities: this model answers in text only, not 'audio'", "modalities")
    chat = base.chat(body, dialect, **base.tools(body), logprobs=alternatives(body))
    return Order(chat, bool(body.get("stream")), include_usage=base.include_usage(body))


def alternatives(body: Json) -> int | None:
    """How many candidates each token should list; None when log probabilities were not asked for."""
    return (body.get("top_logprobs") or 0) if body.get("logprobs") else None


def body(stamp: Stamp, order: Order, reply: Reply) -> Json:
    """CreateChatCompletionResponse."""
    choices = [_choice(choice, order) for choice in reply.choices]
    return {**_head(stamp, "chat.completion"), "choices": choices, "usage": _usage(reply.usage)}


def encoder(stamp: Stamp, order: Order) -> Stream:
    """CreateChatCompletionStreamResponse; `usage` is null on all chunks but its own when it was asked for."""

    def chunk(choices: list[Json], usage: Usage | None) -> Json:
        made = {**_head(stamp, "chat.completion.chunk"), "choices": choices}
        return {**made, "usage": _usage(usage) if usage else None} if order.include_usage else made

    def choice(index: int, delta: Json, finish: str | None, tokens: tuple[Scored, ...]) -> Json:
        scored = base.logprobs(tokens) if tokens else None
        return {"index": index, "delta": delta, "logprobs": scored, "finish_reason": finish}

    opening = {"role": "assistant", "content": "", "refusal": None}
    return Stream(chunk, choice, order.chat.n, opening=opening, usage="own" if order.include_usage else "none")


def _head(stamp: Stamp, kind: str) -> Json:
    head = {"id": stamp.id, "object": kind, "created": stamp.created, "model": stamp.model}
    return {**head, "service_tier": "default", "system_fingerprint": f"fp_{stamp.node[-10:]}"}


def _choice(choice: Choice, order: Order) -> Json:
    scored = base.logprobs(choice.tokens) if order.chat.logprobs is not None else None
    said = {**base.message(choice), "refusal": None, "annotations": []}
    return {"index": choice.index, "message": said, "logprobs": scored, "finish_reason": choice.reason}


def _usage(spent: Usage) -> Json:
    details = {"reasoning_tokens": spent.reasoning, "audio_tokens": 0}
    return {
        **base.usage(spent),
        "prompt_tokens_details": {"cached_tokens": spent.cached, "audio_tokens": 0},
        "completion_tokens_details": details,
    }
