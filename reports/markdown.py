"""Markdown for a step summary: the verdict, a table of counts, then every row that failed or was not shown."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from reports.clean import markdown as prose
from reports.clean import markdown_code as code
from reports.clean import shortened
from reports.gate import FAILED, PASSED, GateResult, judge
from reports.model import LEVELS, LoadReport, Report, RequirementResult
from reports.words import MEANINGS, PERCENTILES, SHOWN, by_urgency, figure, percentiles, plural, tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reports.baseline import Baseline

SIGNS = {PASSED: "✅", FAILED: "❌"}
LISTED = 200  # a step summary may hold 1 MiB


def markdown(report: Report | LoadReport, baseline: Baseline | None = None, level: str | None = None) -> str:
    """The document as text."""
    result = judge(report, baseline, level)
    body = _load(report) if isinstance(report, LoadReport) else _conformance(report, result)
    return "\n".join([*_head(report, result), *body]) + "\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; cells must be clean already."""
    return [_row(columns), _row(["---"] * len(columns)), *(_row(row) for row in rows), ""]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _head(report: Report | LoadReport, result: GateResult) -> Iterator[str]:
    model = f", model {code(report.target.model)}" if report.target.model else ""
    yield f"# {SIGNS.get(result.code, '⚠️')} {result.word.capitalize()}: {code(report.target.url)}"
    yield ""
    made = f"{report.tool.name} {report.tool.version}, {report.started}"
    yield f"Dialect {code(report.target.dialect)}{model}, {prose(made)}."
    yield ""
    yield from (f"* {prose(shortened(sentence, 1000))}" for sentence in result.sentences)
    yield ""


def _conformance(report: Report, result: GateResult) -> Iterator[str]:
    yield from table(["level", *SHOWN], _counts(report))
    cost = report.cost
    tokens = f"{cost.prompt_tokens:,} prompt and {cost.completion_tokens:,} completion tokens"
    yield f"Cost: {plural(cost.requests, 'request')}, {tokens}. Seed {report.seed}, depth {prose(report.depth)}."
    yield ""
    for verdict in ("fail", "error", "not-run", "inconclusive", "untested"):
        rows = by_urgency(row for row in report.requirements if row.verdict == verdict)
        if rows:
            yield from _section(verdict, rows, frozenset(result.excused))


def _counts(report: Report) -> Iterator[list[str]]:
    for level in LEVELS:
        counts = tally(row for row in report.requirements if row.level == level)
        yield [level, *(str(number) for number in counts.values())]


def _section(verdict: str, rows: list[RequirementResult], excused: frozenset[str]) -> Iterator[str]:
    yield f"## {verdict} ({len(rows)}): {MEANINGS[verdict]}"
    yield ""
    yield from table(
        ["row", "level", "the document says", "where", "expected", "observed"],
        (_cells(row, excused) for row in islice(rows, LISTED)),
    )
    if len(rows) > LISTED:
        yield f"... and {len(rows) - LISTED} more; report.html has them all."
        yield ""


def _cells(row: RequirementResult, excused: frozenset[str]) -> list[str]:
    level = row.level + ("" if row.blocking else ", not blocking") + (", excused" if row.id in excused else "")
    observed = row.observed or row.reason or ""
    shown = [code(shortened(row.expected or "", 300)), code(shortened(observed, 300))]
    return [code(row.id), level, prose(row.says), prose(row.place), *shown]


def _load(report: LoadReport) -> Iterator[str]:
    certificate = report.certificate
    yield f"Scenario {code(str(report.scenario['name']))}. Certificate: **{certificate.verdict}**"
    yield from (f"* {prose(reason)}" for reason in certificate.reasons)
    yield ""
    if report.slo:
        rows = ([code(s.text), figure(s.observed), figure(s.limit), s.verdict] for s in report.slo)
        yield from table(["objective", "observed", "limit", "verdict"], rows)
    metrics = ([code(m.metric), prose(m.unit), str(m.n), *percentiles(m)] for m in report.metrics)
    yield from table(["metric", "unit", "n", "mean", *PERCENTILES], metrics)
    yield from table(
        ["rate", "unit", "value"], ([code(r.metric), prose(r.unit), figure(r.value)] for r in report.rates)
    )
    if report.errors:
        yield from table(["error", "count"], ([code(e.name), str(e.count)] for e in report.errors))
