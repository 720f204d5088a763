"""A sample of `python -m benchmarks.streams`: what must hold of the wire whatever bytes come, in whatever pieces."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from benchmarks.streams import hold, large, make, plain, trial
from conformance.wire.sse import Decoder

if TYPE_CHECKING:
    from conformance.wire.exchange import Exchange
    from conformance.wire.sse import Event

SEED = 20_260_101


@pytest.fixture(autouse=True)
def _untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "SLOW", float("inf"))  # the machine may be busy


def test_spoiled_streams_break_no_invariant() -> None:
    found = trial.tried(SEED, range(800))

    assert found.broken == []
    assert found.streams == 800
    assert found.exchanges
    assert found.judged


def test_a_number_makes_the_same_stream_again() -> None:
    assert make.stream(make.chance(SEED, 7)) == make.stream(make.chance(SEED, 7))
    assert len({make.stream(make.chance(SEED, number)) for number in range(50)}) > 40


class Forgetful(Decoder):
    """Takes each piece for whole lines."""

    def feed(self, data: bytes) -> list[Event]:
        return super().feed(data) if data.endswith(b"\n") or len(data) > 1 else super().feed(data + b"\n")


class Hoarding(Decoder):
    """Keeps everything."""

    def _bound(self, start: int, end: int) -> None:
        """Bound nothing."""


@pytest.mark.parametrize("worse", [Forgetful, Hoarding])
def test_a_decoder_with_a_bug_is_found_out(worse: type[Decoder], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "Decoder", worse)
    found = trial.tried(SEED, range(60))

    assert any("Broken" in line for line in found.broken)


@pytest.mark.parametrize(
    ("stream", "limit", "events", "facts"),
    [
        (b"data: a\n\n", 100, [("message", "a", None, 0, 9)], (0, 0, False, False)),
        (b"\xef\xbb\xbf:x\rdata:a\r\ndata\r\r", 100, [("message", "a\n", None, 6, 20)], (1, 0, False, False)),
        (b"event: x\nid: 5\n\ndata: a\n\n", 100, [("message", "a", "5", 16, 25)], (0, 1, False, False)),
        (b"data: 0123456789\n\ndata: a\n\n", 12, [("message", "a", None, 18, 27)], (0, 0, True, False)),
        (b"data: a", 100, [], (0, 0, False, True)),
    ],
)
def test_the_second_reading_is_right_where_anybody_can_see_it(
    stream: bytes, limit: int, events: list[tuple[str, str, str | None, int, int]], facts: tuple[int, int, bool, bool]
) -> None:
    found = plain.read(stream, limit)

    assert found.events == events
    assert (found.comments, found.dataless, found.overflow, found.unfinished) == facts


@cache
def answers() -> dict[str, Exchange]:
    return dict(large.bodies(30_000))


@pytest.mark.parametrize("what", [what for what, _ in large.bodies(100)])
def test_an_answer_of_one_thing_over_and_over_breaks_no_oracle(what: str) -> None:
    assert large.tried(answers()[what]) >= 0
