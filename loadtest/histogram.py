"""A histogram of whole numbers that merges exactly: equal values fall into equal buckets wherever they were recorded.

Values below 2,048 keep their own bucket; above, a bucket is at most 1/1024 of its value wide (the layout of HdrHistogram
with three digits). Recording is a dictionary update in C, so that a token costs 0.04 us; the hdrhistogram package, which
merges as exactly, takes 1.0 us a token (both measured: benchmarks/load/costs.py), which no generator can afford.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate
from math import ceil
from operator import sub

EXACT_BITS = 11
HALF = 1 << (EXACT_BITS - 1)
RAW_KEYS = 1 << 14
WORD = 8


@dataclass(slots=True)
class Histogram:
    """Counts by bucket, with the exact number, sum, least and greatest value. The unit is the owner's."""

    n: int = 0
    sum: int = 0
    min: int | None = None
    max: int | None = None
    _counts: Counter[int] = field(default_factory=Counter)

    def record(self, value: int) -> None:
        """Record one value; below zero counts as zero."""
        value = max(value, 0)
        if self.min is None or value < self.min:
            self.min = value
        if self.max is None or value > self.max:
            self.max = value
        self.n += 1
        self.sum += value
        self._counts[value] += 1
        if len(self._counts) > RAW_KEYS:
            self._fold()

    def add(self, values: list[int]) -> None:
        """Record each value; below zero counts as zero."""
        if not values:
            return
        low, high = min(values), max(values)
        if low < 0:
            values = [max(value, 0) for value in values]
            low, high = 0, max(high, 0)
        self.min = low if self.min is None or low < self.min else self.min
        self.max = high if self.max is None or high > self.max else self.max
        self.n += len(values)
        self.sum += sum(values)
        self._counts.update(values)
        if len(self._counts) > RAW_KEYS:
            self._fold()

    def merge(self, other: Histogram) -> None:
        """Add the other's values to these."""
        if other.min is None or other.max is None:
            return
        self.min = other.min if self.min is None else min(self.min, other.min)
        self.max = other.max if self.max is None else max(self.max, other.max)
        self.n += other.n
        self.sum += other.sum
        self._counts.update(other._counts)

    def quantile(self, q: float) -> float | None:
        """The nearest-rank quantile (0 < q <= 1): the middle of the bucket in which the ceil(q * n)-th value lies."""
        if self.max is None or self.min is None:
            return None
        wanted, seen = max(ceil(q * self.n), 1), 0
        for bucket, count in self.buckets():
            seen += count
            if seen >= wanted:
                return min(max(middle(bucket), self.min), self.max)
        return self.max

    @property
    def mean(self) -> float | None:
        """The exact mean; None when nothing was recorded."""
        return self.sum / self.n if self.n else None

    def buckets(self) -> list[tuple[int, int]]:
        """(bucket, count) in the order of the values."""
        folded: Counter[int] = Counter()
        for value, count in self._counts.items():
            folded[bucket_of(value)] += count
        return sorted(folded.items())

    def above(self, limit: float) -> int:
        """How many values lie in buckets whose middle is above the limit."""
        return sum(count for bucket, count in self.buckets() if middle(bucket) > limit)

    def to_bytes(self) -> bytes:
        """A compact form for the wire between worker and master: 1 KiB or less for tens of thousands of latencies."""
        values = [lowest(bucket) for bucket, _ in self.buckets()]
        steps = map(sub, values, [0, *values])
        counts = [count for _, count in self.buckets()]
        numbers = (self.n, self.sum, self.min or 0, self.max or 0, *steps, *counts)
        return zlib.compress(struct.pack(f"<{len(numbers)}q", *numbers), 6)

    @classmethod
    def from_bytes(cls, data: bytes) -> Histogram:
        """The histogram that `to_bytes` wrote."""
        packed = zlib.decompress(data)
        n, total, low, high, *numbers = struct.unpack(f"<{len(packed) // WORD}q", packed)
        half = len(numbers) // 2
        counts = Counter(dict(zip(accumulate(numbers[:half]), numbers[half:], strict=True)))
        return cls(n, total, low, high, counts) if n else cls()

    def _fold(self) -> None:
        """Replace raw values by the lowest value of their bucket: the buckets stay the same, the memory is bounded."""
        self._counts = Counter({lowest(bucket): count for bucket, count in self.buckets()})


def bucket_of(value: int) -> int:
    """The index of the bucket that holds this value (0 or more)."""
    shift = max(value.bit_length() - EXACT_BITS, 0)
    return shift * HALF + (value >> shift)


def lowest(bucket: int) -> int:
    """The least value of that bucket."""
    shift = max((bucket >> (EXACT_BITS - 1)) - 1, 0)
    return (bucket - shift * HALF) << shift


def middle(bucket: int) -> float:
    """The middle of that bucket's values."""
    shift = max((bucket >> (EXACT_BITS - 1)) - 1, 0)
    return lowest(bucket) + ((1 << shift) - 1) / 2
