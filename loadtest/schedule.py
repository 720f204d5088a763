"""When each request is planned to be sent: stages of rate, turned into times by an arrival process.

All of it happens in "expected arrivals": the integral of the rate says how many requests were due by each moment. A
process places one arrival for each unit of that integral, and its inverse gives the time. So every process keeps the
asked rate exactly over each stage, and a ramp is no special case.

    constant    evenly spaced
    poisson     exponential gaps, taken as the quantiles of the distribution in random order and scaled to the stage:
                the count and the coefficient of variation (1) are right in every run, not only on average
    gamma       gamma-distributed gaps with a given coefficient of variation, scaled to the stage: bursts for cv > 1
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import log, sqrt
from random import Random
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

from loadtest import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["PROCESSES", "Stage", "arrivals", "constant_rate", "duration", "expected", "gap_cv", "shard"]


@dataclass(frozen=True, slots=True)
class Stage:
    """`seconds` at `rate` requests a second, changing evenly to `to` (None: not changing)."""

    seconds: float
    rate: float
    to: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.seconds < float("inf"):
            raise UsageError(f"stage seconds: {self.seconds!r} must be above 0")
        if not (0 <= self.rate < float("inf") and 0 <= self.end < float("inf")):
            raise UsageError(f"stage rate: {self.rate!r} to {self.to!r} must be 0 or more")

    @property
    def end(self) -> float:
        """The rate at the stage's end."""
        return self.rate if self.to is None else self.to

    @property
    def arrivals(self) -> float:
        """How many requests the stage expects: the integral of its rate."""
        return (self.rate + self.end) / 2 * self.seconds

    def when(self, due: float) -> float:
        """The seconds into the stage at which `due` requests (0..arrivals) were expected."""
        slope = (self.end - self.rate) / self.seconds
        if abs(slope) * self.seconds < 1e-9 * max(self.rate, 1e-9):
            return due / self.rate
        root = sqrt(max(self.rate * self.rate + 2 * slope * due, 0.0))
        return min(max(2 * due / (self.rate + root), 0.0), self.seconds)


def constant_rate(rate: float, seconds: float) -> tuple[Stage, ...]:
    """One stage."""
    return (Stage(seconds, rate),)


def duration(stages: Sequence[Stage]) -> float:
    """Seconds from the first to the last stage's end."""
    return sum(stage.seconds for stage in stages)


def expected(stages: Sequence[Stage]) -> float:
    """How many requests the stages plan."""
    return sum(stage.arrivals for stage in stages)


def arrivals(stages: Sequence[Stage], process: str = "poisson", *, seed: int = 0, cv: float = 1.0) -> Iterator[float]:
    """The planned times in seconds from the start, in order. Raises UsageError for an unknown process."""
    if process not in PROCESSES:
        raise UsageError(f"process: {process!r} is unknown; known are {', '.join(PROCESSES)}")
    if cv <= 0:
        raise UsageError(f"cv: {cv!r} must be above 0")
    rng = Random(seed)  # noqa: S311 - repeatable on purpose
    start = carry = 0.0
    for stage in stages:
        carry += stage.arrivals
        count = int(carry + 1e-9)
        carry -= count
        share = stage.arrivals / count if count else 0.0
        for place in PROCESSES[process](count, rng, cv):
            yield start + stage.when(place * share)
        start += stage.seconds


def shard(times: Iterator[float], index: int, of: int) -> Iterator[tuple[int, float]]:
    """(number, time) of every of-th arrival, beginning with the index-th: what one of `of` workers sends."""
    return ((number, time) for number, time in enumerate(times) if number % of == index)


def gap_cv(times: Sequence[float]) -> float | None:
    """The coefficient of variation of the gaps between these times; None for fewer than three."""
    gaps = [b - a for a, b in pairwise(times)]
    return pstdev(gaps) / fmean(gaps) if len(gaps) > 1 and fmean(gaps) > 0 else None


def _constant(count: int, _rng: Random, _cv: float) -> Iterator[float]:
    return (number + 0.5 for number in range(count))


def _poisson(count: int, rng: Random, _cv: float) -> Iterator[float]:
    gaps = [-log(1 - (number + 0.5) / count) for number in range(count)]
    rng.shuffle(gaps)
    return _placed(gaps, rng)


def _gamma(count: int, rng: Random, cv: float) -> Iterator[float]:
    shape = 1 / (cv * cv)
    return _placed([rng.gammavariate(shape, 1 / shape) for _ in range(count)], rng)


def _placed(gaps: list[float], rng: Random) -> Iterator[float]:
    """Running sums of the gaps, scaled so that they fill the stage; a part of the first gap lies behind the last."""
    total = sum(gaps)
    if not total:
        return
    scale = len(gaps) / total
    at = -gaps[0] * scale * rng.random()
    for gap in gaps:
        at += gap * scale
        yield min(max(at, 0.0), float(len(gaps)))


PROCESSES: dict[str, Callable[[int, Random, float], Iterator[float]]] = {
    "constant": _constant,
    "poisson": _poisson,
    "gamma": _gamma,
}
