"""A report on disk is the report that was written, or a sentence that says what is wrong with it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from reports import storage
from reports.model import VERDICTS, Frame, LoadReport, Report, ReportError, load, this_tool, utc_now, worst, write
from tests.report_samples import exchange, load_report, load_reports, report, reports, row

ROOT = Path(__file__).parents[1]
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)


def refusal(path: Path) -> str:
    with pytest.raises(ReportError) as caught:
        load(path)
    return str(caught.value)


@given(one=reports() | load_reports())
def test_a_report_becomes_json_and_the_same_report_again(one: Report | LoadReport) -> None:
    assert one == type(one).from_json(json.loads(json.dumps(one.to_json())))


@given(one=reports() | load_reports())
def test_every_report_keeps_to_its_published_schema(one: Report | LoadReport) -> None:
    document = one.to_json()

    assert list(storage.validator(document["kind"]).iter_errors(document)) == []


@in_one_folder
@given(one=reports() | load_reports())
def test_a_written_report_loads_as_the_same_report_without_secrets(one: Report | LoadReport, tmp_path: Path) -> None:
    first = load(write(one, tmp_path))

    assert first.to_json() == load(write(first, tmp_path)).to_json()


@pytest.mark.parametrize("name", ["report.schema.json", "load.schema.json"])
def test_the_published_schemas_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(json.loads((ROOT / "reports" / name).read_text(encoding="utf-8")))


def test_a_folder_stands_for_the_report_in_it(tmp_path: Path) -> None:
    write(report(row()), tmp_path / "a")
    write(load_report(), tmp_path / "b")

    assert isinstance(load(tmp_path / "a"), Report)
    assert isinstance(load(tmp_path / "b"), LoadReport)


def test_the_folder_receives_every_rendering(tmp_path: Path) -> None:
    write(report(row()), tmp_path / "a")
    write(load_report(), tmp_path / "b")

    assert {"report.json", "report.html", "report.md", "junit.xml"} == {p.name for p in (tmp_path / "a").iterdir()}
    assert {"load.json", "load.html", "load.md"} == {p.name for p in (tmp_path / "b").iterdir()}


def test_a_report_that_breaks_its_schema_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"requirements\[0\]\.verdict"):
        write(report(replace(row(), verdict="maybe")), tmp_path / "new")

    assert not (tmp_path / "new").exists()


def test_a_number_that_json_lacks_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"report\.json: cannot be written: Out of range"):
        write(report(row(), exchanges=(exchange(seconds=float("inf")),)), tmp_path)

    assert not (tmp_path / "report.json").exists()


def test_an_interrupted_write_leaves_the_old_report_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(report(row()), tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def interrupted(_: Path, target: Path) -> None:
        raise KeyboardInterrupt(str(target))

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(report(row(verdict="fail")), tmp_path)

    assert before == {p.name: p.read_bytes() for p in tmp_path.iterdir()}


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")

    with pytest.raises(ReportError, match=r"file.*: cannot be written: "):
        write(report(row()), tmp_path / "file" / "deeper")


def test_a_missing_report_is_called_unreadable(tmp_path: Path) -> None:
    assert "unreadable: No such file" in refusal(tmp_path / "report.json")


@in_one_folder
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_report_cut_anywhere_is_called_truncated(share: float, tmp_path: Path) -> None:
    path = write(report(row(), row("OAI-02", "fail"), exchanges=(exchange(),)), tmp_path)
    text = path.read_text(encoding="utf-8").rstrip().rstrip("}").rstrip()
    path.write_text(text[: int(len(text) * share)], encoding="utf-8")

    assert "truncated" in refusal(path)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("not json at all", "damaged"),
        ("<testsuites/>", "damaged"),
        ('{"a": 1} {"b": 2}', "damaged"),
        ('{"seed": NaN}', "damaged: NaN is not JSON"),
        ("[" * 100_000, "damaged|truncated"),
        ("[]", "foreign"),
        ("null", "foreign"),
        ('"text"', "foreign"),
        ("{}", "foreign: kind is None"),
        ('{"kind": ["load"]}', "foreign"),
        ('{"kind": "conformance"}', "schema_version is None"),
        ('{"kind": "conformance", "schema_version": "2"}', "schema_version is '2', this tool reads '1' only"),
        ('{"kind": "load", "schema_version": "1"}', "foreign: top level: .* is a required property"),
    ],
)
def test_a_file_that_is_no_report_is_refused_with_a_clear_word(text: str, word: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ReportError, match=word):
        load(path)


def test_bytes_that_are_not_utf_8_are_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(b'{"kind": "\xff"}')

    assert "damaged: byte 10 is not UTF-8" in refusal(path)


def test_a_summary_that_does_not_add_up_is_refused(tmp_path: Path) -> None:
    path = write(report(row(verdict="fail")), tmp_path)
    path.write_text(
        path.read_text(encoding="utf-8").replace('"pass": 0, "fail": 1', '"pass": 1, "fail": 0'), encoding="utf-8"
    )

    assert "contradicts itself: summary" in refusal(path)


def test_a_row_that_stands_twice_is_refused(tmp_path: Path) -> None:
    assert "'OAI-01' stands twice" in refusal(write(report(row(), row()), tmp_path))


@pytest.mark.parametrize(("complete", "reason"), [(True, "why"), (False, None), (False, "")])
def test_a_reason_stands_exactly_where_a_run_is_incomplete(complete: bool, reason: str | None, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter of the table above
    with pytest.raises(ReportError, match="reason"):
        write(report(row(), complete=complete, reason=reason), tmp_path)


@given(data=st.binary())
def test_a_frame_gives_back_the_bytes_it_was_made_of(data: bytes) -> None:
    assert data == Frame.of(0.5, data).data


@given(verdicts=st.lists(st.sampled_from(VERDICTS), min_size=1))
def test_the_worst_verdict_is_the_first_in_the_order_that_occurs(verdicts: list[str]) -> None:
    order = ("fail", "error", "not-run", "inconclusive", "untested", "pass", "not-applicable")

    assert next(verdict for verdict in order if verdict in verdicts) == worst(verdicts)


def test_no_verdict_at_all_is_not_green() -> None:
    assert worst(()) == "not-run"


def test_the_model_brings_no_renderer_and_no_validator_into_a_run() -> None:
    heavy = "{'jsonschema', 'jinja2', 'rich', 'reports.html', 'importlib.metadata'}"
    code = f"import sys; import reports.model; print(sorted(set(sys.modules) & {heavy}))"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_the_present_moment_and_tool_keep_to_the_schema(tmp_path: Path) -> None:
    now = utc_now()
    one = load(write(report(row(), started=now, finished=now, tool=this_tool()), tmp_path))

    assert (now, "chat-conformance") == (one.started, one.tool.name)
