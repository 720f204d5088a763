"""May the numbers be believed? The generator's own lateness, held against what it measured.

With kernel stamps a late read costs no accuracy, so the limit on reading late is there only to keep separate writes from
merging; without them (user-space stamps) a late read IS the error. A late send is an error always, in an open loop.
Where a limit says "or 1 % of the headline", the headline is the median time to the first content.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.model import Certificate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loadtest.metrics import Tally

__all__ = ["Conditions", "certify"]

FLOOR_MS = 1.0
SHARE_OF_HEADLINE = 0.01
KERNEL_READ_LAG_MS = 5.0
MERGED_SHARE = 0.01
MERGED_FIRST_SHARE = 0.005
CLOCK_STEP_MS = 1.0
CPU_SHARE = 0.95
LEAST_READS = 1


@dataclass(frozen=True, slots=True)
class Conditions:
    """How the run was made: kernel or user stamps, open or closed loop, workers lost, the busiest worker's CPU share."""

    kernel_stamps: bool
    open_loop: bool
    lost_workers: int = 0
    cpu_share: float | None = None


def certify(tally: Tally, conditions: Conditions) -> Certificate:
    """VALID, or INVALID with every reason; the figures are there either way."""
    lag = _figures(tally)
    reasons = tuple(_reasons(tally, conditions, lag))
    return Certificate("INVALID" if reasons else "VALID", reasons, lag)


def _figures(tally: Tally) -> dict[str, float | None]:
    figures: dict[str, float | None] = {}
    for name in ("read", "send", "busy"):
        h = tally.histograms.get(f"lag_{name}")
        for label, q in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
            value = h.quantile(q) if h is not None else None
            figures[f"{name}_{label}"] = None if value is None else round(value / 1000, 4)
    step = tally.histograms.get("clock_step")
    figures["clock_step_max"] = None if step is None or step.max is None else step.max / 1000
    return figures


def _reasons(tally: Tally, conditions: Conditions, lag: Mapping[str, float | None]) -> Iterator[str]:
    headline = tally.histograms.get("ttft_content") or tally.histograms.get("e2e")
    median = headline.quantile(0.5) if headline is not None else None
    limit = max(FLOOR_MS, SHARE_OF_HEADLINE * (median or 0.0) / 1000)
    if conditions.kernel_stamps:
        yield from _above("reads came late: p99", lag["read_p99"], KERNEL_READ_LAG_MS)
        share = tally.counts["merged_reads"] / max(tally.counts["reads"], 1)
        if share > MERGED_SHARE:
            yield f"{share:.1%} of the reads merged separate writes while the generator was busy (limit {MERGED_SHARE:.0%})"
        firsts = tally.counts["merged_firsts"] / max(tally.counts["requests"], 1)
        if firsts > MERGED_FIRST_SHARE:
            yield f"{firsts:.1%} of the first tokens came in a read that merged writes (limit {MERGED_FIRST_SHARE:.1%}): they are too late"
    else:
        yield from _above("stamps are taken in user space and the loop was busy: p99", lag["busy_p99"], limit)
    if conditions.open_loop:
        yield from _above("requests were sent late: p99", lag["send_p99"], limit)
    yield from _above("the wall clock was stepped by", lag["clock_step_max"], CLOCK_STEP_MS)
    if conditions.cpu_share is not None and conditions.cpu_share > CPU_SHARE:
        yield f"the busiest worker used {conditions.cpu_share:.0%} of its core (limit {CPU_SHARE:.0%}): add workers"
    if conditions.lost_workers:
        yield f"{conditions.lost_workers} worker(s) were lost in the run: what they had not yet reported is missing"
    if tally.counts["reads"] < LEAST_READS:
        yield "nothing was read from the target: there is no lateness to certify"


def _above(what: str, value: float | None, limit: float) -> Iterator[str]:
    if value is not None and value > limit:
        yield f"{what} {value:.3f} ms (limit {limit:.3f} ms)"
