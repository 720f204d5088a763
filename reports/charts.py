"""Lines over time for a load page: one small chart a figure of the timeline, drawn as an SVG path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WIDTH, HEIGHT = 1000, 100
MOST_POINTS = 1000
MOST_CHARTS = 24

Point = tuple[float, float | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure over `seconds`: its lowest and highest value, and a path in a box of WIDTH x HEIGHT."""

    name: str
    low: float
    high: float
    seconds: float
    path: str


def charts(timeline: Iterable[Mapping[str, float | None]]) -> tuple[Chart, ...]:
    """A chart for each figure that the timeline names, in its order; figures without a value are left out."""
    points = sorted(timeline, key=lambda point: point["t"] or 0.0)
    names = dict.fromkeys(name for point in points for name in point if name != "t")
    drawn = (_chart(name, [(point["t"] or 0.0, point.get(name)) for point in points]) for name in names)
    return tuple(chart for chart in drawn if chart)[:MOST_CHARTS]


def _chart(name: str, points: list[Point]) -> Chart | None:
    values = [value for _, value in points if value is not None]
    if not values:
        return None
    low, high, end = min(values), max(values), points[-1][0]
    step = -(-len(points) // MOST_POINTS)
    return Chart(name, low, high, end, _path(points[::step], low, high, end))


def _path(points: list[Point], low: float, high: float, end: float) -> str:
    """Lines from point to point; a missing value leaves a gap, a constant lies in the middle."""
    out, pen = [], "M"
    for t, value in points:
        if value is None:
            pen = "M"
            continue
        x = WIDTH * t / end if end else 0.0
        y = HEIGHT * (1 - (value - low) / (high - low)) if high > low else HEIGHT / 2
        out.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L"
    return "".join(out)
