"""The gate's exit code for every combination of what it is given."""

from __future__ import annotations

import json
from datetime import date
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.__main__ import main
from reports.baseline import Baseline, Excuse
from reports.gate import judge
from reports.model import LEVELS, TIERS, VERDICTS, Certificate, RequirementResult, Slo
from tests.report_samples import exchange, load_report, report, row

TODAY = date(2026, 11, 25)
SINCE = date(2026, 1, 1)
EXCUSES = {
    "valid": Excuse("OAI-01", "known", SINCE, until=date(2026, 11, 26)),
    "expired": Excuse("OAI-01", "known", SINCE, until=TODAY),
    "unknown": Excuse("OAI-99", "known", SINCE),
}
ONE_ROW = [*product(VERDICTS, LEVELS, (True, False), ("none", *EXCUSES), (True, False), ("must", "should"))]


def code_of(row: RequirementResult, excuse: str, level: str, *, complete: bool) -> int:
    """The documented exit code for a report of one row."""
    if not complete or excuse == "unknown":
        return 2
    if excuse != "none" and row.verdict in {"pass", "not-applicable"}:
        return 1
    blocks = row.blocking and (row.level == "MUST" or (row.level == "SHOULD" and level == "should"))
    if blocks and row.verdict == "fail":
        return 0 if excuse == "valid" else 1
    return 2 if blocks and row.verdict in {"error", "not-run"} else 0


def gated(
    *rows: RequirementResult, excuses: tuple[Excuse, ...] = (), level: str = "must", complete: bool = True
) -> int:
    judged = report(*rows, complete=complete, reason=None if complete else "interrupted")
    return judge(judged, Baseline(excuses), level, TODAY).code


@pytest.mark.parametrize(("verdict", "level", "blocking", "excuse", "complete", "gate"), ONE_ROW)
def test_one_row_ends_in_its_documented_code(
    verdict: str,
    level: str,
    blocking: bool,  # noqa: FBT001 - a column of the table
    excuse: str,
    complete: bool,  # noqa: FBT001 - a column of the table
    gate: str,
) -> None:
    one = row("OAI-01", verdict, level, blocking=blocking)
    excuses = (EXCUSES[excuse],) if excuse in EXCUSES else ()

    assert code_of(one, excuse, gate, complete=complete) == gated(one, excuses=excuses, level=gate, complete=complete)


@given(
    st.lists(
        st.tuples(st.sampled_from(VERDICTS), st.sampled_from(("none", "valid", "expired"))), min_size=1, max_size=6
    ),
    st.booleans(),
    st.booleans(),
)
def test_many_blocking_rows_end_in_doubt_then_failure_then_the_unjudged(
    cases: list[tuple[str, str]],
    complete: bool,  # noqa: FBT001 - a column of the table
    stranger: bool,  # noqa: FBT001 - a column of the table
) -> None:
    rows = [row(f"OAI-{n}", verdict) for n, (verdict, _) in enumerate(cases)]
    until = {"valid": None, "expired": TODAY}
    excuses = [Excuse(f"OAI-{n}", "known", SINCE, until=until[e]) for n, (_, e) in enumerate(cases) if e in until]
    if stranger:
        excuses.append(EXCUSES["unknown"])
    single = {code_of(one, excuse, "must", complete=True) for one, (_, excuse) in zip(rows, cases, strict=True)}
    expected = 2 if stranger or not complete else 1 if 1 in single else 2 if 2 in single else 0

    assert expected == gated(*rows, excuses=tuple(excuses), complete=complete)


@given(st.sampled_from(TIERS), st.booleans())
def test_at_level_should_a_should_row_blocks_where_must_rows_of_its_tier_do(tier: str, marked: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    must = row("OAI-01", "pass", "MUST", tier="seed")
    should = row("OAI-02", "fail", "SHOULD", tier=tier, blocking=marked)

    assert gated(must, should, level="must") == 0
    assert (1 if marked or tier == "seed" else 0) == gated(must, should, level="should")


def test_the_level_of_the_run_is_the_default() -> None:
    rows = (row("OAI-01", "fail", "SHOULD", blocking=True),)

    assert judge(report(*rows, level="should")).code == 1
    assert judge(report(*rows, level="must")).code == 0


def test_a_report_without_rows_has_judged_nothing() -> None:
    assert judge(report()).code == 2


@settings(deadline=None, max_examples=60)
@given(share=st.floats(0, 1), byte=st.binary(min_size=1, max_size=3), whole=st.booleans())
def test_a_file_that_was_spoiled_anywhere_is_judged_or_refused_in_one_sentence(
    share: float,
    byte: bytes,
    whole: bool,  # noqa: FBT001 - drawn by hypothesis
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = json.dumps(report(row("OAI-01", "fail"), exchanges=(exchange(),)).to_json()).encode()
    at = int(share * (len(text) - 1))
    path = tmp_path_factory.mktemp("spoiled") / "report.json"
    path.write_bytes(text[:at] + byte + (text[at + len(byte) :] if whole else b""))

    code = main(["gate", str(path)])
    said = capsys.readouterr()

    assert code in (0, 1, 2)
    if said.err:
        assert (code, said.out, said.err.count("\n")) == (2, "", 1)
        words = ("truncated", "damaged", "foreign", "unreadable", "version", "contradicts", "schema")
        assert any(word in said.err for word in words), said.err


def test_an_unknown_level_names_the_allowed_ones() -> None:
    with pytest.raises(ValueError, match="level: found 'may', expected one of must, should"):
        judge(report(row()), level="may")


def test_sentences_name_the_rows() -> None:
    rows = (row("A", "fail"), row("B", "error"), row("C", "inconclusive"), row("D", "fail"), row("E"))
    excuses = Baseline(
        (Excuse("D", "known", SINCE), Excuse("E", "known", SINCE), Excuse("A", "known", SINCE, until=TODAY))
    )

    assert judge(report(*rows), excuses, "must", TODAY).sentences == (
        "A (MUST) failed; its excuse ended on 2026-11-25",
        "the excuse for E is no longer needed: its verdict is pass; remove it",
        "B (MUST) could not be judged: error",
        "1 failed as excused: D",
        "1 not shown (inconclusive): C",
        "1 of 5 blocking rows passed",
    )


def test_many_rows_that_could_not_be_judged_are_one_sentence() -> None:
    rows = [row(f"N{n}", "not-run") for n in range(6)]

    assert judge(report(row("E", "error"), *rows)).sentences[:2] == (
        "E (MUST) could not be judged: error",
        "6 blocking rows could not be judged (not-run): N0, N1, N2, N3, N4, N5",
    )


def test_rows_that_were_not_shown_are_listed_by_their_reasons_the_most_frequent_first() -> None:
    many = [row(f"M{n}", "untested", reason="not part of --depth smoke") for n in range(3)]
    others = [row(f"O{n}", "untested", reason=f"needs lever {n}") for n in range(4)]

    assert judge(report(row(), row("I", "inconclusive", reason="a\n" * 200), *others[:1], *many)).sentences == (
        f"1 not shown (inconclusive: {('a ' * 100)[:120]} [... 279 more characters]): I",
        "3 not shown (untested: not part of --depth smoke): M0, M1, M2",
        "1 not shown (untested: needs lever 0): O0",
        "1 of 6 blocking rows passed",
    )
    assert judge(report(*others, *many)).sentences[:4] == (
        "3 not shown (untested: not part of --depth smoke): M0, M1, M2",
        "1 not shown (untested: needs lever 0): O0",
        "1 not shown (untested: needs lever 1): O1",
        "2 not shown (untested, each for another reason): O2, O3",
    )


@pytest.mark.parametrize(
    ("verdicts", "valid", "complete", "code"),
    [
        ((), True, True, 0),
        (("pass", "pass"), True, True, 0),
        (("pass", "fail"), True, True, 1),
        (("pass", "no-data"), True, True, 2),
        (("fail", "no-data"), True, True, 1),
        (("pass",), False, True, 2),
        (("pass",), True, False, 2),
        (("fail",), True, False, 2),
    ],
)
def test_a_load_report_is_judged_by_its_objectives_and_its_certificate(
    verdicts: tuple[str, ...],
    valid: bool,  # noqa: FBT001 - a column of the table
    complete: bool,  # noqa: FBT001 - a column of the table
    code: int,
) -> None:
    slo = tuple(Slo(f"metric{n}<1ms", "metric", 1.0, None, verdict) for n, verdict in enumerate(verdicts))
    certificate = Certificate("VALID" if valid else "INVALID")
    one = load_report(slo=slo, certificate=certificate, complete=complete, reason=None if complete else "stopped")

    assert code == judge(one).code


def test_a_late_generator_is_not_blamed_on_the_target() -> None:
    slow = (Slo("ttft_p99<1ms", "ttft", 1.0, 9.0, "fail"),)

    assert judge(load_report(slo=slow, certificate=Certificate("INVALID", ("lag p99 is 9 ms",)))).code == 2
