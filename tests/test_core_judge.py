"""The judge: what repeats is a failure, what does not is inconclusive, and no bytes of a target are our own error."""

from __future__ import annotations

import inspect
import itertools
import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import conformance.checks
import dialects
from conformance.chat import Chat
from conformance.explore import Explorer
from conformance.judge import Judge, Oracle
from conformance.profile import Profile
from conformance.registry import CheckInfo, info, split
from conformance.target import Target
from conformance.verdict import Inconclusive, Mismatch, NotApplicable, Outcome, Untested
from conformance.wire.client import Budget, Client, Timeouts
from conformance.wire.exchange import Exchange, Frame, Request
from tests.dialect_facts import NAMES
from tests.loopback import Loopback, Received, as_json, response
from tests.test_core_reply import anything, like_an_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dialects import Dialect

Json = dict[str, Any]
OPENAI = dialects.load("openai")
ANSWER: Json = {"choices": [{"message": {"content": "Hi"}}], "usage": {"prompt_tokens": 4, "completion_tokens": 2}}


class Court:
    """A judge with a chat to a server whose answers the test decides."""

    def __init__(self, server: Loopback, oracles: list[Oracle] | None = None, **limits: int) -> None:
        self.server = server
        self.client = Client(Timeouts(20, 30, 40), budget=Budget(limits.get("requests")))
        self.judge = Judge(self.client, OPENAI, oracles or [], max_tokens=limits.get("tokens"))
        self.chat = Chat(self.client, Target(server.url, "m", "a-long-secret"), OPENAI, Profile(), self.judge.memo)
        self.judge.chat = self.chat

    def check(self, body: Callable[[], Any], **options: bool) -> Outcome:
        outcome = self.judge.run(body, "What is expected.", generated=options.get("generated", False))
        self.judge.inspect()
        return outcome


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback(lambda _: as_json(ANSWER)) as running:
        yield running


@pytest.fixture
def court(server: Loopback) -> Iterator[Court]:
    made = Court(server)
    yield made
    made.client.close()


def answers(*each: bytes) -> Callable[[Received], bytes]:
    """A handler: these answers in order, then the last one for ever."""
    left = list(each)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


# ---------------------------------------------------------------- checks


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


# ---------------------------------------------------------------- oracles


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


# ---------------------------------------------------------------- every oracle, any bytes


def functions() -> Iterator[tuple[CheckInfo, Callable[..., Any]]]:
    """Every check and oracle there is."""
    for path in sorted(Path(conformance.checks.__file__).parent.glob("test_*.py")):
        module = import_module(f"conformance.checks.{path.stem}")
        for _, function in inspect.getmembers(module, inspect.isfunction):
            mark = info(function)
            if mark is not None:
                yield mark, function


def oracles_of(dialect: Dialect) -> list[Oracle]:
    """The oracles that the rows of a dialect list, each with its argument."""
    ids = sorted({check_id for row in dialect.requirements for check_id in row.checks})
    by_name = {mark.id: (mark, function) for mark, function in functions() if mark.kind is not None}
    return [
        _filled(dialect, check_id, *by_name[split(check_id)[0]]) for check_id in ids if split(check_id)[0] in by_name
    ]


def _filled(dialect: Dialect, check_id: str, mark: CheckInfo, function: Callable[..., Any]) -> Oracle:
    known = {"dialect": dialect, "profile": Profile(), mark.per: split(check_id)[1]}
    extra = {name: known[name] for name in list(inspect.signature(function).parameters)[1:]}
    assert mark.kind is not None
    return Oracle(check_id, mark.kind, lambda view: function(view, **extra))


def test_every_check_has_its_own_id_and_a_sentence() -> None:
    marks = list(functions())

    assert len({mark.id for mark, _ in marks}) == len(marks)
    assert [mark.id for mark, function in marks if not (function.__doc__ or "").strip()] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_check_that_a_row_lists_exists(name: str) -> None:
    have = {mark.id: mark for mark, _ in functions()}
    listed = {check_id for row in dialects.load(name).requirements for check_id in row.checks}

    assert sorted(check_id for check_id in listed if split(check_id)[0] not in have) == []
    assert sorted(i for i in listed if (split(i)[1] is None) != (have[split(i)[0]].per is None)) == []


def exchange(status: int, kind: str, frames: list[bytes], body: Json, headers: list[tuple[str, str]]) -> Exchange:
    path = OPENAI.paths.chat[0]
    sent = Request(
        "POST",
        f"http://127.0.0.1{path}",
        (("authorization", "Bearer a-long-secret"),),
        json.dumps(body).encode(),
        "a-long-secret",
    )
    parts = tuple(Frame(0.01 * i, data) for i, data in enumerate(frames))
    return Exchange("x1", sent, 1_700_000_000.0, 2.0, status, (("content-type", kind), *headers), parts)


def encoded(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    return json.dumps(value).encode()


statuses = st.sampled_from((200, 200, 200, 201, 400, 401, 404, 422, 429, 500, 503))
bodies = like_an_answer("message").map(encoded) | like_an_answer("error").map(encoded) | st.binary(max_size=60)
whole = st.tuples(
    st.sampled_from(("application/json", "text/plain", "", "application/problem+json")), bodies.map(lambda b: [b])
)
events = st.lists((like_an_answer("delta").map(encoded) | st.binary(max_size=30) | st.just(b"[DONE]")).map(lambda b: b"data: " + b + b"\n\n"), max_size=5)  # fmt: skip
streamed = st.tuples(st.just("text/event-stream"), events)
asks = st.fixed_dictionaries(
    {"messages": st.just([{"role": "user", "content": "Say hi"}])},
    optional={"stream": st.booleans(), "n": st.integers(0, 3), "max_tokens": st.integers(-1, 9), "logprobs": st.booleans(),
              "stop": st.just(["x"]), "stream_options": st.just({"include_usage": True}), "top_logprobs": st.integers(0, 3),
              "model": st.text(max_size=5), "tools": st.just([{"type": "function", "function": {"name": "f"}}])},
)  # fmt: skip
odd_headers = st.lists(
    st.tuples(st.sampled_from(("retry-after", "x-ratelimit-limit-requests", "x-ratelimit-remaining", "x-request-id", "content-type")), st.text(max_size=6)),
    max_size=3,
)  # fmt: skip


def broken_oracles(name: str, seen: Exchange) -> Json:
    judge = Judge(Client.__new__(Client), dialects.load(name), ORACLES[name])
    judge._again = lambda *_: False  # type: ignore[method-assign]  # nothing is sent: findings are not confirmed here
    judge.exchanges.append(seen)
    judge.inspect()
    return {oracle: outcome.reason for oracle, outcome in judge.broken.items()}


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(status=statuses, came=whole | streamed, body=asks, headers=odd_headers)
def test_no_oracle_breaks_whatever_a_target_sends(
    name: str, status: int, came: tuple[str, list[bytes]], body: Json, headers: list[tuple[str, str]]
) -> None:
    assert broken_oracles(name, exchange(status, *came, body, headers)) == {}


def places(value: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - any JSON value
    """(holder, key) of every member, at every depth."""
    for key, member in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield value, key
        yield from places(member)


def printed(name: str) -> list[tuple[str, list[str]]]:
    """(media type, JSON texts) of every answer that a dialect prints."""
    dialect = dialects.load(name)
    found = [
        ("application/json", [text])
        for kind in ("response", "error")
        for file, text in dialect.samples(kind)
        if file.endswith("json")
    ]
    for _, text in dialect.samples("stream"):
        lines = [line.removeprefix("data:").strip() for line in text.splitlines() if line.startswith("data:")]
        found.append(("text/event-stream", [line for line in lines if line.startswith("{")]))
    return found


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(status=statuses, body=asks, data=st.data())
def test_no_oracle_breaks_on_a_printed_answer_with_one_member_replaced(
    name: str, status: int, body: Json, data: st.DataObject
) -> None:
    kind, texts = data.draw(st.sampled_from(printed(name)))
    values = [json.loads(text) for text in texts]
    holder, key = data.draw(st.sampled_from([place for value in values for place in places(value)]))
    if isinstance(holder, dict) and data.draw(st.booleans()):
        del holder[key]
    else:
        holder[key] = data.draw(anything)
    frames = [encoded(value) for value in values]
    if kind == "text/event-stream":
        frames = [b"data: " + frame + b"\n\n" for frame in [*frames, b"[DONE]"]]

    assert broken_oracles(name, exchange(status, kind, frames, body, [])) == {}


ORACLES = {name: oracles_of(dialects.load(name)) for name in NAMES}
