"""What a run adds up to: a Tally takes Outcomes, merges with other Tallies exactly, and turns into metrics and rates.

Latencies are recorded in us and reported in ms. Rates divide by the time from the first planned request to the last
response's end, so no report can show more than was physically possible. Workers send a Tally with what is new; the
master merges, so what a worker had sent is never lost with it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loadtest.histogram import Histogram
from reports.model import ErrorClass, Metric, Rate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from loadtest.sample import Outcome, Sample

__all__ = ["METRICS", "Tally", "errors", "metrics", "rates", "timeline"]

METRICS = (
    "ttft_content",
    "ttft_first_byte",
    "ttft_first_event",
    "ttft_role",
    "ttft_reasoning",
    "ttft_tool_call",
    "itl",
    "itl_token",
    "tpot",
    "e2e",
    "longest_gap",
    "queue_delay",
    "connect",
)
LAGS = ("read", "send", "busy")
EXAMPLES = 3


@dataclass(slots=True)
class Tally:
    """Everything countable about some requests. `first` and `last` are ns since the run's start on the worker's clock."""

    histograms: dict[str, Histogram] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    seconds: dict[int, Counter[str]] = field(default_factory=dict)
    by_second: dict[tuple[str, int], Histogram] = field(default_factory=dict)
    first: int | None = None
    last: int | None = None

    def histogram(self, name: str) -> Histogram:
        """The histogram of that name, made when first asked for."""
        found = self.histograms.get(name)
        if found is None:
            found = self.histograms[name] = Histogram()
        return found

    def histogram_of(self, name: str, second: int) -> Histogram:
        """The same for one second of the run."""
        found = self.by_second.get((name, second))
        if found is None:
            found = self.by_second[name, second] = Histogram()
        return found

    def at(self, second: int) -> Counter[str]:
        """The counters of that second of the run."""
        found = self.seconds.get(second)
        if found is None:
            found = self.seconds[second] = Counter()
        return found

    def add(self, outcome: Outcome, start: int, freeze_ms: float, good: Callable[[Sample], bool]) -> None:
        """Count one request; `start` is the run's start in ns, `good` says whether it met every objective."""
        sample, ok = outcome.sample, outcome.sample.ok
        planned, end = sample.planned_ns - start, max(outcome.end, sample.planned_ns) - start
        self.first = planned if self.first is None else min(self.first, planned)
        self.last = end if self.last is None else max(self.last, end)
        frozen = ok and (sample.longest_gap_ms or 0.0) > freeze_ms
        self._count(sample, frozen=frozen, good=ok and good(sample))
        second = self.at(max(end, 0) // 1_000_000_000)
        second["ok" if ok else "failed"] += 1
        if ok:
            second["tokens"] += sample.tokens
            second["frozen"] += frozen
            self._latencies(outcome, max(planned, 0) // 1_000_000_000)
        else:
            self.errors[sample.outcome] += 1
            self.examples.setdefault(sample.outcome, sample.message)
        self.histogram("queue_delay").record(round(sample.queue_ms * 1000))
        if sample.connect_ms is not None:
            self.histogram("connect").record(round(sample.connect_ms * 1000))

    def _count(self, sample: Sample, *, frozen: bool, good: bool) -> None:
        counts = self.counts
        counts["requests"] += 1
        counts["chunks"] += sample.chunks
        counts["reads"] += sample.reads
        counts["merged_reads"] += sample.merged
        counts["merged_firsts"] += sample.merged_first
        counts["burst_reads"] += sample.bursts
        counts["resent"] += sample.resent
        if not sample.ok:
            counts["failed"] += 1
            return
        counts["ok"] += 1
        counts["good"] += good
        counts["frozen"] += frozen
        counts["streamed_ok"] += sample.streamed
        counts["tokens"] += sample.tokens
        counts["tokens_counted"] += sample.tokens if sample.tokens_from == "chunks" else 0
        counts["prompt_tokens"] += sample.prompt_tokens or 0
        counts["cached_tokens"] += sample.cached_tokens or 0
        counts["usage_odd"] += bool(sample.usage_remark)

    def _latencies(self, outcome: Outcome, second: int) -> None:
        sample = outcome.sample
        for name, value in sample.ttft_ms.items():
            if value is not None:
                self.histogram(f"ttft_{name}").record(round(value * 1000))
        for name, value in (("e2e", sample.e2e_ms), ("tpot", sample.tpot_ms), ("longest_gap", sample.longest_gap_ms)):
            if value is not None:
                self.histogram(name).record(round(value * 1000))
                self.histogram_of(name, second).record(round(value * 1000))
        self.histogram("itl").add(outcome.gaps)
        self.histogram("itl_token").add(outcome.token_gaps)
        headline = sample.ttft_ms["content"]
        if headline is not None:
            self.histogram_of("ttft_content", second).record(round(headline * 1000))

    def merge(self, other: Tally) -> None:
        """Add everything the other has counted."""
        for name, histogram in other.histograms.items():
            self.histogram(name).merge(histogram)
        for key, histogram in other.by_second.items():
            self.histogram_of(*key).merge(histogram)
        for second, counts in other.seconds.items():
            self.at(second).update(counts)
        self.counts.update(other.counts)
        self.errors.update(other.errors)
        for kind, message in other.examples.items():
            self.examples.setdefault(kind, message)
        self.first = (
            other.first if self.first is None else min(self.first, self.first if other.first is None else other.first)
        )
        self.last = other.last if self.last is None else max(self.last, self.last if other.last is None else other.last)

    def to_wire(self) -> dict[str, Any]:
        """Plain values (msgpack takes them) that `from_wire` reads."""
        return {
            "histograms": {name: h.to_bytes() for name, h in self.histograms.items()},
            "by_second": [[name, second, h.to_bytes()] for (name, second), h in self.by_second.items()],
            "counts": dict(self.counts),
            "errors": dict(self.errors),
            "examples": self.examples,
            "seconds": [[second, dict(counts)] for second, counts in self.seconds.items()],
            "first": self.first,
            "last": self.last,
        }

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> Tally:
        """The Tally that `to_wire` wrote."""
        return cls(
            histograms={name: Histogram.from_bytes(raw) for name, raw in data["histograms"].items()},
            by_second={(name, second): Histogram.from_bytes(raw) for name, second, raw in data["by_second"]},
            counts=Counter(data["counts"]),
            errors=Counter(data["errors"]),
            examples=dict(data["examples"]),
            seconds={second: Counter(counts) for second, counts in data["seconds"]},
            first=data["first"],
            last=data["last"],
        )

    @property
    def window(self) -> float | None:
        """Seconds from the first planned request to the last response's end; None before anything ended."""
        return (
            None
            if self.first is None or self.last is None or self.last <= self.first
            else (self.last - self.first) / 1e9
        )


def metrics(tally: Tally) -> tuple[Metric, ...]:
    """Every distribution, those without a sample included, in ms."""
    return tuple(_metric(name, tally.histograms.get(name, Histogram())) for name in METRICS)


def _metric(name: str, h: Histogram) -> Metric:
    p50, p90, p99, p999 = (_in_ms(h.quantile(q)) for q in (0.5, 0.9, 0.99, 0.999))
    return Metric(name, "ms", "lower", h.n, _in_ms(h.mean), p50, p90, p99, p999, _in_ms(h.max))


def rates(tally: Tally, asked: float | None = None) -> tuple[Rate, ...]:
    """Every rate; None where nothing was measured. `asked` is the mean planned rate, None in a closed loop."""
    counts, window = tally.counts, tally.window
    done = counts["ok"] + counts["failed"]

    def per_second(count: int) -> float | None:
        return round(count / window, 4) if window else None

    def share(part: int, whole: int) -> float | None:
        return round(part / whole, 6) if whole else None

    return (
        Rate("requests_per_second", "1/s", "higher", per_second(counts["ok"])),
        Rate("output_tokens_per_second", "1/s", "higher", per_second(counts["tokens"])),
        Rate("goodput_per_second", "1/s", "higher", per_second(counts["good"])),
        Rate("good_share", "", "higher", share(counts["good"], done)),
        Rate("error_rate", "", "lower", share(counts["failed"], done)),
        Rate("freeze_share", "", "lower", share(counts["frozen"], counts["streamed_ok"])),
        Rate("asked_per_second", "1/s", "higher", None if asked is None else round(asked, 4)),
        Rate("sent_per_second", "1/s", "higher", per_second(done + counts["unfinished"])),
        Rate("tokens_counted_share", "", "lower", share(counts["tokens_counted"], counts["tokens"])),
        Rate("cached_prompt_share", "", "higher", share(counts["cached_tokens"], counts["prompt_tokens"])),
        Rate("merged_read_share", "", "lower", share(counts["merged_reads"], counts["reads"])),
        Rate("burst_read_share", "", "lower", share(counts["burst_reads"], counts["reads"])),
    )


def errors(tally: Tally) -> tuple[ErrorClass, ...]:
    """Each class of failure, the most frequent first."""
    return tuple(ErrorClass(kind, count) for kind, count in tally.errors.most_common())


def timeline(tally: Tally, points: int = 600) -> tuple[dict[str, float | None], ...]:
    """Points in time, a second each or as many seconds as keep them below `points`."""
    last = max([*tally.seconds, *(second for _, second in tally.by_second)], default=-1)
    step = max(-(-(last + 1) // points), 1)
    return tuple(_point(tally, start, step) for start in range(0, last + 1, step))


def _point(tally: Tally, start: int, step: int) -> dict[str, float | None]:
    span = range(start, start + step)
    counts: Counter[str] = Counter()
    for second in span:
        counts.update(tally.seconds.get(second, {}))
    point: dict[str, float | None] = {"t": float(start)}
    point |= {
        f"{name}_per_second": counts[name] / step for name in ("planned", "sent", "ok", "failed", "tokens", "frozen")
    }
    for name in ("ttft_content", "tpot", "e2e", "longest_gap"):
        h = Histogram()
        for second in span:
            h.merge(tally.by_second.get((name, second), Histogram()))
        point |= {f"{name}_{label}": _in_ms(h.quantile(q)) for label, q in (("p50", 0.5), ("p99", 0.99))}
    return point


def _in_ms(us: float | None) -> float | None:
    return None if us is None else round(us / 1000, 4)
