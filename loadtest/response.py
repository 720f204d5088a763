"""What was read of one response, raw, and how it is taken apart afterwards."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING

from loadtest.framing import FramingError

if TYPE_CHECKING:
    from loadtest.analysis import Analysis
    from loadtest.framing import Framing
    from loadtest.shape import Shape

__all__ = ["Columns", "Fault", "Look", "Reads", "Response"]

TIMESPEC = struct.Struct("qq")
WORKED = itemgetter(1)
Fault = tuple[str, str]
Look = list[int]


@dataclass(slots=True)
class Reads:
    """The raw reads of one response, a list a column: what is appended for each read must cost next to nothing.

    `stamps` holds the kernel's timespec as it came (empty where there was none), `data` the bytes, or how long the text was
    where a chunk was recognised as it came, `looks` the look at the sockets that the read belongs to: [when it was over, in ns
    of the wall clock; how long the loop had worked before, in ns].
    """

    stamps: list[bytes] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    data: list[bytes | int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.data)

    def add(self, stamp: bytes, look: Look, data: bytes) -> None:
        """One more read."""
        self.stamps.append(stamp)
        self.looks.append(look)
        self.data.append(data)

    def drop_last(self) -> None:
        """Forget the last read."""
        for column in (self.stamps, self.looks, self.data):
            column.pop()

    def taken(self) -> Reads:
        """These reads, which are forgotten here; the columns stay the same objects, so that their appends may be kept."""
        reads = Reads(self.stamps[:], self.looks[:], self.data[:])
        self.stamps.clear()
        self.looks.clear()
        self.data.clear()
        return reads


@dataclass(frozen=True, slots=True)
class Columns:
    """Some reads: when each came (ns of the wall clock) and how many us after that it was seen; the longest work before one (ns)."""

    stamps: list[int]
    lags: list[int]
    busy: int


@dataclass(slots=True)
class Response:
    """What came of one response; `fault` is None when its framing ended as HTTP wants. `bodies` are parsed so far."""

    reads: Reads
    bodies: list[bytes]
    framing: Framing
    fault: Fault | None = None
    shape: Shape | None = None
    stamped: bool = True

    def columns(self, start: int, end: int) -> Columns:
        """When reads start..end came, and how late they were seen.

        Without kernel stamps a read's stamp is when it was seen, and there are no lags.
        """
        looks = self.reads.looks[start:end]
        packed = b"".join(self.reads.stamps[start:end])
        busy = max(map(WORKED, looks))
        if len(packed) != TIMESPEC.size * len(looks):
            self.stamped = False
            return Columns([look[0] for look in looks], [], busy)
        stamps = [second * 1_000_000_000 + ns for second, ns in TIMESPEC.iter_unpack(packed)]
        return Columns(stamps, [(look[0] - at) // 1000 for look, at in zip(looks, stamps, strict=True)], busy)

    def feed(self, analysis: Analysis, start: int, end: int) -> Columns:
        """Give the analysis reads start..end; most are alike and need no parser, the others go through it. When they came."""
        came, data = self.columns(start, end), self.reads.data
        place = start
        while place < end:
            first = place
            if isinstance(data[place], int):
                place = _end_of_numbers(data, place, end)
                self.body(first)
                analysis.adopt(self.shape)
                analysis.alike(came.stamps[first - start : place - start], sum(data[first:place]))  # type: ignore[arg-type]
                continue
            bodies = [self.body(place)]
            while (place := place + 1) < min(len(self.bodies), end) and not isinstance(data[place], int):
                bodies.append(self.body(place))
            if first == 0:
                analysis.begin(came.stamps[0], self.framing.status, self.framing.headers, self.shape)
            busy = map(WORKED, self.reads.looks[first:place])
            analysis.feed(list(zip(came.stamps[first - start : place - start], busy, bodies, strict=True)))
            if place >= len(self.bodies) and self.framing.between_chunks:
                alike = analysis.skim(data, place, end, self.framing.leads)
                analysis.alike(came.stamps[place - start : alike - start])
                place = alike
        return came

    def body(self, place: int) -> bytes:
        """The body bytes that a read holds; reads must be asked for in order. What is no HTTP makes the fault."""
        if place < len(self.bodies):
            return self.bodies[place]
        try:
            return self.framing.feed_all(self.reads.data[place : place + 1])[0]
        except FramingError as error:
            self.fault = self.fault or ("malformed_http", str(error))
            return b""


def _end_of_numbers(data: list[bytes | int], place: int, end: int) -> int:
    while place < end and isinstance(data[place], int):
        place += 1
    return place
