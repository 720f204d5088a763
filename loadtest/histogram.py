"""A histogram of whole numbers that merges exactly: equal values fall into equal buckets wherever they were recorded.

Values below 2,048 keep their own bucket; above, a bucket is at most 1/1024 of its value wide (the layout of HdrHistogram
with three digits). Recording appends to a list, which is counted a thousand values at a time; the hdrhistogram package,
which merges as exactly, takes several times as long a token (measured: benchmarks/load/costs.py).
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from itertools import accumulate
from math import ceil
from operator import sub

EXACT_BITS = 11
HALF = 1 << (EXACT_BITS - 1)
PENDING = 1024
RAW_KEYS = 2048  # what waits is counted in half a ms: the generator has no more time to spare at once
WORD = 8


class Histogram:
    """Counts by bucket, with the exact number, sum, least and greatest value. The unit is the owner's."""

    # Counted values lie under the least value of their bucket: the same however they were split, and never more keys than buckets.
    __slots__ = ("_counts", "_max", "_min", "_n", "_new", "_raw", "_sum")

    def __init__(self) -> None:
        self._n = self._sum = 0
        self._min: int | None = None
        self._max: int | None = None
        self._counts: dict[int, int] = {}
        self._raw: Counter[int] = Counter()
        self._new: list[int] = []

    def record(self, value: int) -> None:
        """Record one value; below zero counts as zero."""
        self._new.append(value)
        if len(self._new) > PENDING:
            self._settle(RAW_KEYS)

    def add(self, values: list[int]) -> None:
        """Record each value; below zero counts as zero."""
        self._new += values
        if len(self._new) > PENDING:
            self._settle(RAW_KEYS)

    @property
    def counts(self) -> dict[int, int]:
        """How many values each bucket holds, by the least value of the bucket."""
        self._settle()
        return self._counts

    @property
    def n(self) -> int:
        """How many values."""
        return self._n + len(self._new)

    @property
    def sum(self) -> int:
        """Their exact sum."""
        self._settle()
        return self._sum

    @property
    def min(self) -> int | None:
        """The least; None when nothing was recorded."""
        self._settle()
        return self._min

    @property
    def max(self) -> int | None:
        """The greatest; None when nothing was recorded."""
        self._settle()
        return self._max

    def merge(self, other: Histogram) -> None:
        """Add the other's values to these."""
        self._settle()
        if other.min is None or other.max is None:
            return
        self._min = other.min if self._min is None else min(self._min, other.min)
        self._max = other.max if self._max is None else max(self._max, other.max)
        self._n += other.n
        self._sum += other.sum
        for bucket, count in other.counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + count

    def quantile(self, q: float) -> float | None:
        """The nearest-rank quantile (0 < q <= 1): the middle of the bucket in which the ceil(q * n)-th value lies."""
        least, greatest = self.min, self.max
        if least is None or greatest is None:
            return None
        wanted, seen = max(ceil(q * self.n), 1), 0
        for bucket, count in self.buckets():
            seen += count
            if seen >= wanted:
                return min(max(middle(bucket), least), greatest)
        return greatest

    @property
    def mean(self) -> float | None:
        """The exact mean; None when nothing was recorded."""
        return self.sum / self.n if self.n else None

    def buckets(self) -> list[tuple[int, int]]:
        """(bucket, count) in the order of the values."""
        return [(bucket_of(value), count) for value, count in sorted(self.counts.items())]

    def above(self, limit: float) -> int:
        """How many values lie in buckets whose middle is above the limit."""
        return sum(count for bucket, count in self.buckets() if middle(bucket) > limit)

    def to_bytes(self) -> bytes:
        """A compact form for the wire between worker and master: 1 KiB or less for tens of thousands of latencies."""
        found = sorted(self.counts.items())
        values, counts = [value for value, _ in found], [count for _, count in found]
        steps = map(sub, values, [0, *values])
        numbers = (self.n, self.sum, self.min or 0, self.max or 0, *steps, *counts)
        return zlib.compress(struct.pack(f"<{len(numbers)}q", *numbers), 6)

    @classmethod
    def from_bytes(cls, data: bytes) -> Histogram:
        """The histogram that `to_bytes` wrote."""
        packed = zlib.decompress(data)
        n, total, low, high, *numbers = struct.unpack(f"<{len(packed) // WORD}q", packed)
        half = len(numbers) // 2
        found = cls()
        if n:
            found._n, found._sum, found._min, found._max = n, total, low, high
            found._counts = dict(zip(accumulate(numbers[:half]), numbers[half:], strict=True))
        return found

    def _settle(self, raw_keys: int = 0) -> None:
        """Count what was recorded since the last time, all in one go; up to so many different values may wait for their buckets."""
        new, self._new = self._new, []
        if new:
            least, greatest = min(new), max(new)
            if least < 0:
                new = [max(value, 0) for value in new]
                least, greatest = 0, max(greatest, 0)
            self._min = least if self._min is None else min(self._min, least)
            self._max = greatest if self._max is None else max(self._max, greatest)
            self._n += len(new)
            self._sum += sum(new)
            self._raw.update(new)
        if len(self._raw) > raw_keys:
            counts = self._counts
            for value, count in self._raw.items():
                shift = value.bit_length() - EXACT_BITS
                bucket = value >> shift << shift if shift > 0 else value
                counts[bucket] = counts.get(bucket, 0) + count
            self._raw.clear()


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
