"""Faults of streams: their events, their chunks, their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference_server.faults.catalogue import FAULTS
from reference_server.faults.groups import FINISHES

if TYPE_CHECKING:
    from reference_server.answers import Trail

Json = dict[str, Any]
Chunks = list[Json]
CUMULATED = 100


@FAULTS.at(
    "chunks",
    every=(
        *FINISHES,
        # no page promises one in streams there
        "-stream.equals-plain in dria solidrust",
        "-chat.length-finish in dria solidrust",
        "-chat.natural-finish in dria solidrust",
        "-chat.stop-finish in solidrust",
        "usage.stream-with-finish in dos_ai",
    ),
)
def finish_reason_missing(chunks: list[Json], _: object) -> list[Json]:
    """No chunk says why the answer ended."""
    return [{**chunk, "choices": [_unfinished(choice) for choice in chunk["choices"]]} for chunk in chunks]


@FAULTS.at("chunks", every=("stream.id-constant",))
def id_changes_in_stream(chunks: list[Json], trail: Trail) -> list[Json]:
    """Every chunk has an id of its own."""
    for chunk in chunks:
        if "id" in chunk:
            trail.memo["chunks"] = trail.memo.get("chunks", 0) + 1
            chunk["id"] = f"{chunk['id']}-{trail.memo['chunks']}"
    return chunks


@FAULTS.at(
    "chunks",
    every=("logprobs.asked", "stream.incremental", "stream.equals-plain", "logprobs.streamed"),
)
def cumulative_deltas(chunks: list[Json], trail: Trail) -> list[Json]:
    """Deltas repeat all of the text so far; the first hundred do, in answers that are no JSON."""
    for choice in _speaking(chunks, trail):
        said = trail.memo.setdefault(choice.get("index", 0), [])
        if len(said) < CUMULATED:
            said.append(choice["delta"]["content"])
            choice["delta"]["content"] = "".join(said)
    return chunks


@FAULTS.at("chunks", every=("stream.equals-plain",))
def first_text_lost(chunks: list[Json], trail: Trail) -> list[Json]:
    """The first piece of a text that is no JSON never arrives."""
    for choice in _speaking(chunks, trail):
        if choice.get("index", 0) not in trail.memo:
            trail.memo[choice.get("index", 0)] = choice["delta"]["content"] = ""
    return chunks


@FAULTS.at(
    "chunks",
    every=(
        "structured_output.kept not dria",
        "structured_output.streamed not dria",
        "chat.choices-asked",
        "tools.calls-whole",
        "tools.every-choice",
        "tools.offered-only",
        "stream.n-choices",
        "stream.finish-once not dria solidrust",
        "stream.role-once not solidrust",
    ),
)
def index_always_zero(chunks: list[Json], _: object) -> list[Json]:
    """Chunks of every choice say that they are of the first."""
    return [{**chunk, "choices": [_first(choice) for choice in chunk["choices"]]} for chunk in chunks]


@FAULTS.at("chunks", every=("stream.role-first", "stream.field[choices.delta.role] in adaptive"))
def role_missing(chunks: list[Json], _: object) -> list[Json]:
    """No delta has a role."""
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        choice["delta"].pop("role", None)
    return chunks


def _speaking(chunks: list[Json], trail: Trail) -> list[Json]:
    """The choices that say something, in answers that are no JSON."""
    choices = [choice for chunk in chunks for choice in chunk["choices"] if choice["delta"].get("content")]
    return choices if trail.order.chat.schema is None else []


def _first(choice: Json) -> Json:
    return {**choice, "index": 0} if "index" in choice else choice


def _unfinished(choice: Json) -> Json:
    return {**choice, "finish_reason": None} if "finish_reason" in choice else choice
