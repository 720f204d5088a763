"""The judge on checks: what repeats is a failure, what does not is inconclusive, and whatever breaks is told apart from both."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st

from conformance.explore import Explorer
from conformance.verdict import Inconclusive, Mismatch, NotApplicable, Untested
from tests.court import ANSWER, Court, answers
from tests.loopback import Loopback, as_json, response

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback(lambda _: as_json(ANSWER)) as running:
        yield running


@pytest.fixture
def court(server: Loopback) -> Iterator[Court]:
    made = Court(server)
    yield made
    made.client.close()


def test_a_check_that_raises_nothing_passes(court: Court) -> None:
    assert court.check(court.chat.ask).verdict == "pass"
    assert len(court.server.received) == 1


def test_a_failing_check_is_run_again_and_fails_with_its_evidence(court: Court) -> None:
    court.server.handler = lambda _: response("no", 500)
    outcome = court.check(court.chat.ask)

    assert outcome.verdict == "fail"
    assert outcome.expected == "a 2xx answer to a request that the document allows"
    assert outcome.observed == "status 500 (text/plain): no"
    assert outcome.evidence == ["x2"]
    assert len(court.server.received) == 2


def test_a_check_that_fails_once_is_inconclusive_and_says_so(court: Court) -> None:
    court.server.handler = answers(response("no", 500), as_json(ANSWER))
    outcome = court.check(court.chat.ask)

    assert outcome.verdict == "inconclusive"
    assert outcome.reason is not None
    assert outcome.reason.startswith("transient: seen once, not on 2 repetitions: expected a 2xx answer")
    assert outcome.evidence == ["x1"]


def test_a_check_that_fails_in_two_of_three_runs_fails_and_says_so(court: Court) -> None:
    court.server.handler = answers(response("no", 500), as_json(ANSWER), response("no", 500))
    outcome = court.check(court.chat.ask)

    assert outcome.verdict == "fail"
    assert (outcome.reason or "").startswith("in 2 of 3 runs: expected a 2xx answer")
    assert outcome.evidence == ["x3"]


def test_a_run_from_which_nothing_follows_is_made_up_for(court: Court) -> None:
    verdicts = iter([Mismatch("yes", "no"), Inconclusive("cut"), Inconclusive("cut"), Mismatch("yes", "no")])

    def check() -> None:
        raise next(verdicts)

    outcome = court.check(check)

    assert outcome.verdict == "fail"
    assert outcome.reason == "in 2 of 4 runs: expected yes; came no"


def test_runs_from_which_nothing_follows_end(court: Court) -> None:
    verdicts = iter([Mismatch("yes", "no"), *[Inconclusive("cut")] * 4])

    def check() -> None:
        raise next(verdicts)

    outcome = court.check(check)

    assert outcome.verdict == "inconclusive"
    assert (outcome.reason or "").startswith("transient: seen once, not on 4 repetitions: ")


def test_a_second_run_starts_from_scratch_without_remembered_answers(court: Court) -> None:
    court.server.handler = answers(response("no", 500), as_json(ANSWER))

    assert (
        court.check(lambda: court.chat.accepted(court.chat.memo("once", lambda: court.chat.post({})))).verdict
        == "inconclusive"
    )
    assert len(court.server.received) == 3


def test_a_generated_check_confirms_its_own_example_and_is_run_once(court: Court) -> None:
    court.server.handler = lambda _: response("no", 500)

    assert court.check(court.chat.ask, generated=True).verdict == "fail"
    assert len(court.server.received) == 1


def test_an_example_that_hypothesis_finds_flaky_is_inconclusive(court: Court) -> None:
    court.server.handler = answers(response("no", 500), as_json(ANSWER))
    explore = Explorer(1, 5)
    outcome = court.check(lambda: explore(st.integers(0, 9), lambda n: _ask(court, n)))

    assert outcome.verdict == "inconclusive"
    assert "transient" in (outcome.reason or "")


def test_an_example_that_fails_every_third_time_fails_by_running_the_check_again(court: Court) -> None:
    turn = itertools.count()
    court.server.handler = lambda _: response("no", 500) if next(turn) % 3 == 2 else as_json(ANSWER)
    explore = Explorer(1, 5)
    outcome = court.check(lambda: explore(st.integers(0, 9), lambda n: _ask(court, n)))

    assert outcome.verdict == "fail"
    assert outcome.evidence


def test_a_drawn_failure_is_shrunk_to_the_smallest_value(court: Court) -> None:
    court.server.handler = lambda request: (
        as_json(ANSWER) if json.loads(request.body)["seed"] < 7 else response("no", 500)
    )
    explore = Explorer(1, 60)
    outcome = court.check(lambda: explore(st.integers(0, 1000), lambda n: _ask(court, n)))
    (failing,) = [e for e in court.judge.exchanges if e.id in outcome.evidence]

    assert outcome.verdict == "fail"
    assert failing.request.json()["seed"] == 7


def _ask(court: Court, seed: int) -> None:
    court.chat.ask(seed=seed)


@pytest.mark.parametrize(
    ("conclusion", "verdict"),
    [
        (Inconclusive("cut short"), "inconclusive"),
        (Untested("no key"), "untested"),
        (NotApplicable("no tools"), "not-applicable"),
    ],
)
def test_a_conclusion_is_the_verdict_with_its_reason(court: Court, conclusion: Exception, verdict: str) -> None:
    def body() -> None:
        raise conclusion

    assert (court.check(body).verdict, court.check(body).reason) == (verdict, str(conclusion))


def test_a_plain_assertion_fails_with_the_docstring_as_expectation(court: Court) -> None:
    def body() -> None:
        assert court.chat.ask().text == "Ho", "came Hi"

    outcome = court.check(body)

    assert (outcome.verdict, outcome.expected) == ("fail", "What is expected.")
    assert outcome.observed is not None
    assert outcome.observed.startswith("came Hi")


def test_an_error_of_the_check_itself_is_not_the_targets(court: Court) -> None:
    def body() -> None:
        raise KeyError("our mistake")

    with pytest.raises(KeyError):
        court.check(body)


def test_a_spent_cap_on_requests_is_not_run(server: Loopback) -> None:
    court = Court(server, requests=1)

    assert court.check(court.chat.ask).verdict == "pass"
    outcome = court.check(court.chat.ask)
    court.client.close()

    assert (outcome.verdict, outcome.reason) == ("not-run", "the cap of 1 requests (--max-requests) is spent")


def test_a_spent_cap_on_tokens_is_not_run(server: Loopback) -> None:
    court = Court(server, tokens=4)
    outcomes = [court.check(court.chat.ask) for _ in range(3)]
    court.client.close()

    assert [outcome.verdict for outcome in outcomes] == ["pass", "pass", "not-run"]
    assert court.judge.spent() == {"prompt_tokens": 8, "completion_tokens": 4, "requests": 2}
    assert court.judge.spent() == {}
