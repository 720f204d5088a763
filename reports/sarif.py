"""SARIF 2.1.0: a rule a requirement, a result a failed one, so that code scanning lists what is to be mended.

A failed blocking row is an error, a failed SHOULD a warning, any other failure a note. The counts of all verdicts are
the run's properties; a run that is incomplete says so by executionSuccessful.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reports import clean
from reports.gate import judge, rows_of
from reports.model import LoadReport, Report, RequirementResult

if TYPE_CHECKING:
    from reports.baseline import Baseline

Json = dict[str, Any]
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(report: Report | LoadReport, baseline: Baseline | None = None, level: str | None = None) -> str:
    """The SARIF log as JSON text."""
    results, rules = _load(report) if isinstance(report, LoadReport) else _conformance(report, baseline, level)
    run = {
        "tool": {"driver": {"name": report.tool.name, "version": clean.one_line(report.tool.version), "rules": rules}},
        "invocations": [_invocation(report)],
        "results": results,
        "properties": _properties(report),
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _invocation(report: Report | LoadReport) -> Json:
    times = {"startTimeUtc": _zulu(report.started), "endTimeUtc": _zulu(report.finished)}
    return {"executionSuccessful": report.complete, **times}


def _properties(report: Report | LoadReport) -> Json:
    target = {"url": clean.one_line(report.target.url), "dialect": clean.one_line(report.target.dialect)}
    return {"target": target, "summary": report.summary if isinstance(report, Report) else {}}


def _conformance(report: Report, baseline: Baseline | None, level: str | None) -> tuple[list[Json], list[Json]]:
    excused = set(judge(report, baseline, level).excused)
    blocking = {row.id for row in rows_of(report, level) if row.blocking}
    rules = [_rule(row.id, row.says, row.place) for row in report.requirements]
    failed = [(n, row) for n, row in enumerate(report.requirements) if row.verdict == "fail"]
    return [_result(n, row, report, row.id in blocking, row.id in excused) for n, row in failed], rules


def _rule(name: str, says: str, place: str) -> Json:
    return {"id": clean.one_line(name), "shortDescription": _message(says), "help": _message(place or "no place given")}


def _result(index: int, row: RequirementResult, report: Report, blocking: bool, excused: bool) -> Json:  # noqa: FBT001 - both by position once, above
    level = "error" if blocking else "warning" if row.level == "SHOULD" else "note"
    observed = clean.shortened(row.observed or row.reason or "no more is known", 2000)
    expected = f" Expected: {clean.shortened(row.expected, 1000)}" if row.expected else ""
    name = f"{report.target.dialect}/{row.chapter}/{row.id}"
    suppressions = (
        {"suppressions": [{"kind": "external", "justification": "excused by the baseline"}]} if excused else {}
    )
    return {
        "ruleId": clean.one_line(row.id),
        "ruleIndex": index,
        "kind": "fail",
        "level": level,
        "message": _message(f"{row.says} Observed: {observed}{expected}"),
        "locations": [_location(name)],
        "partialFingerprints": {"requirement/v1": clean.one_line(name)},
        **suppressions,
    }


def _load(report: LoadReport) -> tuple[list[Json], list[Json]]:
    texts = list(dict.fromkeys(slo.text for slo in report.slo))  # an objective given twice is one rule
    rules = [_rule(text, f"The objective {text} holds.", "") for text in texts]
    failed = [(texts.index(slo.text), slo) for slo in report.slo if slo.verdict == "fail"]
    results = [
        {
            "ruleId": clean.one_line(slo.text),
            "ruleIndex": n,
            "kind": "fail",
            "level": "error",
            "message": _message(f"{slo.text}: observed {slo.observed}, limit {slo.limit}"),
            "locations": [_location(f"load/{slo.metric}")],
        }
        for n, slo in failed
    ]
    return results, rules


def _location(name: str) -> Json:
    physical = {"artifactLocation": {"uri": "report.json"}, "region": {"startLine": 1}}
    return {"physicalLocation": physical, "logicalLocations": [{"fullyQualifiedName": clean.one_line(name)}]}


def _message(text: str) -> Json:
    return {"text": clean.sarif(text)}


def _zulu(time: str) -> str:
    return time.replace("+00:00", "Z")
