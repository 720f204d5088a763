"""A baseline is read whole or refused with the place of the mistake."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reports.baseline import Baseline, BaselineError, Excuse, load_baseline, written
from reports.gate import judge
from tests.report_samples import load_report, names, report, row, texts

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2026, 11, 25)
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def read(tmp_path: Path, text: str) -> Baseline:
    path = tmp_path / "baseline.toml"
    path.write_text(text, encoding="utf-8")
    return load_baseline(path)


def test_an_excuse_has_all_its_fields(tmp_path: Path) -> None:
    text = """
        [[excuse]]
        id = "OAI-12"
        reason = "known"
        since = 2026-11-25
        link = "https://example.com/1"
        until = "2027-03-01"
    """
    expected = Excuse("OAI-12", "known", TODAY, "https://example.com/1", date(2027, 3, 1))

    assert Baseline((expected,)) == read(tmp_path, text)


def test_an_empty_file_excuses_nothing(tmp_path: Path) -> None:
    assert Baseline() == read(tmp_path, "")


GOOD = 'id = "A"\nreason = "r"\nsince = 2026-11-25\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[excuse", "not TOML"),
        ("[[excuses]]\n" + GOOD, r"excuses: unknown table or key; allowed is \[\[excuse\]\] only"),
        ("[excuse]\n" + GOOD, r"excuse: found \{.*expected tables written \[\[excuse\]\]"),
        ("excuse = 3", "excuse: found 3, expected tables"),
        ('[[excuse]]\nid = "A"\nsince = 2026-11-25', "excuse 1: reason is missing; required are id, reason, since"),
        ("[[excuse]]\n" + GOOD + "untill = 2027-01-01", "excuse 1: untill: unknown field; allowed are .* until"),
        ("[[excuse]]\n" + GOOD.replace('"r"', '" "'), "excuse 1: reason: found ' ', expected a text"),
        ("[[excuse]]\n" + GOOD.replace('"A"', "7"), "excuse 1: id: found 7, expected a text"),
        ("[[excuse]]\n" + GOOD.replace("2026-11-25", '"soon"'), "excuse 1: since: found 'soon', expected a date"),
        ("[[excuse]]\n" + GOOD.replace("2026-11-25", "2026-11-25T10:00:00Z"), "since: found datetime.*expected a date"),
        (f"[[excuse]]\n{GOOD}[[excuse]]\n{GOOD}", "id 'A' is excused twice"),
    ],
)
def test_a_mistake_names_field_value_and_what_is_allowed(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match=sentence):
        read(tmp_path, text)


def test_a_missing_baseline_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match=r"none\.toml: unreadable: No such file"):
        load_baseline(tmp_path / "none.toml")


@in_one_folder
@given(ids=st.lists(names.filter(str.strip), unique=True, max_size=4), told=texts)
def test_a_written_baseline_excuses_exactly_what_failed(ids: list[str], told: str, tmp_path: Path) -> None:
    ids = [name.encode("utf-8", "replace").decode() for name in ids]
    rows = tuple(row(f"{name}-{n}", "fail", observed=told) for n, name in enumerate(ids))
    one = report(*rows, row("OK"))
    baseline = read(tmp_path, written(one, judge(one).failed, TODAY))

    assert [excuse.id for excuse in baseline.excuses] == [row.id for row in rows]
    assert judge(one, baseline, today=TODAY).code == 0


def test_a_baseline_of_a_load_report_excuses_objectives_by_their_text() -> None:
    assert 'id = "ttft<1ms"' in written(load_report(), ["ttft<1ms"], TODAY)
