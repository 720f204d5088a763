"""A static site: who does what, requirements x targets, with a badge, a page and the figures of each target as JSON.

Runs of one target (same URL, dialect and model) are one column: the newest is shown, the older ones are its history.
Requirement ids are a dialect's own, so there is one table a dialect, and one overview of all targets.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports.badge import badge
from reports.gate import WORDS, judge
from reports.html import html, page
from reports.model import Report, ReportError, RequirementResult, this_tool
from reports.words import tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reports.model import LoadReport


@dataclass(frozen=True, slots=True)
class Column:
    """One target: its newest report, a name for its files, the gate's code, and (time, code) of every run, oldest first."""

    slug: str
    report: Report
    code: int
    history: tuple[tuple[str, int], ...]

    @property
    def word(self) -> str:
        """What the gate says, as a word."""
        return WORDS[self.code]


@dataclass(frozen=True, slots=True)
class Line:
    """One requirement over the targets of its dialect; None where a target's report lacks the row."""

    row: RequirementResult
    verdicts: tuple[str | None, ...]


def matrix(reports: Iterable[Report | LoadReport], level: str | None = None) -> dict[str, str]:
    """File name to text of the whole site. Raises ReportError for a report that is not about conformance."""
    columns = _columns(reports, level)
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


def _columns(reports: Iterable[Report | LoadReport], level: str | None) -> list[Column]:
    runs: dict[tuple[str, str, str | None], list[Report]] = defaultdict(list)
    for report in reports:
        if not isinstance(report, Report):
            raise ReportError(f"matrix: {report.target.url} is a load report; a matrix is made of conformance reports")
        runs[report.target.dialect, report.target.url, report.target.model].append(report)
    columns: list[Column] = []
    for members in runs.values():
        members.sort(key=lambda report: report.started[:19])
        history = tuple((report.started, judge(report, level=level).code) for report in members)
        columns.append(Column(_slug(members[-1], columns), members[-1], history[-1][1], history))
    return columns


def _slug(report: Report, taken: Sequence[Column]) -> str:
    """A file name that no other column has: letters, digits and dashes only, whatever the target is called."""
    words = f"{report.target.dialect} {report.target.url.partition('://')[2]} {report.target.model or ''}"
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
    return page("matrix.html.j2", columns=columns, tables=tables, counts=counts, tool=this_tool())


def _counts(report: Report) -> dict[str, int]:
    return tally(row for row in report.requirements if row.level == "MUST")


def _document(columns: list[Column], tables: dict[str, tuple[list[Column], list[Line]]]) -> dict[str, Any]:
    targets = [
        {
            "slug": column.slug,
            "url": column.report.target.url,
            "dialect": column.report.target.dialect,
            "model": column.report.target.model,
            "result": column.word,
            "summary": column.report.summary,
            "history": [{"started": started, "result": WORDS[code]} for started, code in column.history],
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


def _shield(column: Column) -> dict[str, Any]:
    """The badge's facts in the form that endpoint badges read."""
    colour = ("green", "red", "orange")[column.code]
    return {"schemaVersion": 1, "label": column.report.target.dialect, "message": column.word, "color": colour}
