"""Every rendering, parsed back, agrees with its report in every count."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from io import StringIO
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt
from rich.console import Console

from reports.baseline import Baseline, Excuse
from reports.charts import charts
from reports.clean import shortened
from reports.gate import WORDS, judge, rows_of
from reports.html import PAGE_LIMIT, html
from reports.markdown import LISTED
from reports.matrix import matrix
from reports.model import LEVELS, VERDICTS, Frame, LoadReport, Metric, Report, ReportError, Slo
from reports.render import RENDERERS, rendered
from reports.terminal import summarise
from reports.words import answered
from tests.report_samples import TARGET, check, exchange, load_report, load_reports, report, reports, row

relaxed = settings(deadline=None, max_examples=60)
MIXED = report(
    *(row(f"OAI-{n}-{level}", verdict, level) for n, verdict in enumerate(VERDICTS) for level in LEVELS),
    exchanges=(exchange(),),
    checks=(check("chat.field[id]", 2.5),),
)


def verdicts(one: Report) -> Counter[str]:
    return Counter(row.verdict for row in one.requirements)


def cells(text: str) -> list[list[list[str]]]:
    """The tables of a Markdown document as rows of cell texts."""
    tables: list[list[list[str]]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type == "inline" and tables and token.level > 2:
            tables[-1][-1].append(token.content)
    return tables


class Rows(HTMLParser):
    """The verdict, level and tier of each row of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[tuple[str | None, ...]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if "data-row" in found:
            self.rows.append((tag, found["data-verdict"], found["data-level"], found["data-tier"]))


@relaxed
@given(one=reports())
def test_junit_has_a_case_a_row_with_the_outcome_that_the_gate_gives(one: Report) -> None:
    root = ET.fromstring(rendered("junit", one))  # noqa: S314 - our own text
    cases = [case for suite in root if suite.get("name") != "run" for case in suite]
    told = [case.findtext("system-out") or "" for case in cases]
    blocking = Counter(row.verdict for row in rows_of(one) if row.blocking)

    assert verdicts(one) == Counter(re.findall(r"^verdict: (.*)$", "\n".join(told), re.MULTILINE))
    assert blocking["fail"] == int(root.get("failures", "")) == len(root.findall(".//testcase/failure"))
    run = 0 if one.complete and one.requirements else 1
    assert blocking["error"] + blocking["not-run"] + run == int(root.get("errors", "")) == len(root.findall(".//error"))
    assert len(one.requirements) + run == int(root.get("tests", "")) == len(root.findall(".//testcase"))


@relaxed
@given(one=reports())
def test_junit_suites_add_up(one: Report) -> None:
    root = ET.fromstring(rendered("junit", one))  # noqa: S314 - our own text

    for suite in root:
        skipped = len(suite.findall("testcase/skipped"))
        assert int(suite.get("tests", "")) == len(suite.findall("testcase"))
        assert int(suite.get("skipped", "")) == skipped
        passed = len([case for case in suite if not {child.tag for child in case} - {"system-out"}])
        assert passed == len(suite) - skipped - int(suite.get("failures", "")) - int(suite.get("errors", ""))


def test_junit_names_a_stale_excuse() -> None:
    stale = Baseline((Excuse("OAI-01", "known", date(2026, 1, 1)),))
    root = ET.fromstring(rendered("junit", report(row()), stale))  # noqa: S314 - our own text

    assert root.get("failures") == "1"
    assert "no longer needed" in (root.findtext(".//failure") or "")


def test_junit_is_red_whenever_the_gate_is_not_green() -> None:
    stranger = Baseline((Excuse("OAI-99", "known", date(2026, 1, 1)),))
    root = ET.fromstring(rendered("junit", report(row()), stranger))  # noqa: S314 - our own text

    assert root.get("errors") == "1"
    assert "no row of this report" in (root.findtext(".//error") or "")


@relaxed
@given(one=reports())
def test_markdown_counts_every_level_and_verdict(one: Report) -> None:
    counts, *details = cells(rendered("markdown", one))
    columns = counts[0][1:]

    for level, *numbers in counts[1:]:
        keyed = {verdict.replace("-", "_"): int(number) for verdict, number in zip(columns, numbers, strict=True)}
        assert one.summary[level] == keyed
    listed = [min(LISTED, n) for verdict, n in verdicts(one).items() if verdict not in {"pass", "not-applicable"}]
    assert sum(listed) == sum(len(table) - 1 for table in details)
    assert all(len(line) == 6 for table in details for line in table)


@relaxed
@given(one=reports())
def test_the_page_has_every_row_with_its_verdict(one: Report) -> None:
    expected = [("details", r.verdict, r.level, r.tier) for r in one.requirements]

    assert Counter(expected) == Counter(Rows(rendered("html", one)).rows)


@relaxed
@given(one=reports())
def test_the_page_s_table_has_the_counts_of_the_summary(one: Report) -> None:
    table = rendered("html", one).partition("<tbody>")[2].partition("</tbody>")[0]
    cells = [
        re.findall(r'<td class="n(?: zero)? t-([a-z-]+)">(\d+)</td>', line)
        for line in table.split("</tr>")
        if "<tr>" in line
    ]
    found = [{verdict.replace("-", "_"): int(number) for verdict, number in pairs} for pairs in cells]

    assert [one.summary[level] for level in LEVELS] == found


@relaxed
@given(one=reports())
def test_sarif_has_a_rule_a_row_and_a_result_a_failure(one: Report) -> None:
    run = json.loads(rendered("sarif", one))["runs"][0]

    assert len(one.requirements) == len(run["tool"]["driver"]["rules"])
    assert verdicts(one)["fail"] == len(run["results"])
    assert sum(r.blocking and r.verdict == "fail" for r in rows_of(one)) == sum(
        r["level"] == "error" for r in run["results"]
    )
    assert one.summary == run["properties"]["summary"]
    assert one.complete == run["invocations"][0]["executionSuccessful"]
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


@relaxed
@given(one=reports())
def test_ctrf_has_a_test_a_row(one: Report) -> None:
    results = json.loads(rendered("ctrf", one))["results"]
    statuses = Counter(test["status"] for test in results["tests"])
    found = verdicts(one)

    assert found == Counter(test["rawStatus"] for test in results["tests"])
    assert results["summary"]["tests"] == len(one.requirements)
    for status in ("passed", "failed", "pending", "skipped", "other"):
        assert statuses[status] == results["summary"][status]
    assert (found["pass"], found["fail"]) == (statuses["passed"], statuses["failed"])


@relaxed
@given(one=reports())
def test_har_has_an_entry_an_exchange_with_its_bytes(one: Report) -> None:
    entries = json.loads(rendered("har", one))["log"]["entries"]

    assert [(e.status or 0, len(e.body)) for e in one.exchanges] == [
        (e["response"]["status"], e["response"]["content"]["size"]) for e in entries
    ]
    assert all(entry["time"] >= entry["timings"]["wait"] for entry in entries)


@relaxed
@given(one=reports() | load_reports())
def test_the_badge_says_what_the_gate_says(one: Report | LoadReport) -> None:
    root = ET.fromstring(rendered("badge", one))  # noqa: S314 - our own text

    assert WORDS[judge(one).code] in "".join(root.itertext())


@relaxed
@given(one=reports())
def test_the_terminal_counts_every_chapter_and_shows_every_failure(one: Report) -> None:
    console = Console(file=StringIO(), width=80)
    summarise(one, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO above
    heads, totals = (re.search(pattern, text, re.MULTILINE) for pattern in (r"^chapter +(.*)$", r"^all +(.*)$"))
    assert heads
    assert totals
    names = {"n/a": "not-applicable", "unclear": "inconclusive"}
    numbers = {names.get(h, h): n for h, n in zip(heads[1].split(), totals.group(1).split(), strict=True)}

    assert dict(verdicts(one)) == {verdict: int(n) for verdict, n in numbers.items() if n != "."}
    failed = [requirement.level for requirement in one.requirements if requirement.verdict == "fail"]
    blocks = min(50, len([level for level in failed if level != "MAY"]))
    assert blocks == len(re.findall(r"^FAIL ", text, re.MULTILINE))
    assert min(50, failed.count("MAY")) == len(re.findall(r"^  option not taken: ", text, re.MULTILINE))


def test_a_terminal_block_says_what_to_do() -> None:
    failed = row(
        verdict="fail", expected="id: a string", observed="id is absent", reason="1 of 3 answers", evidence=("x1", "x2")
    )
    one = report(failed, exchanges=(exchange(), exchange("x2", 200, b'{"no":"id"}')))
    console = Console(file=StringIO(), width=40)
    summarise(one, console, path="out/report.json")
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # it is the StringIO above
    start = lines.index("FAIL OAI-01  MUST, blocking, chat")

    assert lines[start + 1 : start + 9] == [
        "  says      The answer has an id.",
        "  place     openai.yaml L10-12",
        "  expected  id: a string",
        "  observed  id is absent",
        "  reason    1 of 3 answers",
        '  answer    200 {"no":"id"}',
        f"  curl      {exchange().curl}",
        "  replay    python -m reports replay out/report.json OAI-01",
    ]


def test_a_failure_that_comes_now_and_then_says_so_beside_its_line() -> None:
    often = "now and then, in 3 of 40 answers: expected id: a string; came id is absent"
    facts: dict[str, Any] = {
        "expected": "id: a string",
        "observed": "id is absent",
        "evidence": ("x1",),
        "reason": often,
    }
    one = report(
        row("A", "fail", **facts),
        row("B", "fail", **(facts | {"reason": "expected ...; came ..."})),
        exchanges=(exchange(),),
    )
    console = Console(file=StringIO(), width=40)
    summarise(one, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO above
    told = "it shows the failure only now and then: 3 of 40 answers had it"

    assert re.findall(r"^  curl .*\n(.*)$", text, re.MULTILINE)[0] == f"            ({told})"
    assert text.count(told) == rendered("html", one).count(told) == 1


def test_the_note_of_a_cut_is_never_longer_than_what_it_stands_for() -> None:
    for size in range(280, 400):
        told = answered(exchange(body=b"x" * size))
        assert len(told) <= len("200 ") + size
        assert ("more bytes" in told) == (size > 340)
        assert len(shortened("x" * size, 300)) <= size
    assert (
        answered(exchange(body=b"a" * 150 + b"b" * 100 + b"c" * 150))
        == f"200 {'a' * 150} [... 100 more bytes ...] {'c' * 150}"
    )


def test_a_summary_fits_one_screen() -> None:
    console = Console(file=StringIO(), width=80)
    summarise(report(*(row(f"A{n}", chapter=f"chapter{n % 15}") for n in range(400))), console)

    assert len(console.file.getvalue().splitlines()) <= 24  # type: ignore[attr-defined]  # it is the StringIO above


def test_a_terminal_that_is_a_file_gets_no_colour_and_one_that_is_not_does() -> None:
    piped = Console(file=StringIO())
    shown = Console(file=StringIO(), force_terminal=True, color_system="standard")
    for console in (piped, shown):
        summarise(MIXED, console)

    assert "\x1b" not in piped.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO above
    assert "\x1b[1;31m" in shown.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO above


@relaxed
@given(one=load_reports())
def test_a_load_report_shows_every_metric_rate_and_objective(one: LoadReport) -> None:
    tables = cells(rendered("markdown", one))
    html = rendered("html", one)
    rows = sum(len(table) - 1 for table in tables)
    cases = ET.fromstring(rendered("junit", one)).findall(".//testcase")  # noqa: S314 - our own text
    stated = len(one.metrics) + len(one.rates) + len(one.slo) + len(one.errors)

    assert stated == rows == html.count('<th scope="row">')
    assert len(one.slo) + 1 == len(cases)
    assert len(one.slo) + 1 == json.loads(rendered("ctrf", one))["results"]["summary"]["tests"]
    assert sum(s.verdict == "fail" for s in one.slo) == len(json.loads(rendered("sarif", one))["runs"][0]["results"])


def test_an_objective_given_twice_is_one_rule_of_sarif() -> None:
    twice = (Slo("a<1ms", "a", 1.0, 5.0, "fail"),) * 2
    run = json.loads(rendered("sarif", load_report(slo=twice)))["runs"][0]

    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["a<1ms"]
    assert [result["ruleIndex"] for result in run["results"]] == [0, 0]


def test_a_load_report_has_no_exchanges_for_har() -> None:
    with pytest.raises(ReportError, match="no exchanges"):
        rendered("har", load_report())


def test_a_metric_without_samples_shows_dashes_and_no_zero() -> None:
    text = rendered("markdown", load_report(metrics=(Metric("ttft_reasoning", "ms", "lower", 0),)))

    assert "| `ttft_reasoning` | ms | 0 | - | - | - | - | - | - |" in text


def test_a_check_that_decides_two_rows_is_timed_once() -> None:
    one = report(row("A"), row("B"), checks=(check("chat.field[id]", 2.5),))
    root = ET.fromstring(rendered("junit", one))  # noqa: S314 - our own text

    assert [case.get("time") for case in root.iter("testcase")] == ["2.500", "0.000"]
    assert root[0].get("time") == "2.500"


@pytest.mark.parametrize("kind", RENDERERS)
def test_a_rendering_is_the_same_each_time(kind: str) -> None:
    assert rendered(kind, MIXED) == rendered(kind, MIXED)


def big(frames: int, size: int) -> Report:
    stream = tuple(Frame.of(n / 100, b"data: " + b'"<x>"' * (size // 5) + b"\n\n") for n in range(frames))
    exchanges = tuple(exchange(f"x{n}", frames=stream, curl="curl " + "y" * 900) for n in range(600))
    rows = (row(f"A{n}", "fail", evidence=(f"x{n}",), observed="o" * 3000) for n in range(300))
    return report(*rows, exchanges=exchanges)


@pytest.mark.parametrize(("frames", "size"), [(1, 200), (30, 150), (1, 20_000)])
def test_the_page_of_600_exchanges_stays_small_and_holds_each(frames: int, size: int) -> None:
    text = rendered("html", big(frames, size))

    assert len(text.encode()) <= PAGE_LIMIT
    assert text.count('<details class="exchange"') == 600
    assert ("more characters are in report.json" in text) == (frames * size > 200)


def test_a_page_without_a_cut_has_no_note_of_one() -> None:
    assert "more characters" not in rendered("html", MIXED)


def test_an_exchange_is_shown_once_under_the_first_row_that_failed_and_linked_from_others() -> None:
    failed, passed = row("A", "fail", evidence=("x1", "x2")), row("B", evidence=("x1", "x9"))
    text = rendered("html", report(passed, failed, exchanges=(exchange(), exchange("x2"), exchange("x3"))))

    assert [text.count(f'id="x{n}"') for n in (1, 2, 3)] == [1, 1, 1]
    assert text.count('href="#x1"') == 1
    assert "#x9" not in text


def test_the_matrix_has_every_target_and_verdict() -> None:
    old, new = (report(row("A", v), row("B"), started=f"2026-11-2{n}T00:00:00Z") for n, v in ((1, "fail"), (2, "pass")))
    other = report(row("A", "untested"), row("C", "fail"), target=load_report(target=new.target).target)
    files = matrix([new, old, _renamed(other)])
    document: dict[str, Any] = json.loads(files["matrix.json"])

    assert [t["result"] for t in document["targets"]] == ["passed", "failed"]
    assert [h["result"] for h in document["targets"][0]["history"]] == ["failed", "passed"]
    first, second = (t["slug"] for t in document["targets"])
    assert {r["id"]: r["verdicts"] for r in document["requirements"]["openai"]} == {
        "A": {first: "pass", second: "untested"},
        "B": {first: "pass", second: None},
        "C": {first: None, second: "fail"},
    }
    pages = {f"{slug}.html" for slug in (first, second)}
    assert {"index.html", "matrix.json", *pages} <= set(files)
    for slug in (first, second):
        assert ET.fromstring(files[f"badges/{slug}.svg"]).tag.endswith("svg")  # noqa: S314 - our own text
        assert f'href="{slug}.html#row-' in files["index.html"]


def _renamed(one: Report) -> Report:
    return replace(one, target=replace(one.target, model="other"))


def test_targets_whose_names_differ_only_in_signs_get_files_of_their_own() -> None:
    names = ("a/b", "a-b", "../../a b", "A\\B")
    one = report(row())
    files = matrix([replace(one, target=replace(one.target, url="", dialect="", model=name)) for name in names])

    assert {"a-b.html", "a-b-2.html", "a-b-3.html", "a-b-4.html"} <= set(files)


def test_a_matrix_of_load_reports_is_refused() -> None:
    with pytest.raises(ReportError, match="matrix is made of conformance reports"):
        matrix([load_report()])


def test_a_chart_spans_its_box_and_leaves_a_gap_where_nothing_was_measured() -> None:
    timeline = (
        {"t": 0.0, "rate": 5.0},
        {"t": 1.0, "rate": None},
        {"t": 2.0, "rate": 15.0},
        {"t": 4.0, "rate": 10.0, "b": 7},
    )
    rate, constant = charts(timeline)

    assert (rate.name, rate.low, rate.high, rate.seconds, rate.path) == (
        "rate",
        5.0,
        15.0,
        4.0,
        "M0.0 100.0M500.0 0.0L1000.0 50.0",
    )
    assert constant.path == "M1000.0 50.0"
    assert charts(()) == charts([{"t": 1.0}]) == ()


def test_a_load_page_draws_its_timeline() -> None:
    text = rendered("html", load_report(timeline=({"t": 0.0, "x<y": 1.0}, {"t": 1.0, "x<y": 2.0})))

    assert '<path class="line" d="M0.0 100.0L1000.0 0.0"/>' in text
    assert "x&lt;y" in text
    assert "Timeline" not in rendered("html", load_report())


def test_long_lists_are_cut_with_a_note() -> None:
    one = report(*(row(f"A{n}", "fail") for n in range(250)))
    console = Console(file=StringIO(), width=80)
    summarise(one, console, blocks=3)

    assert "... and 50 more; report.html has them all." in rendered("markdown", one)
    assert "... and 247 more failed; the report has them all." in console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO above


def test_the_page_names_its_tool_and_how_long_the_run_took() -> None:
    text = rendered("html", MIXED)

    assert "chat-conformance 0.1.0" in text
    assert "<dd>1 min 30 s</dd>" in text


def test_the_top_of_the_page_lists_a_dozen_of_many_rows_and_counts_the_rest() -> None:
    text = html(report(*(row(f"U-{n:02}", "untested") for n in range(40))))

    assert "40 not shown (untested): U-00, U-01" in text
    assert "U-10, U-11 and 28 more</li>" in text
    assert "U-12, U-13" not in text


def test_columns_of_one_model_at_two_hosts_are_headed_by_their_hosts() -> None:
    both = [report(row(), target=replace(TARGET, url=f"http://{host}/v1")) for host in ("a", "b")]

    page = matrix(both)["index.html"]

    assert page.count(">http://a/v1</button>") == page.count(">http://b/v1</button>") == 1
    assert ">tiny</button>" not in page


def test_runs_with_one_name_are_one_target_though_each_had_a_port_of_its_own() -> None:
    runs = [
        report(row(verdict=verdict), started=f"2026-11-2{n}T12:00:00Z", target=replace(TARGET, url=f"http://h:{n}"))
        for n, verdict in enumerate(("fail", "pass"))
    ]

    files = matrix([*runs, runs[0]], names=["ours", "ours"])

    ours, other = json.loads(files["matrix.json"])["targets"]
    assert (ours["name"], ours["url"], ours["slug"]) == ("ours", "http://h:1", "openai-ours-tiny")
    figures = [(run["result"], run["depth"], run["passed"], run["blocking"]) for run in ours["history"]]
    assert figures == [("failed", "full", 0, 1), ("passed", "full", 1, 1)]
    assert (other["name"], len(other["history"])) == ("http://h:0", 1)
    assert ">ours</button>" in files["index.html"]


def test_each_of_several_runs_of_a_target_has_its_place_in_its_history() -> None:
    runs = [
        report(row(verdict=verdict), started=f"2026-11-2{n}T12:00:00Z") for n, verdict in enumerate(("fail", "pass"))
    ]

    files = matrix(runs[::-1])

    (target,) = json.loads(files["matrix.json"])["targets"]
    assert [one["result"] for one in target["history"]] == ["failed", "passed"]
    assert json.loads(files[f"badges/{target['slug']}.json"])["message"] == target["result"] == "passed"
    assert "passed" in files[f"badges/{target['slug']}.svg"]
