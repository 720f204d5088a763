"""From what the items found to the report: merged in any order, a row as bad as its worst check."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dialects
from conformance.options import Options
from conformance.profile import Profile
from conformance.results import RANK, Results
from conformance.selection import Selection
from conformance.wire.exchange import Exchange, Frame, Request
from dialects import Requirement
from reports.model import VERDICTS, Report, load, write

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

Json = dict[str, Any]
BASE = dialects.load("dria")
PLACE = BASE.requirements[0].place


def row(
    name: str, *checks: str, level: str = "MUST", tier: str = "seed", unobservable: str | None = None
) -> Requirement:
    return Requirement(name, level, tier, "chat", "It says what it says.", PLACE, checks, unobservable)


ROWS = (
    row("TST-01", "chat.a", "chat.b"),
    row("TST-02", "chat.field[id]"),
    row("TST-03", "chat.a", "chat.field[id]", level="SHOULD"),
    row("TST-04", "chat.c", tier="extended"),
    row("TST-05", unobservable="nobody can see this from outside"),
)


def results(
    rows: tuple[Requirement, ...] = ROWS, level: str = "must", gating: tuple[str, ...] = ("seed", "common")
) -> Results:
    options = Options(
        target="http://127.0.0.1:1", dialect=replace(BASE, requirements=rows), model="m", profile=Profile(),
        tiers=("seed", "extended", "common"), gating=gating, level=level, report="r", baseline=None, depth="full",
        max_requests=None, max_tokens=None, key_env="CHAT_API_KEY", seed=7,
    )  # fmt: skip
    return Results(options, Selection.of(options), "m", "http://127.0.0.1:1", "pytest --target http://127.0.0.1:1")


def outcome(verdict: str = "pass", evidence: tuple[str, ...] = ()) -> Json:
    return {
        "verdict": verdict,
        "reason": f"so {verdict}",
        "expected": "e",
        "observed": "o",
        "evidence": list(evidence),
        "seconds": 0.5,
    }


def record(name: str) -> Json:
    sent = Request("POST", "http://127.0.0.1:1/v1", (), b"{}")
    return Exchange(name, sent, 1_700_000_000.0, 0.1, 200, frames=(Frame(0.1, b"{}"),)).record("chat.a")


def found(check: str, verdict: str = "pass", oracles: Json | None = None, *ids: str) -> Json:
    return {
        "check": (check, outcome(verdict, ids)),
        "oracles": oracles or {},
        "exchanges": [record(name) for name in ids],
        "spent": {"requests": 1, "prompt_tokens": 3},
        "covered": [f"field:{check}"],
    }


def verdicts(made: Results) -> dict[str, str]:
    return {row.id: row.verdict for row in made.report().requirements}


# ---------------------------------------------------------------- rows


def test_the_order_of_verdicts_is_that_of_the_report() -> None:
    assert RANK == VERDICTS


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(VERDICTS, 2)))
def test_a_row_takes_the_worst_of_its_checks(one: str, other: str) -> None:
    for first, second in ((one, other), (other, one)):
        made = results()
        made.take(found("chat.a", first))
        made.take(found("chat.b", second))

        assert verdicts(made)["TST-01"] == one


def test_a_row_shows_the_check_that_decided_it_with_its_evidence() -> None:
    made = results()
    made.take(found("chat.a", "pass", None, "x1"))
    made.take(found("chat.b", "fail", None, "x2", "x3"))
    first = made.report().requirements[0]

    assert (first.verdict, first.reason, first.expected, first.observed) == ("fail", "so fail", "e", "o")
    assert first.evidence == ("x2", "x3")
    assert [(check.id, check.verdict) for check in first.checks] == [("chat.a", "pass"), ("chat.b", "fail")]


def test_a_row_that_nobody_can_observe_is_untested_and_says_why() -> None:
    last = results().report().requirements[-1]

    assert (last.verdict, last.reason) == ("untested", "not observable from outside: nobody can see this from outside")


def test_what_was_not_reached_is_not_run_what_nobody_wrote_an_error_what_was_left_out_untested() -> None:
    made = results()
    made.note({"skipped": {"chat.c": "not part of --depth smoke"}, "unknown": ["chat.b"], "partial": None})
    made.take(found("chat.a"))

    assert verdicts(made) == {
        "TST-01": "error",
        "TST-02": "not-run",
        "TST-03": "not-run",
        "TST-04": "untested",
        "TST-05": "untested",
    }
    assert {c.id: c.verdict for c in made.report().checks} == {
        "chat.a": "pass", "chat.b": "error", "chat.field[id]": "not-run", "chat.c": "untested",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("level", "gating", "blocking"),
    [
        ("must", ("seed", "common"), {"TST-01", "TST-02", "TST-05"}),
        ("should", ("seed", "common"), {"TST-01", "TST-02", "TST-03", "TST-05"}),
        ("must", ("extended",), {"TST-04"}),
    ],
)
def test_which_rows_block_is_decided_by_level_and_tier(level: str, gating: tuple[str, ...], blocking: set[str]) -> None:
    rows = results(level=level, gating=gating).report().requirements

    assert {one.id for one in rows if one.blocking} == blocking


def test_a_run_is_complete_unless_there_is_a_reason() -> None:
    made = results()
    whole = made.report()
    made.note({"skipped": {}, "unknown": [], "partial": "only 1 of 3 checks were selected on the command line"})
    part = made.report()

    assert (whole.complete, whole.reason) == (True, None)
    assert (part.complete, part.reason) == (False, "only 1 of 3 checks were selected on the command line")
    assert part.requirements[0].reason == part.reason


# ---------------------------------------------------------------- oracles


def test_an_oracle_that_looked_somewhere_passes_whatever_its_own_item_saw() -> None:
    made = results()
    made.take(found("chat.field[id]", "inconclusive"))
    made.take(found("chat.a", "pass", {"chat.field[id]": (3, None)}))

    assert verdicts(made)["TST-02"] == "pass"


def test_an_oracles_finding_anywhere_decides_its_rows() -> None:
    made = results()
    made.take(found("chat.a", "pass", {"chat.field[id]": (3, outcome("fail", ("x1",)))}, "x1"))
    made.take(found("chat.field[id]", "pass"))
    second = made.report().requirements[1]

    assert (second.verdict, second.evidence) == ("fail", ("x1",))


def test_a_worse_finding_replaces_a_better_one_and_not_the_other_way() -> None:
    for order in itertools.permutations(("inconclusive", "fail", "error")):
        made = results()
        for verdict in order:
            made.take(found("chat.a", "pass", {"chat.field[id]": (1, outcome(verdict))}))

        assert verdicts(made)["TST-02"] == "fail"


findings = st.lists(
    st.tuples(
        st.sampled_from(("chat.a", "chat.b", "chat.c", "chat.field[id]")),
        st.sampled_from(VERDICTS),
        st.none() | st.sampled_from(("inconclusive", "fail", "error")),
        st.integers(0, 2),
    ),
    unique_by=lambda one: one[0],
    max_size=4,
)


@given(findings, st.randoms(use_true_random=False))
def test_the_order_in_which_workers_report_changes_nothing(
    items: list[tuple[str, str, str | None, int]], chance: Random
) -> None:
    taken = [
        found(check, verdict, {"chat.field[id]": (times, outcome(finding) if finding else None)}, f"gw{i}-x1")
        for i, (check, verdict, finding, times) in enumerate(items)
    ]
    shuffled = chance.sample(taken, len(taken))
    first, second = results(), results()
    for one in taken:
        first.take(one)
    for one in shuffled:
        second.take(one)

    assert verdicts(first) == verdicts(second)
    assert first.report().cost == second.report().cost
    assert first.covered == second.covered
    assert {e.id for e in first.report().exchanges} == {e.id for e in second.report().exchanges}


# ---------------------------------------------------------------- the file


def test_the_report_can_be_written_and_read_back(tmp_path: Path) -> None:
    made = results()
    made.take(found("chat.a", "fail", {"chat.field[id]": (1, outcome("inconclusive", ("x1",)))}, "x1", "x2"))
    made.take(found("chat.b", "pass", None, "x3"))
    path = write(made.report(), tmp_path)
    back = load(path)

    assert isinstance(back, Report)
    assert {r.id: r.verdict for r in back.requirements} == verdicts(made)
    assert (back.cost.requests, back.cost.prompt_tokens) == (2, 6)
    assert [e.id for e in back.exchanges] == ["x1", "x2", "x3"]


def test_evidence_is_kept_however_many_exchanges_there_were() -> None:
    made = results()
    for number in range(1500):
        made.take(found("chat.c", "pass", None, f"x{number}"))
    made.take(found("chat.a", "fail", None, "y1"))
    kept = {e.id for e in made.report().exchanges}

    assert "y1" in kept
    assert len(kept) == 1200


def test_an_option_that_a_target_does_not_take_is_no_failure() -> None:
    made = results((row("TST-01", "chat.a", level="MAY"), row("TST-02", "chat.a", level="SHOULD")))
    made.take(found("chat.a", "fail"))
    option, advice = made.report().requirements

    assert (option.verdict, option.reason) == ("not-applicable", "optional, and not taken: so fail")
    assert advice.verdict == "fail"
