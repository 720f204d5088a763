"""One self-contained HTML page a report: no network, no script but its own, held by a content security policy.

Every text goes through `shown` (text between tags) or jinja's autoescape after `clean` (attributes); timeline.py shows
an exchange. The page stays below `PAGE_LIMIT` bytes: bodies are cut, with a note, until it does; report.json keeps them whole.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports import clean, words
from reports.charts import charts
from reports.gate import GateResult, judge
from reports.model import LEVELS, LoadReport, Report, RequirementResult
from reports.timeline import ExchangeView, Mark, exchange_view, marks, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from reports.baseline import Baseline

PAGE_LIMIT = 2_900_000
SCALES = (1.0, 0.7, 0.4, 0.2, 0.08, 0.02)
TEMPLATES = Path(__file__).with_name("templates")
LISTED = 12
POLICY = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True)
class RowView:
    """One requirement; `shown` are the exchanges shown here, `linked` the ids of those shown elsewhere."""

    row: RequirementResult
    excused: bool
    shown: tuple[ExchangeView, ...]
    linked: tuple[str, ...]
    replay: str
    reason: str | None
    seldom: str | None


def html(report: Report | LoadReport, baseline: Baseline | None = None, level: str | None = None) -> str:
    """The page as text."""
    result = judge(report, baseline, level)
    if isinstance(report, LoadReport):
        facts = {"headline": words.headline(report, result), "took": words.took(report)}
        return page("load.html.j2", report=report, result=result, charts=charts(report.timeline), **facts)
    marked = marks(report)
    for scale in SCALES:
        text = _conformance(report, result, scale, marked)
        if len(text.encode("utf-8", "replace")) <= PAGE_LIMIT:
            break
    return text


def page(template: str, **values: Any) -> str:  # noqa: ANN401 - whatever the template names
    """A page with the common style and script, whose policy allows nothing else."""
    style, script = _asset("report.css"), _asset("report.js")
    policy = f"{POLICY}; style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    return _environment().get_template(template).render(style=style, script=script, policy=policy, **values)


def _conformance(report: Report, result: GateResult, scale: float, marked: dict[str, tuple[Mark, ...]]) -> str:
    rows = _rows(report, result, scale, marked)
    chapters = {name: [rows[r.id] for r in members] for name, members in words.chapters(report).items()}
    placed = {one.record.id for row in rows.values() for one in row.shown}
    rest = [one for one in report.exchanges if one.id not in placed]
    return page(
        "report.html.j2",
        report=report,
        result=result,
        headline=words.headline(report, result),
        took=words.took(report),
        failed=[r for r in report.requirements if r.id in result.failed],
        sentences=[_brief(s) for s in result.sentences if not s.endswith(" failed")],
        levels=[(level, words.tally(r for r in report.requirements if r.level == level)) for level in LEVELS],
        tallies={name: words.tally(view.row for view in views) for name, views in chapters.items()},
        total=words.tally(report.requirements),
        chapters=chapters,
        rest=[exchange_view(one, scale * min(6_000, 900_000 // len(rest)), marked.get(one.id, ())) for one in rest],
        limit=max(80, int(4000 * scale)),
        meanings=words.MEANINGS,
    )


def _brief(sentence: str) -> str:
    """The sentence with no more than a dozen of the rows that it lists: all stand below."""
    told, sign, ids = sentence.rpartition(": ")
    parts = ids.split(", ")
    if len(parts) <= LISTED + 1:
        return sentence
    return f"{told}{sign}{', '.join(parts[:LISTED])} and {len(parts) - LISTED} more"


def _rows(report: Report, result: GateResult, scale: float, marked: dict[str, tuple[Mark, ...]]) -> dict[str, RowView]:
    """Every row with its exchanges; an exchange is shown once, under the first row that did not pass and names it."""
    known = {one.id: one for one in report.exchanges}
    shown = _placed(report, frozenset(known))
    size = scale * min(24_000, 1_200_000 // max(1, sum(map(len, shown.values()))))
    views = {}
    for row in report.requirements:
        here = shown.get(row.id, ())
        elsewhere = tuple(e for e in row.evidence if e in known and e not in here)
        replay = f"python -m reports replay report.json {shlex.quote(row.id)}"
        exchanges = tuple(exchange_view(known[e], size, marked.get(e, ()), row.id) for e in here)
        views[row.id] = RowView(
            row, row.id in result.excused, exchanges, elsewhere, replay, words.reason(row), words.seldom(row)
        )
    return views


def _placed(report: Report, known: frozenset[str]) -> dict[str, tuple[str, ...]]:
    free = set(known)
    places = {}
    for row in words.by_urgency(report.requirements):
        if row.verdict not in {"pass", "not-applicable"}:
            mine = tuple(dict.fromkeys(e for e in row.evidence if e in free))
            free.difference_update(mine)
            places[row.id] = mine
    return places


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _asset(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704 - our own files, part of the page


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "shown": shown,
        "line": _line,
        "figure": words.figure,
        "moment": words.moment,
    }
    environment.filters |= filters
    environment.globals |= {"plural": words.plural, "percentiles": words.percentiles, "verdicts": words.SHOWN}
    return environment


def _line(text: object) -> str:
    return clean.one_line(str(text))
