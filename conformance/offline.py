"""Runs the checks of a recorded run again, on the recorded bytes alone: no connection is made.

python -m conformance replay REPORT [ID]      0 nothing fails on the record, 1 something does, 2 cannot be decided

The run is repeated (rerun.py) and every request is answered by the record (record.py). What the record lacks cannot be
decided: exchanges that the report did not keep, bodies that it cut, requests with a value that is new in every run, and
official clients, which send by themselves. `RecordError` names the reason where no check can be run at all.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.record import RecordError
from conformance.rerun import BY_THEMSELVES, rerun
from reports.model import Report
from reports.model import load as load_report

if TYPE_CHECKING:
    from reports.model import RequirementResult

__all__ = ["Decision", "RecordError", "replayed", "told"]

UNDECIDED = "cannot be decided offline"
PASSED, FAILED, CANNOT_JUDGE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Decision:
    """A row, or a check, as it was recorded and as the record decides it now; `now` None where it cannot."""

    id: str
    was: str
    now: str | None
    reason: str | None


def told(path: str, name: str | None, dialect: str | None, profile: str | None) -> tuple[list[str], int]:
    """What the record decides of one row or check, or of all rows, in lines; the exit code. Raises ReportError."""
    report = load_report(path)
    if not isinstance(report, Report):
        raise RecordError(f"{path}: a load report has no exchanges to replay")
    decisions = replayed(report, dialect=dialect, profile=profile)
    chosen = [one for one in decisions if name in (None, one.id)]
    if not chosen:
        raise RecordError(f"{name!r} is no requirement or check of this report")
    rows = {row.id for row in report.requirements}
    shown = chosen if name else [one for one in chosen if one.id in rows]
    lines = [_line(one) for one in shown if name or one.now != one.was]
    if name is None:
        counts = Counter(one.now or UNDECIDED for one in shown)
        lines.append(", ".join(f"{number} {verdict}" for verdict, number in counts.most_common()))
    verdicts = {one.now for one in shown}
    if "fail" in verdicts:
        return lines, FAILED
    return lines, CANNOT_JUDGE if verdicts == {None} else PASSED


def replayed(report: Report, *, dialect: str | None = None, profile: str | None = None) -> list[Decision]:
    """What the record decides of every row, then of every check. Raises RecordError where nothing can be run."""
    now, missing = rerun(report, dialect, profile)
    checks = _checks(report, now, missing)
    fresh = {row.id: row for row in now.requirements}
    return [*(_row(row, fresh.get(row.id), checks) for row in report.requirements), *checks.values()]


def _checks(report: Report, now: Report, missing: Counter[str]) -> dict[str, Decision]:
    """By check what the record decides."""
    found = {check.id: check for check in now.checks}
    checks = {}
    for was in report.checks:
        again = found.get(was.id)
        reason = _undecided(was.id, missing, again.verdict if again else None)
        if again is None or reason:
            checks[was.id] = Decision(was.id, was.verdict, None, reason or "no row of this dialect lists it any more")
        else:
            checks[was.id] = Decision(was.id, was.verdict, again.verdict, again.reason)
    return checks


def _row(row: RequirementResult, new: RequirementResult | None, checks: dict[str, Decision]) -> Decision:
    """What the record decides of a row: nothing where one of its checks is left open, unless another was seen to fail."""
    reason = next((checks[c.id].reason for c in row.checks if c.id in checks and checks[c.id].now is None), None)
    if new is None:
        return Decision(row.id, row.verdict, None, "the dialect has no such row any more")
    if reason and new.verdict != "fail":
        return Decision(row.id, row.verdict, None, reason)
    return Decision(row.id, row.verdict, new.verdict, new.reason)


def _undecided(check: str, missing: Counter[str], verdict: str | None) -> str | None:
    """Why the record does not decide this check; None when it does. What was seen to fail has failed."""
    if check.startswith(BY_THEMSELVES):
        return "the official clients send by themselves, and what they sent is not recorded"
    if missing[check] and verdict != "fail":
        return "the report does not hold, or not whole, every exchange that the check needs"
    return None


def _line(one: Decision) -> str:
    """One harmless line, whatever a target has written into the reason."""
    text = f"{one.id}: was {one.was}, on the record {one.now or UNDECIDED}" + (f": {one.reason}" if one.reason else "")
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))[:600]
