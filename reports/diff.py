"""What changed between two reports of the same kind: better, worse, appeared, vanished.

A row is worse when it came closer to failing: from shown (pass, not-applicable) over not shown (error, not-run,
inconclusive, untested) to fail. Moves within one of these groups are changes, neither better nor worse; so is a move
between shown and inconclusive, which chance alone can make: a comparison must not be red at random. A load figure is
worse when it moved the wrong way by more than the tolerance, a share of the old figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.model import LoadReport, Report, ReportError
from reports.words import figure

if TYPE_CHECKING:
    from collections.abc import Iterator

RANKS = {"pass": 0, "not-applicable": 0, "inconclusive": 1, "untested": 1, "not-run": 1, "error": 1, "fail": 2}
BY_CHANCE = {"pass", "not-applicable", "inconclusive"}
KINDS = ("worse", "better", "changed", "appeared", "vanished")
COMPARED = ("p50", "p90", "p99")
TOLERANCE = 0.1


@dataclass(frozen=True, slots=True)
class Change:
    """One row or figure that is not what it was; `kind` is one of KINDS, `text` says what happened."""

    kind: str
    id: str
    text: str


def diff(old: Report | LoadReport, new: Report | LoadReport, tolerance: float = TOLERANCE) -> tuple[Change, ...]:
    """Every change, worst first. Raises ReportError where the two cannot be compared."""
    if isinstance(old, LoadReport) and isinstance(new, LoadReport):
        changes = _load(old, new, tolerance)
    elif isinstance(old, Report) and isinstance(new, Report):
        changes = _conformance(old, new)
    else:
        raise ReportError("a load report and a conformance report cannot be compared")
    return tuple(sorted(changes, key=lambda change: KINDS.index(change.kind)))


def _conformance(old: Report, new: Report) -> Iterator[Change]:
    for name, report in (("old", old), ("new", new)):
        if not report.complete:
            raise ReportError(f"the {name} report is incomplete: {report.reason}")
    before, after = ({row.id: row for row in report.requirements} for report in (old, new))
    for name, row in after.items():
        if name not in before:
            yield Change("appeared", name, f"{row.verdict} ({row.level})")
        elif before[name].verdict != row.verdict:
            was = before[name].verdict
            kind = "changed" if {was, row.verdict} <= BY_CHANCE else _kind(RANKS[row.verdict] - RANKS[was])
            yield Change(kind, name, f"{was} -> {row.verdict} ({row.level}): {row.observed or row.reason or row.says}")
    yield from (Change("vanished", name, f"was {row.verdict}") for name, row in before.items() if name not in after)


def _load(old: LoadReport, new: LoadReport, tolerance: float) -> Iterator[Change]:
    for name, report in (("old", old), ("new", new)):
        if report.certificate.verdict != "VALID":
            raise ReportError(f"the {name} report has no valid certificate: {'; '.join(report.certificate.reasons)}")
    if old.scenario["name"] != new.scenario["name"]:
        raise ReportError(f"different scenarios: {old.scenario['name']!r} and {new.scenario['name']!r}")
    yield from _figures(_figures_of(old), _figures_of(new), tolerance)
    verdicts = {slo.text: slo.verdict for slo in old.slo}
    for slo in new.slo:
        was = verdicts.get(slo.text, slo.verdict)
        if was != slo.verdict:
            kind = "better" if slo.verdict == "pass" else "worse" if was == "pass" else "changed"
            yield Change(kind, slo.text, f"{was} -> {slo.verdict}")


def _figures(before: dict[str, _Figure], after: dict[str, _Figure], tolerance: float) -> Iterator[Change]:
    for name, new in after.items():
        old = before.get(name)
        if old is None or old.value is None:
            yield from [Change("appeared", name, _said(new))] if new.value is not None else []
        elif new.value is None:
            yield Change("vanished", name, f"was {_said(old)}")
        elif abs(new.value - old.value) > tolerance * abs(old.value):
            worse = (new.value > old.value) == (new.better == "lower")
            share = f" ({(new.value / old.value - 1) * 100:+.1f} %)" if old.value else ""
            yield Change("worse" if worse else "better", name, f"{_said(old)} -> {_said(new)}{share}")
    yield from (
        Change("vanished", n, f"was {_said(f)}") for n, f in before.items() if n not in after and f.value is not None
    )


@dataclass(frozen=True, slots=True)
class _Figure:
    value: float | None
    unit: str
    better: str


def _figures_of(report: LoadReport) -> dict[str, _Figure]:
    figures = {f"{m.metric} {p}": _Figure(getattr(m, p), m.unit, m.better) for m in report.metrics for p in COMPARED}
    return figures | {rate.metric: _Figure(rate.value, rate.unit, rate.better) for rate in report.rates}


def _said(one: _Figure) -> str:
    return f"{figure(one.value)} {one.unit}".strip()


def _kind(by: int) -> str:
    return "worse" if by > 0 else "better" if by < 0 else "changed"
