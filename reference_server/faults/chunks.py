"""Faults of the members of chunks and of which chunks come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from reference_server.faults.catalogue import FAULTS

if TYPE_CHECKING:
    from reference_server.answers import Trail

Json = dict[str, Any]
Chunks = list[Json]


@FAULTS.at("chunks", every=("stream.created-constant",))
def created_changes_in_stream(chunks: Chunks, trail: Trail) -> Chunks:
    """Every chunk has a time of its own."""
    for chunk in chunks:
        if "created" in chunk:
            trail.memo["created"] = trail.memo.get("created", 0) + 1
            chunk["created"] += trail.memo["created"]
    return chunks


@FAULTS.at("chunks", every=("stream.model-constant",))
def model_changes_in_stream(chunks: Chunks, trail: Trail) -> Chunks:
    """From the second chunk on the model has its full name."""
    for chunk in chunks:
        if "model" in chunk and trail.memo.setdefault("model", chunk) is not chunk:
            chunk["model"] += "-0613"
    return chunks


@FAULTS.at(
    "chunks",
    every=(
        "sessions.echo",
        "stream.session-id-constant",
    ),
)
def session_changes_in_stream(chunks: Chunks, _: object) -> Chunks:
    """Every chunk has a session of its own."""
    return [{**chunk, "session_id": str(uuid4())} if "session_id" in chunk else chunk for chunk in chunks]


@FAULTS.at(
    "body",
    every=(
        "sessions.completion-id-history",
        "sessions.echo",
    ),
)
def another_session_answers(body: Json, _: object) -> Json:
    """Whole answers have a session of their own, whatever was asked."""
    return {**body, "session_id": str(uuid4())} if "session_id" in body else body


@FAULTS.at("chunks", every=("stream.delta-not-message",))
def message_for_delta(chunks: Chunks, _: object) -> Chunks:
    """Chunks carry a message besides their delta."""
    for choice in _choices(chunks):
        choice["message"] = choice["delta"]
    return chunks


@FAULTS.at("chunks", every=("stream.role-once",))
def role_in_every_chunk(chunks: Chunks, _: object) -> Chunks:
    """Every delta names the role."""
    for choice in _choices(chunks):
        choice["delta"]["role"] = "assistant"
    return chunks


@FAULTS.at(
    "chunks",
    every=(
        "stream.field[choices.finish_reason] not adaptive",
        "stream.finish-once",
        "stream.n-choices",
    ),
)
def empty_finish_reason(chunks: Chunks, _: object) -> Chunks:
    """Until the end the finish reason is an empty string."""
    for choice in _choices(chunks):
        choice["finish_reason"] = choice.get("finish_reason") or ""
    return chunks


@FAULTS.at(
    "chunks",
    every=(
        "chat.natural-finish",
        "chat.stop-finish",
        "stream.field[choices.finish_reason] not adaptive",
    ),
)
def finish_reason_of_the_engine(chunks: Chunks, _: object) -> Chunks:
    """Streams end with the engine's own word, `eos_token`."""
    for choice in _choices(chunks):
        if choice.get("finish_reason") == "stop":
            choice["finish_reason"] = "eos_token"
    return chunks


@FAULTS.at(
    "chunks",
    every=(
        "stream.finish-once not dria solidrust",
        "stream.n-choices",
    ),
)
def last_choice_alone_finishes(chunks: Chunks, trail: Trail) -> Chunks:
    """Of several choices only the last has a finish reason in streams."""
    for choice in _choices(chunks):
        if choice.get("index", 0) < trail.order.chat.n - 1 and "finish_reason" in choice:
            choice["finish_reason"] = None
    return chunks


@FAULTS.at(
    "chunks",
    every=(
        "usage.stream-asked",
        "clients.openai-python-stream in openai",
        "usage.stream-null-before",
        "usage.stream-on-request",
        "usage.stream-present",
    ),
)
def stream_without_usage(chunks: Chunks, _: object) -> Chunks:
    """No stream has usage."""
    bare = [{k: v for k, v in chunk.items() if k != "usage"} for chunk in chunks]
    return [chunk for chunk in bare if chunk["choices"]]


@FAULTS.at(
    "chunks",
    every=(
        "usage.stream-absent-unasked",
        "usage.stream-null-before",
        "usage.stream-once",
        "usage.stream-own-chunk",
        "usage.stream-with-finish",
    ),
)
def usage_unasked(chunks: Chunks, _: object) -> Chunks:
    """Every chunk has usage, asked for or not."""
    counted = {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}
    return [{**chunk, "usage": chunk.get("usage") or counted} for chunk in chunks]


@FAULTS.at(
    "chunks",
    every=(
        "tools.calls-whole",
        "tools.stream-equals-plain",
        "stream.field[choices.delta.tool_calls.index]",
        "tools.offered-only",
        "tools.stream-deltas",
    ),
)
def call_index_missing(chunks: Chunks, _: object) -> Chunks:
    """Pieces of calls do not say to which call they belong."""
    for choice in _choices(chunks):
        for piece in choice["delta"].get("tool_calls") or ():
            piece.pop("index", None)
    return chunks


@FAULTS.at("chunks", every=("stream.progressive",))
def everything_at_the_end(chunks: Chunks, trail: Trail) -> Chunks:
    """A stream is held back until its first finish, then it comes at once."""
    held: Chunks = trail.memo.setdefault("held", [])
    held += chunks
    if not any(choice.get("finish_reason") for choice in _choices(held)):
        return []
    trail.memo["held"] = []
    return held


def _choices(chunks: Chunks) -> list[Json]:
    return [choice for chunk in chunks for choice in chunk["choices"]]
