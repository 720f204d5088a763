"""A static site: who does what, requirements x targets, with a badge, a page and the figures of each target as JSON.

Runs of one target are one column: the newest is shown, the older ones are its history. A target is what has the same
dialect, model and URL; or the same dialect and the name that was given, as a server on a free port has another URL each time.
Requirement ids are a dialect's own, so there is one table a dialect, and one overview of all targets.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports.badge import badge
from reports.gate import PASSED, WORDS, judge, rows_of
from reports.html import html, page
from reports.model import Report, ReportError, RequirementResult, this_tool
from reports.words import tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reports.model import LoadReport


@dataclass(frozen=True, slots=True)
class Past:
    """One run in a target's history: when, how deep, the gate's code, and how many of its blocking rows passed."""

    started: str
    depth: str
    code: int
    passed: int
    blocking: int

    @classmethod
    def of(cls, report: Report, level: str | None) -> Past:
        """The report, as little of it as a history shows."""
        rows = [row for row in rows_of(report, level) if row.blocking]
        passed = sum(row.verdict == "pass" for row in rows)
        return cls(report.started, report.depth, judge(report, level=level).code, passed, len(rows))

    @property
    def word(self) -> str:
        """What the gate says, as a word."""
        return WORDS[self.code]


@dataclass(frozen=True, slots=True)
class Column:
    """One target: its name (the given one, or its URL), a name for its files, its newest report, its runs, oldest first."""

    name: str
    slug: str
    report: Report
    history: tuple[Past, ...]

    @property
    def code(self) -> int:
        """The gate's code for the newest run."""
        return self.history[-1].code

    @property
    def word(self) -> str:
        """What the gate says, as a word."""
        return self.history[-1].word


@dataclass(frozen=True, slots=True)
class Line:
    """One requirement over the targets of its dialect; None where a target's report lacks the row."""

    row: RequirementResult
    verdicts: tuple[str | None, ...]


def matrix(
    reports: Sequence[Report | LoadReport], level: str | None = None, names: Sequence[str | None] = ()
) -> dict[str, str]:
    """File name to text of the whole site; `names` are those of the targets, by report, where they have one.

    Raises ReportError for a report that is not about conformance.
    """
    columns = _columns(zip(reports, (*names, *[None] * (len(reports) - len(names))), strict=True), level)
    dialects: dict[str, list[Column]] = defaultdict(list)
    for column in columns:
        dialects[column.report.target.dialect].append(column)
    tables = {name: (members, _lines(members)) for name, members in sorted(dialects.items())}
    files = {
        "index.html": _page(columns, tables),
        "matrix.json": json.dumps(_document(columns, tables), indent=1) + "\n",
    }
    for column in columns:
        files[f"{column.slug}.html"] = html(column.report, level=level)
        files[f"badges/{column.slug}.svg"] = badge(column.report, level=level)
        files[f"badges/{column.slug}.json"] = json.dumps(_shield(column), indent=1) + "\n"
    return files


def _columns(reports: Iterable[tuple[Report | LoadReport, str | None]], level: str | None) -> list[Column]:
    runs: dict[tuple[str | None, ...], list[Report]] = defaultdict(list)
    for report, name in reports:
        if not isinstance(report, Report):
            raise ReportError(f"matrix: {report.target.url} is a load report; a matrix is made of conformance reports")
        target = report.target
        key = (name, target.dialect) if name else (None, target.dialect, target.url, target.model)
        runs[key].append(report)
    columns: list[Column] = []
    for (name, *_), members in runs.items():
        members.sort(key=lambda report: report.started[:19])
        newest = members[-1]
        history = tuple(Past.of(report, level) for report in members)
        columns.append(Column(name or newest.target.url, _slug(name, newest, columns), newest, history))
    return columns


def _slug(name: str | None, report: Report, taken: Sequence[Column]) -> str:
    """A file name that no other column has: letters, digits and dashes only, whatever the target is called."""
    words = f"{report.target.dialect} {name or report.target.url.partition('://')[2]} {report.target.model or ''}"
    base = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:80] or "target"
    used = {column.slug for column in taken} | {"index"}
    return next(name for n in range(1, len(used) + 2) if (name := base if n == 1 else f"{base}-{n}") not in used)


def _lines(columns: list[Column]) -> list[Line]:
    found = [{row.id: row for row in column.report.requirements} for column in columns]
    rows = {name: row for rows in reversed(found) for name, row in rows.items()}
    return [
        Line(rows[name], tuple(column[name].verdict if name in column else None for column in found))
        for name in sorted(rows)
    ]


def _page(columns: list[Column], tables: dict[str, tuple[list[Column], list[Line]]]) -> str:
    counts = {column.slug: _counts(column.report) for column in columns}
    passed = sum(column.code == PASSED for column in columns)
    return page("matrix.html.j2", columns=columns, tables=tables, counts=counts, passed=passed, tool=this_tool())


def _counts(report: Report) -> dict[str, int]:
    return tally(row for row in report.requirements if row.level == "MUST")


def _document(columns: list[Column], tables: dict[str, tuple[list[Column], list[Line]]]) -> dict[str, Any]:
    targets = [
        {
            "slug": column.slug,
            "name": column.name,
            "url": column.report.target.url,
            "dialect": column.report.target.dialect,
            "model": column.report.target.model,
            "result": column.word,
            "summary": column.report.summary,
            "history": [_past(run) for run in column.history],
        }
        for column in columns
    ]
    rows = {
        name: [
            {
                "id": line.row.id,
                "level": line.row.level,
                "verdicts": dict(zip([c.slug for c in members], line.verdicts, strict=True)),
            }
            for line in lines
        ]
        for name, (members, lines) in tables.items()
    }
    return {"schema_version": "1", "kind": "matrix", "targets": targets, "requirements": rows}


def _past(run: Past) -> dict[str, Any]:
    figures = {"passed": run.passed, "blocking": run.blocking}
    return {"started": run.started, "depth": run.depth, "result": run.word, **figures}


def _shield(column: Column) -> dict[str, Any]:
    """The badge's facts in the form that endpoint badges read."""
    colour = ("green", "red", "orange")[column.code]
    return {"schemaVersion": 1, "label": column.report.target.dialect, "message": column.word, "color": colour}
