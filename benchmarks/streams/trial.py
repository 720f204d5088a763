"""A batch of streams tried, and what it showed."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass, field
from functools import cache

import dialects
from benchmarks.matrix.server import profile
from benchmarks.matrix.suite import Suite
from benchmarks.streams import hold, make
from conformance.judge import Judge
from conformance.wire.client import Client

__all__ = ["Found", "judge", "tried"]

VIEWS_EVERY, CLIENT_EVERY, ORACLES_EVERY = 4, 10, 100
SLOW = 1.0  # seconds of the processor: a stream of a few hundred bytes takes a thousandth of it


@dataclass(slots=True)
class Found:
    """What a batch of streams showed."""

    streams: int = 0
    bytes: int = 0
    read: int = 0
    exchanges: int = 0
    judged: int = 0
    slowest: float = 0.0
    slowest_stream: int = -1
    broken: list[str] = field(default_factory=list)
    memory: int = 0  # KiB that the process ever had

    def add(self, other: Found) -> None:
        """Take another batch in."""
        for name in ("streams", "bytes", "read", "exchanges", "judged"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        if other.slowest > self.slowest:
            self.slowest, self.slowest_stream = other.slowest, other.slowest_stream
        self.broken += other.broken
        self.memory = max(self.memory, other.memory)


def tried(seed: int, numbers: range) -> Found:
    """What these streams show."""
    found = Found()
    judge()
    for number in numbers:
        before = time.process_time()
        try:
            _try(seed, number, found)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
            found.broken.append(f"stream {number}: {type(error).__name__}: {error}"[:2000])
        took = time.process_time() - before
        if took > found.slowest:
            found.slowest, found.slowest_stream = took, number
        if took > SLOW:
            found.broken.append(f"stream {number}: took {took:.1f} s")
    found.memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found


def _try(seed: int, number: int, found: Found) -> None:
    rng = make.chance(seed, number)
    stream = make.stream(rng)
    found.streams += 1
    found.bytes += len(stream)
    hold.decoder(rng, stream)
    if number % VIEWS_EVERY == 0:
        hold.views(rng, stream)
        found.read += 4
    if number % CLIENT_EVERY == 0:
        hold.wire(rng, stream)
        found.exchanges += 2
    if number % ORACLES_EVERY == 0:
        hold.oracles(judge(), stream)
        found.judged += 2


@cache
def judge(dialect: str = "openai") -> Judge:
    """A judge with every oracle of a dialect, which repeats nothing: there is no target."""
    suite = Suite(dialect, profile(dialect))
    made = Judge(Client(), dialects.load(dialect))
    made.oracles = [suite._oracle(item, suite.options) for item in suite.items if item.mark.kind is not None]  # noqa: SLF001
    made._again = lambda *_: None  # type: ignore[method-assign]  # noqa: SLF001
    return made
