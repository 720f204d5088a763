"""The words, figures and order that all renderings for people share."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING

from reports.model import LEVELS, VERDICTS, ExchangeRecord, LoadReport, Report, RequirementResult, count

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reports.gate import GateResult
    from reports.model import Metric

SHOWN = ("pass", "fail", "error", "not-run", "inconclusive", "untested", "not-applicable")
"""Verdicts in the order of a table's columns."""
MEANINGS = {
    "pass": "shown to hold",
    "fail": "the target does not do what the document says",
    "error": "the suite itself is to blame",
    "not-run": "the run ended before it was decided",
    "inconclusive": "tried, but the target did not cooperate",
    "untested": "needs a lever that the profile lacks",
    "not-applicable": "the dialect does not have it",
}
SELDOM = re.compile(r"(?:now and then, )?in (\d+) of (\d+) (answers|runs): ")
NOTE = 40
"""Characters that the note of a cut may take: a text that is less than that too long is shown whole."""
PERCENTILES = ("p50", "p90", "p99", "p999", "max")


def headline(report: Report | LoadReport, result: GateResult) -> str:
    """One sentence: who was judged, and how it ended."""
    model = f", model {report.target.model}" if report.target.model else ""
    return f"{report.target.url} ({report.target.dialect}{model}): {result.word}"


def chapters(report: Report) -> dict[str, list[RequirementResult]]:
    """The rows by chapter, in the order in which the report names the chapters."""
    found: dict[str, list[RequirementResult]] = defaultdict(list)
    for row in report.requirements:
        found[row.chapter].append(row)
    return dict(found)


def by_urgency(rows: Iterable[RequirementResult]) -> list[RequirementResult]:
    """The rows with the worst first: blocking before others, then by verdict, level and id."""
    return sorted(
        rows, key=lambda r: (not (r.blocking and r.verdict == "fail"), VERDICTS.index(r.verdict), LEVELS.index(r.level))
    )


def tally(rows: Iterable[RequirementResult]) -> dict[str, int]:
    """How many rows have each verdict, keyed by the verdict's word, in column order."""
    found = count(row.verdict for row in rows)
    return {verdict: found[verdict.replace("-", "_")] for verdict in SHOWN}


def figure(value: float | None) -> str:
    """A number with about four digits; a dash where nothing was measured."""
    if not value:
        return "-" if value is None else "0"
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 1 else 4  # noqa: PLR2004 - powers of ten
    return f"{value:,.{digits}f}"


def percentiles(metric: Metric) -> list[str]:
    """The mean and the percentiles of a metric, as text."""
    return [figure(metric.mean), *(figure(getattr(metric, name)) for name in PERCENTILES)]


def moment(time: str) -> str:
    """A report's time stamp for people, to the second."""
    return f"{time[:10]} {time[11:19]} UTC"


def took(report: Report | LoadReport) -> str:
    """How long the run lasted, in minutes and seconds."""
    seconds = seconds_of(report)
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"  # noqa: PLR2004 - a minute


def seconds_of(report: Report | LoadReport) -> float:
    """How long the run lasted, in seconds; 0 where the clock went backwards."""
    return max(0.0, (datetime.fromisoformat(report.finished) - datetime.fromisoformat(report.started)).total_seconds())


def plural(number: int, noun: str) -> str:
    """The number with its noun: 1 request, 2 requests."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def offender(report: Report, row: RequirementResult) -> ExchangeRecord | None:
    """The exchange that speaks for a row: the last of its evidence, which is the smallest one that a search came to."""
    known = {one.id: one for one in report.exchanges}
    return next((known[name] for name in reversed(row.evidence) if name in known), None)


def answered(one: ExchangeRecord, limit: int = 300) -> str:
    """What came, on one line: the status or what broke, and the beginning and the end of the body."""
    if one.status is None:
        return f"no answer: {one.error or 'the connection ended'}"
    body, half = one.body, limit // 2
    cut = len(body) > limit + NOTE  # else the note would be longer than what it stands for
    start, end = (body[:half], body[-half:]) if cut else (body, b"")
    rest = f" [... {len(body) - 2 * half:,} more bytes ...] {end.decode('utf-8', 'surrogateescape')}" if cut else ""
    broken = f" ({one.error})" if one.error else ""
    return f"{one.status}{broken} {start.decode('utf-8', 'surrogateescape')}{rest}"


def seldom(row: RequirementResult) -> str | None:
    """That a failure comes now and then only, and how often it came; None for one that comes each time."""
    found = SELDOM.match(row.reason or "") if row.verdict == "fail" else None
    if found is None:
        return None
    return f"it shows the failure only now and then: {found[1]} of {found[2]} {found[3]} had it"


def reason(row: RequirementResult) -> str | None:
    """Why the row has its verdict, where that says more than what was expected and observed."""
    told = [text for text in (row.expected, row.observed) if text]
    return None if row.reason and told and all(text in row.reason for text in told) else row.reason
