"""A run that is too fast for its key waits and goes on; what is refused for good says nothing of the target."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import dialects
from conformance.chat import Chat
from conformance.checks import test_clients
from conformance.patience import ALONE, FIRST, HOPES, LONGEST, LimitSpent, Patience
from conformance.profile import Profile
from conformance.target import Target
from conformance.verdict import Inconclusive
from conformance.window import SpentWindow, Window
from conformance.wire.client import Client
from conformance.wire.exchange import Exchange, Request
from tests.plain_service import MODEL, Alter, Service, error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = dict[str, Any]
OWN, LIMITED = "a-key-of-the-run", "a-limited-key"
REQUEST = Request("POST", "http://127.0.0.1/v1/chat/completions", ())


def exchange(status: int, **headers: str) -> Exchange:
    return Exchange("x1", REQUEST, 0.0, 0.1, status, tuple((k.replace("_", "-"), v) for k, v in headers.items()))


def asking(*answers: Exchange) -> Callable[[], Exchange]:
    """Gives these, then the last one for ever."""
    left = list(answers)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def patient(waits: list[float], witness: int = 429) -> Patience:
    return Patience(waits.append, lambda: exchange(witness))


def test_a_refusal_for_haste_is_waited_for_as_long_as_it_says() -> None:
    waits: list[float] = []

    served = patient(waits).served(asking(exchange(429, retry_after="7"), exchange(200)))

    assert (served.status, waits) == (200, [7.0])


def test_without_a_word_of_how_long_the_waits_grow() -> None:
    waits: list[float] = []

    patient(waits).served(asking(*[exchange(429)] * 4, exchange(200)))

    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_a_wait_of_an_hour_is_not_begun() -> None:
    waits: list[float] = []

    with pytest.raises(Inconclusive, match="429, Retry-After: 3600"):
        patient(waits).served(asking(exchange(429, retry_after="3600")))
    assert waits == []


def test_what_is_refused_for_good_is_waited_for_a_few_times_only() -> None:
    waits: list[float] = []
    patience = patient(waits)

    for _ in range(HOPES):
        with pytest.raises(Inconclusive):
            patience.served(asking(exchange(429)))
    for _ in range(3):
        with pytest.raises(LimitSpent, match="give a key"):
            patience.served(asking(exchange(429)))
    assert patience.served(asking(exchange(200))).status == 200
    assert sum(waits) <= HOPES * LONGEST


def test_what_alone_is_refused_was_not_refused_for_haste() -> None:
    waits: list[float] = []
    patience = patient(waits, witness=200)

    assert patience.served(asking(exchange(429))).status == 429
    assert sum(waits) > LONGEST / 2


def test_where_429_is_what_mistakes_are_told_the_third_is_judged_at_once() -> None:
    waits: list[float] = []
    patience = patient(waits, witness=200)
    for _ in range(ALONE):
        patience.served(asking(exchange(429)))
    before = sum(waits)

    assert patience.served(asking(exchange(429))).status == 429
    assert sum(waits) == before + FIRST


def test_a_large_request_that_must_wait_long_proves_nothing() -> None:
    with pytest.raises(Inconclusive):
        patient([], witness=200).served(asking(exchange(429, retry_after="3600")))


class Slow:
    """A service that refuses a key's every second request; `chat` asks it, and `waits` is how long it did not."""

    def __init__(self, refuse: Callable[[Json, str, int], tuple[int, Json] | None]) -> None:
        self.service = Service(Alter(refuse=refuse))
        self.waits: list[float] = []
        self.client = Client()
        self.client.pause = self.waits.append  # type: ignore[assignment,method-assign]
        profile = Profile(keys={"limited": "PATIENCE_LIMITED_KEY"})
        target = Target(self.service.url, MODEL, OWN)
        self.chat = Chat(self.client, target, dialects.load("openai"), profile, {})


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Slow]]:
    monkeypatch.setenv("PATIENCE_LIMITED_KEY", LIMITED)
    made: list[Slow] = []

    def make(refuse: Callable[[Json, str, int], tuple[int, Json] | None]) -> Slow:
        made.append(Slow(refuse))
        made[-1].service.__enter__()
        return made[-1]

    yield make
    for one in made:
        one.client.close()
        one.service.__exit__()


def every_second(_: Json, __: str, number: int) -> tuple[int, Json] | None:
    return (429, error("slower, please")) if number % 2 == 0 else None


def test_answers_and_refusals_are_those_after_the_wait(slow: Callable[..., Slow]) -> None:
    target = slow(every_second)

    assert target.chat.ask().text
    assert target.chat.refused(target.chat.post(target.chat.body(messages=5))).status == 400
    assert target.waits == [1.0]  # the service refuses such a body before it looks at its limits


def test_requests_at_the_same_time_wait_too(slow: Callable[..., Slow]) -> None:
    lock, seen = threading.Lock(), []

    def first_three(_: Json, __: str, number: int) -> tuple[int, Json] | None:
        with lock:
            seen.append(number)
            return (429, error("slower")) if len(seen) <= 3 else None

    target = slow(first_three)

    assert [e.status for e in target.chat.together([target.chat.body()] * 4)] == [200] * 4


def test_a_limited_key_of_the_profile_is_not_waited_for(slow: Callable[..., Slow]) -> None:
    target = slow(every_second)

    assert target.chat.post(target.chat.body(), key=LIMITED).status == 429
    assert target.waits == []


def test_a_spent_limit_is_not_the_official_clients_finding(slow: Callable[..., Slow]) -> None:
    target = slow(lambda *_: (429, error("never")))
    target.chat.patience.lost = HOPES

    with pytest.raises((LimitSpent, Inconclusive)):
        test_clients.test_openai_python_stream(target.chat)


def test_a_bystander_whose_own_limit_was_met_proves_nothing(slow: Callable[..., Slow]) -> None:
    target = slow(every_second)
    target.chat.ask()
    walk = SpentWindow(target.chat, Window(LIMITED))

    with pytest.raises(Inconclusive, match="its own limit"):
        walk._other(stream=False)
