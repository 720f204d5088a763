"""The judge on oracles: what a look at all traffic finds is confirmed, counted and told once, and only where it is defined."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from conformance.judge import Oracle
from conformance.verdict import Mismatch, NotApplicable
from tests.court import ANSWER, Court, answers
from tests.loopback import Loopback, as_json, response

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback(lambda _: as_json(ANSWER)) as running:
        yield running


def unhappy(view: Any) -> None:  # noqa: ANN401 - what the kind says
    """Finds fault with the text "No"."""
    text = view.text
    if text == "No":
        raise Mismatch("another text", text, getattr(view, "exchange", None))


def seen_by(kind: str, seen: list[Any]) -> Oracle:
    return Oracle("a.b", kind, seen.append)


def said(text: str) -> bytes:
    return as_json({**ANSWER, "choices": [{"message": {"content": text}}]})


def test_an_oracles_finding_is_confirmed_by_sending_the_same_request_again(server: Loopback) -> None:
    court = Court(server, [Oracle("chat.x", "answer", unhappy)])
    server.handler = lambda _: said("No")

    assert court.check(court.chat.ask).verdict == "pass"
    outcome = court.judge.found("chat.x")
    court.client.close()

    assert (outcome.verdict, outcome.expected, outcome.observed, outcome.evidence) == (
        "fail",
        "another text",
        "No",
        ["x1"],
    )
    assert [r.body for r in server.received] == [server.received[0].body] * 2


def test_an_oracles_finding_that_does_not_come_again_is_inconclusive(server: Loopback) -> None:
    court = Court(server, [Oracle("chat.x", "answer", unhappy)])
    server.handler = answers(said("No"), said("Yes"))
    court.check(court.chat.ask)
    outcome = court.judge.found("chat.x")
    court.client.close()

    assert outcome.verdict == "inconclusive"
    assert (outcome.reason or "").startswith("transient: seen once, not on 1 repetition: ")


def test_up_to_three_findings_are_confirmed_and_one_that_repeats_fails(server: Loopback) -> None:
    court = Court(server, [Oracle("chat.x", "answer", unhappy)])
    server.handler = answers(*[said("No"), said("Yes")] * 2, said("No"), said("No"), said("Yes"))
    for _ in range(4):
        court.check(court.chat.ask)
    outcome = court.judge.found("chat.x")
    court.client.close()

    assert outcome.verdict == "fail"


def test_two_findings_that_do_not_repeat_are_inconclusive(server: Loopback) -> None:
    court = Court(server, [Oracle("chat.x", "answer", unhappy)])
    server.handler = answers(*[said("No"), said("Yes")] * 2)
    for _ in range(4):
        court.check(court.chat.ask)
    outcome = court.judge.found("chat.x")
    court.client.close()

    assert outcome.verdict == "inconclusive"
    assert (outcome.reason or "").startswith("transient: seen 2 times, not on 2 repetitions: ")


def test_a_fault_of_every_second_answer_fails_though_it_never_repeats_at_once(server: Loopback) -> None:
    court = Court(server, [Oracle("chat.x", "answer", unhappy)])
    turns = itertools.count()
    server.handler = lambda _: said("Yes" if next(turns) % 2 else "No")
    for _ in range(6):
        court.check(court.chat.ask)
    outcome = court.judge.found("chat.x")
    court.client.close()

    assert outcome.verdict == "fail"
    assert (outcome.reason or "").startswith("now and then, in ")


def test_after_three_confirmations_without_success_no_more_requests_are_spent(server: Loopback) -> None:
    court = Court(server, [Oracle("chat.x", "answer", unhappy)])
    server.handler = answers(*[said("No"), said("Yes")] * 3, said("No"))
    for _ in range(6):
        court.check(court.chat.ask)
    court.client.close()

    assert len(server.received) == 6 + 3


def test_an_oracle_that_breaks_is_our_own_error_and_never_the_targets(server: Loopback) -> None:
    def careless(view: Any) -> None:  # noqa: ANN401 - what the kind says
        view.body["nothing"]["there"]

    court = Court(server, [Oracle("chat.x", "answer", careless)])
    court.check(court.chat.ask)
    outcome = court.judge.found("chat.x")
    court.client.close()

    assert outcome.verdict == "error"
    assert outcome.reason == "the oracle chat.x itself failed: KeyError: 'nothing'"


def test_an_oracle_that_found_nothing_of_its_kind_needs_no_request_when_none_is_left(server: Loopback) -> None:
    def picky(_: Any) -> None:  # noqa: ANN401 - what the kind says
        raise NotApplicable("no call")

    court = Court(server, [Oracle("chat.y", "answer", picky)], requests=1)
    court.check(court.chat.ask)
    outcome = court.judge.watch(lambda chat: chat.ask(), "chat.y")
    court.client.close()

    assert (outcome.verdict, outcome.reason) == ("not-applicable", "no call")


def test_an_oracle_that_saw_nothing_is_inconclusive_and_one_that_excludes_all_is_not_applicable(
    server: Loopback,
) -> None:
    def picky(_: Any) -> None:  # noqa: ANN401 - what the kind says
        raise NotApplicable("a stream was asked for")

    court = Court(server, [Oracle("chat.x", "stream", unhappy), Oracle("chat.y", "answer", picky)])
    court.check(court.chat.ask)
    court.client.close()

    assert court.judge.found("chat.x").verdict == "inconclusive"
    assert (court.judge.found("chat.y").verdict, court.judge.found("chat.y").reason) == (
        "not-applicable",
        "a stream was asked for",
    )


def test_an_oracle_that_saw_nothing_asks_itself_before_it_gives_up(server: Loopback) -> None:
    court = Court(server, [Oracle("chat.x", "answer", unhappy)])
    outcome = court.judge.watch(lambda chat: chat.ask(), "chat.x")
    court.client.close()

    assert outcome.verdict == "pass"
    assert len(server.received) == 1


def test_what_an_oracle_harvests_is_told_once(server: Loopback) -> None:
    court = Court(server, [Oracle("chat.x", "answer", unhappy)])
    court.check(court.chat.ask)
    court.check(court.chat.ask)
    court.client.close()

    assert court.judge.harvest() == {"chat.x": (2, None)}
    assert court.judge.harvest() == {}


@pytest.mark.parametrize(
    ("answer", "kinds"),
    [
        (as_json(ANSWER), {"exchange", "answer", "reply"}),
        (response("data: {}\n\n", content_type="text/event-stream"), {"exchange", "stream", "reply"}),
        (response("no", 404), {"exchange", "refusal"}),
        (response("no", 503), {"exchange", "refusal"}),
        (response("", 302, location="http://127.0.0.1:1/"), {"exchange"}),
        (b"", {"exchange"}),
    ],
    ids=["answer", "stream", "404", "503", "redirect", "nothing"],
)
def test_an_oracle_looks_at_exchanges_of_its_kind_only(server: Loopback, answer: bytes, kinds: set[str]) -> None:
    seen: dict[str, list[Any]] = {kind: [] for kind in ("exchange", "answer", "stream", "reply", "refusal")}
    court = Court(server, [seen_by(kind, list_) for kind, list_ in seen.items()])
    server.handler = lambda _: answer
    court.check(lambda: court.chat.post(court.chat.body()))
    court.client.close()

    assert {kind for kind, list_ in seen.items() if list_} == kinds


def test_what_was_cut_on_purpose_or_is_undefined_is_no_answer_to_judge(server: Loopback) -> None:
    seen: list[Any] = []
    court = Court(server, [seen_by("answer", seen)])
    court.check(lambda: court.chat.post(court.chat.body(), stop_after=1))
    court.check(lambda: court.chat.post(court.chat.body(), undefined=True))
    court.check(lambda: court.chat.fetch("/v1/models"))
    court.client.close()

    assert seen == []


def test_the_answer_to_a_forbidden_request_is_not_judged_and_its_refusal_is(server: Loopback) -> None:
    """No document says what is answered to a request that it forbids; the row that asks for the refusal fails."""
    seen: dict[str, list[Any]] = {kind: [] for kind in ("answer", "reply", "exchange", "refusal")}
    court = Court(server, [seen_by(kind, list_) for kind, list_ in seen.items()])
    forbidden = lambda: court.chat.refused(court.chat.post(court.chat.body(temperature=9)), 400)  # noqa: E731
    failed = court.check(forbidden)
    server.handler = lambda _: response("no", 400)
    passed = court.check(forbidden)
    court.client.close()

    assert (failed.verdict, passed.verdict) == ("fail", "pass")
    assert {kind: len(list_) for kind, list_ in seen.items()} == {"answer": 0, "reply": 0, "exchange": 3, "refusal": 1}


def test_what_was_to_be_a_stream_is_no_whole_answer(server: Loopback) -> None:
    """A stream of another media type fails the row on that type, not those on the members of a whole answer."""
    seen: dict[str, list[Any]] = {kind: [] for kind in ("answer", "reply", "stream")}
    court = Court(server, [seen_by(kind, list_) for kind, list_ in seen.items()])
    server.handler = lambda _: response("data: {}\n\n", content_type="text/plain")
    court.check(lambda: court.chat.post(court.chat.body(stream=True)))
    court.client.close()

    assert {kind: len(list_) for kind, list_ in seen.items()} == {"answer": 0, "reply": 1, "stream": 0}
