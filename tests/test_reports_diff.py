"""What two reports say about progress."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings

from reports.diff import diff
from reports.model import VERDICTS, Certificate, LoadReport, Metric, Rate, Report, ReportError, Slo
from tests.report_samples import load_report, load_reports, report, reports, row

SHOWN, UNSHOWN = {"pass", "not-applicable"}, {"error", "not-run", "inconclusive", "untested"}


def kind(old: str, new: str) -> str | None:
    """The documented kind of a change of verdict."""
    if old != new and {old, new} <= SHOWN | {"inconclusive"}:
        return "changed"
    groups = [SHOWN, UNSHOWN, {"fail"}]
    was, now = (next(n for n, group in enumerate(groups) if verdict in group) for verdict in (old, new))
    return None if old == new else "worse" if now > was else "better" if now < was else "changed"


@pytest.mark.parametrize(("old", "new"), [*product(VERDICTS, VERDICTS)])
def test_a_row_is_worse_when_it_came_closer_to_failing(old: str, new: str) -> None:
    changes = diff(report(row(verdict=old)), report(row(verdict=new)))

    expected = kind(old, new)

    assert ([expected] if expected else []) == [change.kind for change in changes]


def test_rows_appear_and_vanish() -> None:
    changes = diff(report(row("A"), row("B", "fail")), report(row("A"), row("C", "fail")))

    assert [(c.kind, c.id, c.text) for c in changes] == [
        ("appeared", "C", "fail (MUST)"),
        ("vanished", "B", "was fail"),
    ]


def test_the_worst_comes_first() -> None:
    old = report(row("A", "fail"), row("B"), row("C", "error"))
    new = report(row("A"), row("B", "fail"), row("C", "untested"), row("D"))

    assert [change.kind for change in diff(old, new)] == ["worse", "better", "changed", "appeared"]


@settings(deadline=None)
@given(one=reports() | load_reports())
def test_nothing_changed_between_a_report_and_itself(one: Report | LoadReport) -> None:
    judged = one.complete if isinstance(one, Report) else one.certificate.verdict == "VALID"

    if judged:
        assert diff(one, one) == ()
    else:
        with pytest.raises(ReportError):
            diff(one, one)


@pytest.mark.parametrize(
    ("better", "old", "new", "expected"),
    [
        ("lower", 100.0, 111.0, ["worse"]),
        ("lower", 100.0, 109.0, []),
        ("lower", 100.0, 89.0, ["better"]),
        ("higher", 100.0, 89.0, ["worse"]),
        ("higher", 100.0, 111.0, ["better"]),
        ("lower", 0.0, 0.1, ["worse"]),
        ("lower", 0.0, 0.0, []),
        ("lower", None, 5.0, ["appeared"]),
        ("lower", 5.0, None, ["vanished"]),
        ("lower", None, None, []),
    ],
)
def test_a_figure_is_worse_when_it_moved_the_wrong_way_beyond_the_tolerance(
    better: str, old: float | None, new: float | None, expected: list[str]
) -> None:
    before, after = (load_report(rates=(Rate("r", "x", better, value),)) for value in (old, new))

    assert expected == [change.kind for change in diff(before, after, 0.1)]


def test_percentiles_are_compared_one_by_one() -> None:
    before, after = (
        load_report(metrics=(Metric("ttft", "ms", "lower", 9, 50, 50, 60, p99, 99, 99),)) for p99 in (70.0, 90.0)
    )
    changes = diff(before, after)

    assert [(c.kind, c.id, c.text) for c in changes] == [("worse", "ttft p99", "70.00 ms -> 90.00 ms (+28.6 %)")]


def test_an_objective_that_is_no_longer_met_is_worse() -> None:
    before, after = (load_report(slo=(Slo("a<1ms", "a", 1.0, 0.5, verdict),)) for verdict in ("pass", "fail"))

    assert [change.kind for change in diff(before, after)] == ["worse"]
    assert [change.kind for change in diff(after, before)] == ["better"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (report(row()), load_report(), "cannot be compared"),
        (
            report(row()),
            report(row(), complete=False, reason="interrupted"),
            "the new report is incomplete: interrupted",
        ),
        (
            load_report(certificate=Certificate("INVALID", ("late",))),
            load_report(),
            "the old report has no valid certificate: late",
        ),
        (load_report(), load_report(scenario={"name": "long"}), "different scenarios: 'chat' and 'long'"),
    ],
)
def test_what_cannot_be_compared_says_why(old: Report | LoadReport, new: Report | LoadReport, sentence: str) -> None:
    with pytest.raises(ReportError, match=sentence):
        diff(old, new)
