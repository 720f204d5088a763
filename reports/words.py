"""The words, figures and order that all renderings for people share."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from reports.model import LEVELS, VERDICTS, LoadReport, Report, RequirementResult, count, worst

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


def chapter_verdict(rows: Iterable[RequirementResult]) -> str:
    """The worst verdict in a chapter."""
    return worst(row.verdict for row in rows)


def figure(value: float | None) -> str:
    """A number with about four digits; a dash where nothing was measured."""
    if value is None:
        return "-"
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 1 else 4  # noqa: PLR2004 - powers of ten
    return f"{value:,.{digits}f}"


def percentiles(metric: Metric) -> list[str]:
    """The mean and the percentiles of a metric, as text."""
    return [figure(metric.mean), *(figure(getattr(metric, name)) for name in PERCENTILES)]


def plural(number: int, noun: str) -> str:
    """The number with its noun: 1 request, 2 requests."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
