"""One request as it is kept: what was sent, the Sample that samples.jsonl has of it, and what histograms need besides.

Every latency counts from the PLANNED send time; `queue_ms` is the part of it that passed before the request was sent.

First-token definitions, side by side: first_byte (of the response, head included), first_event (any event), role, reasoning,
content, tool_call (the first chunk that carries a non-empty one).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re

__all__ = ["FIRSTS", "Attempt", "Outcome", "Sample"]

FIRSTS = ("first_byte", "first_event", "role", "reasoning", "content", "tool_call")


@dataclass(slots=True)
class Attempt:
    """What was sent, and what its answer owes. Times are ns of the wall clock."""

    number: int
    part: str
    planned: int
    sent: int
    streamed: bool = True
    done_promised: bool = True
    echo: str | None = None
    foreign: re.Pattern[str] | None = None
    connect_ms: float | None = None
    resent: bool = False


@dataclass(slots=True)
class Sample:
    """One request as samples.jsonl has it. Times in ms, None where the thing did not happen."""

    number: int
    part: str
    planned_ns: int
    outcome: str
    message: str
    status: int | None
    streamed: bool
    queue_ms: float
    connect_ms: float | None
    resent: bool
    ttft_ms: dict[str, float | None]
    e2e_ms: float | None
    tpot_ms: float | None
    longest_gap_ms: float | None
    chunks: int
    tokens: int
    tokens_from: str
    prompt_tokens: int | None
    cached_tokens: int | None
    finish_reason: str | None
    reads: int
    merged: int
    bursts: int
    usage_remark: str
    merged_first: bool = False
    worker: int = 0

    @property
    def ok(self) -> bool:
        """Whether a whole answer came."""
        return self.outcome == "ok"


@dataclass(slots=True)
class Outcome:
    """A Sample with what histograms need: gaps between output events in us, and the same divided by tokens a chunk."""

    sample: Sample
    gaps: list[int]
    token_gaps: list[int]
    end: int
