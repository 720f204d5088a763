"""CTRF (Common Test Report Format): a test a requirement, in the five statuses that the format has."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from reports import clean
from reports.gate import rows_of
from reports.model import LoadReport, Report, RequirementResult

if TYPE_CHECKING:
    from reports.baseline import Baseline

Json = dict[str, Any]
STATUS = {
    "pass": "passed",
    "fail": "failed",
    "error": "other",
    "not-run": "pending",
    "inconclusive": "other",
    "untested": "skipped",
    "not-applicable": "skipped",
}
STATUSES = ("passed", "failed", "pending", "skipped", "other")


def ctrf(report: Report | LoadReport, baseline: Baseline | None = None, level: str | None = None) -> str:
    """The CTRF report as JSON text. It speaks of verdicts, which no baseline and no level changes."""
    del baseline
    tests = _objectives(report) if isinstance(report, LoadReport) else _tests(report, level)
    times = {"start": _milliseconds(report.started), "stop": _milliseconds(report.finished)}
    counts = {status: sum(test["status"] == status for test in tests) for status in STATUSES}
    results = {
        "tool": {"name": clean.one_line(report.tool.name), "version": clean.one_line(report.tool.version)},
        "summary": {"tests": len(tests), **counts, **times},
        "tests": tests,
        "environment": {"testEnvironment": clean.one_line(f"{report.target.dialect} {report.target.url}")},
        "extra": {"complete": report.complete, "summary": report.summary if isinstance(report, Report) else {}},
    }
    return json.dumps({"reportFormat": "CTRF", "specVersion": "1.0.0", "results": results}, indent=1) + "\n"


def _tests(report: Report, level: str | None) -> list[Json]:
    blocking = {row.id for row in rows_of(report, level) if row.blocking}
    seconds = {check.id: check.seconds for check in report.checks}
    return [
        _test(row, sum(seconds.pop(c.id, 0) for c in row.checks), row.id in blocking) for row in report.requirements
    ]


def _test(row: RequirementResult, seconds: float, blocking: bool) -> Json:  # noqa: FBT001 - by position once, above
    told = {"message": row.observed or row.reason, "trace": row.expected and f"expected {row.expected}"}
    return {
        "name": clean.one_line(f"{row.id} {row.says}"),
        "status": STATUS[row.verdict],
        "rawStatus": row.verdict,
        "duration": round(seconds * 1000),
        "suite": [clean.one_line(row.chapter)],
        "tags": [row.level, row.tier],
        "extra": {"id": clean.one_line(row.id), "place": clean.one_line(row.place), "blocking": blocking},
        **{name: clean.one_line(clean.shortened(text, 4000)) for name, text in told.items() if text},
    }


def _objectives(report: LoadReport) -> list[Json]:
    rows = rows_of(report)
    return [
        {"name": clean.one_line(r.label), "status": STATUS[r.verdict], "rawStatus": r.verdict, "duration": 0}
        for r in rows
    ]


def _milliseconds(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000)
