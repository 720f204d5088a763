"""JUnit XML: a suite a chapter, a case a requirement (for load, a case an objective).

What a CI system turns red is what the gate turns red: a failed blocking row is a failure, a blocking row that could not
be judged an error. Every other row that did not pass is skipped, and its message says which verdict it has. Each case
has its verdict, level and tier as lines of system-out, so that all counts of the report can be read back. The shape is
what junit-10.xsd of Jenkins' xunit plugin allows, which knows no properties of a case.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from reports import clean
from reports.gate import CANNOT_JUDGE, CERTIFICATE, FAILED, GateResult, judge, rows_of
from reports.model import LoadReport, Report, RequirementResult
from reports.words import reason, seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reports.baseline import Baseline

OUTCOMES = {"fail": "failure", "error": "error", "not-run": "error"}
KINDS = ("failure", "error", "skipped")


def junit(report: Report | LoadReport, baseline: Baseline | None = None, level: str | None = None) -> str:
    """The XML document as text."""
    result = judge(report, baseline, level)
    if isinstance(report, LoadReport):
        suites = [_load_suite(report)]
    else:
        suites = _suites(report, level, frozenset(result.excused))
    root = ET.Element("testsuites", name=_text(f"{report.target.dialect} {report.target.url}"))
    root.extend(suites)
    root.extend(_of_the_run(report, result, root))
    _count(root, root.iter("testcase"))
    root.set("time", f"{seconds_of(report):.3f}")
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suites(report: Report, level: str | None, excused: frozenset[str]) -> list[ET.Element]:
    blocking = {row.id for row in rows_of(report, level) if row.blocking and row.id not in excused}
    seconds = {check.id: check.seconds for check in report.checks}
    chapters: dict[str, list[ET.Element]] = defaultdict(list)
    for row in report.requirements:
        spent = sum(seconds.pop(check.id, 0.0) for check in row.checks)  # a check that decides two rows is timed once
        chapters[row.chapter].append(_case(report, row, spent, blocking=row.id in blocking))
    return [_suite(report, chapter, cases) for chapter, cases in chapters.items()]


def _suite(report: Report | LoadReport, name: str, cases: list[ET.Element]) -> ET.Element:
    suite = ET.Element("testsuite", name=_text(name))
    _count(suite, cases)
    suite.set("time", f"{sum(float(case.get('time', 0)) for case in cases):.3f}")
    suite.set("timestamp", report.started[:19])
    suite.extend(cases)
    return suite


def _case(report: Report, row: RequirementResult, seconds: float, *, blocking: bool) -> ET.Element:
    case = ET.Element("testcase", name=_text(f"{row.id} {row.says}"), time=f"{seconds:.3f}")
    case.set("classname", _text(f"{report.target.dialect}.{row.chapter}"))
    if row.verdict != "pass":
        kind = OUTCOMES.get(row.verdict, "skipped") if blocking else "skipped"
        note = f"{row.verdict} ({row.level}{'' if blocking else ', not blocking'})"
        _outcome(case, kind, f"{note}: {row.observed or row.reason or row.says}", _details(row))
    facts = {"id": row.id, "verdict": row.verdict, "level": row.level, "tier": row.tier, "place": row.place}
    told = "\n".join(f"{name}: {clean.one_line(value)}" for name, value in facts.items())
    ET.SubElement(case, "system-out").text = clean.xml(told)
    return case


def _details(row: RequirementResult) -> str:
    parts = {
        "says": row.says,
        "place": row.place,
        "expected": row.expected,
        "observed": row.observed,
        "reason": reason(row),
    }
    lines = [f"{name}: {clean.one_line(value)}" for name, value in parts.items() if value]
    lines += [f"exchanges: {clean.one_line(', '.join(row.evidence))}"] if row.evidence else []
    return "\n".join(lines)


def _outcome(case: ET.Element, kind: str, message: str, details: str) -> None:
    element = ET.SubElement(case, kind, message=_text(clean.shortened(message, 500)))
    if kind != "skipped":
        element.set("type", kind)
        element.text = clean.xml(details)


def _load_suite(report: LoadReport) -> ET.Element:
    cases = []
    for row in rows_of(report):
        case = ET.Element(
            "testcase", name=_text(row.label), time="0.000", classname=_text(f"{report.target.dialect}.load")
        )
        if row.verdict != "pass":
            reasons = "; ".join(report.certificate.reasons) if row.id == CERTIFICATE else _observed(report, row.id)
            _outcome(case, OUTCOMES[row.verdict], f"{row.verdict}: {row.label}", reasons)
        cases.append(case)
    return _suite(report, f"load {report.scenario['name']}", cases)


def _observed(report: LoadReport, text: str) -> str:
    return "; ".join(f"observed {slo.observed}, limit {slo.limit}" for slo in report.slo if slo.text == text)


def _of_the_run(report: Report | LoadReport, result: GateResult, root: ET.Element) -> Iterator[ET.Element]:
    """A case of the run as a whole where no row's case is as red as the gate: no dashboard may show green instead."""
    if not report.complete:
        yield _run_suite(report, "incomplete", report.reason or "", "error")
    elif result.code == CANNOT_JUDGE and root.find(".//error") is None:
        yield _run_suite(report, "cannot judge", "; ".join(result.sentences), "error")
    elif result.code == FAILED and root.find(".//failure") is None:
        yield _run_suite(report, "baseline", "; ".join(result.sentences), "failure")


def _run_suite(report: Report | LoadReport, name: str, why: str, kind: str) -> ET.Element:
    case = ET.Element(
        "testcase", name=f"the run: {name}", time="0.000", classname=_text(f"{report.target.dialect}.run")
    )
    _outcome(case, kind, f"{name}: {why}", why)
    return _suite(report, "run", [case])


def _count(element: ET.Element, cases: Iterable[ET.Element]) -> None:
    found = list(cases)
    totals = {kind: sum(case.find(kind) is not None for case in found) for kind in KINDS}
    element.set("tests", str(len(found)))
    element.set("failures", str(totals["failure"]))
    element.set("errors", str(totals["error"]))
    if element.tag == "testsuite":
        element.set("skipped", str(totals["skipped"]))


def _text(text: str) -> str:
    return clean.xml(clean.one_line(text))
