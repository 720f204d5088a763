"""Adaptive (seed 002): a session for every answer, an id for every completion and message, no object and no model on top.

The page shows no chunk; the vendor's own OpenAPI document has every delta carry id, role and content, and usage on request.
"""

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

__all__ = ["body", "decode", "encoder"]

LONGEST_WAIT = 10**9  # seconds; more is for ever


def decode(body: Json, dialect: Dialect) -> Order:
    """The order in a body; `metadata` is another name of `labels` (L137-143), so two that differ contradict each other."""
    labels, alias = body.get("labels"), body.get("metadata")
    if labels is not None and alias is not None and labels != alias:
        raise ApiError("out_of_range", "metadata: an alias of labels; both were given and they differ", "metadata")
    within = body.get("max_ttft_ms")
    return Order(
        base.chat(body, dialect, least=0),
        body.get("stream", False),
        include_usage=base.include_usage(body),
        first_within=None if within is None else min(within / 1000, LONGEST_WAIT),
        session=body.get("session_id"),
        store=body.get("store") is not False,
    )


def body(stamp: Stamp, _: Order, reply: Reply) -> Json:
    """The answer as printed in L62-84."""
    choices = [_choice(stamp, choice) for choice in reply.choices]
    return {**_head(stamp), "choices": choices, "usage": base.usage(reply.usage)}


def encoder(stamp: Stamp, order: Order) -> Stream:
    """The vendor's ChatResponseChunk."""

    def chunk(choices: list[Json], usage: Usage | None) -> Json:
        made = {**_head(stamp), "choices": choices}
        return {**made, "usage": base.usage(usage)} if usage else made

    def choice(index: int, delta: Json, finish: str | None, _: tuple[Scored, ...]) -> Json:
        said = {"id": stamp.completions[index], "role": "assistant", "content": delta.get("content", "")}
        made = {"index": index, "delta": said, "completion_id": stamp.completions[index]}
        return {**made, "finish_reason": finish} if finish else made

    return Stream(chunk, choice, order.chat.n, usage="own" if order.include_usage else "none")


def _head(stamp: Stamp) -> Json:
    return {"id": stamp.id, "created": stamp.created, "session_id": stamp.session}


def _choice(stamp: Stamp, choice: Choice) -> Json:
    completion = stamp.completions[choice.index]
    said = {"id": completion, "role": "assistant", "content": choice.text}
    made = {"index": choice.index, "message": said, "completion_id": completion}
    return {**made, "model": stamp.model, "finish_reason": choice.reason}
