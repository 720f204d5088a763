"""Planned send times keep the asked rate and the asked process, in every run."""

from __future__ import annotations

from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest import UsageError
from loadtest.schedule import PROCESSES, Stage, arrivals, duration, expected, gap_cv, shard

STAGES = st.lists(
    st.builds(Stage, st.floats(0.1, 50), st.floats(0, 40), st.one_of(st.none(), st.floats(0, 40))),
    min_size=1,
    max_size=4,
)


@given(STAGES, st.sampled_from(sorted(PROCESSES)), st.integers(0, 2**32))
def test_times_are_ordered_inside_the_run_and_as_many_as_planned(stages: list[Stage], process: str, seed: int) -> None:
    times = list(arrivals(stages, process, seed=seed))

    assert times == sorted(times)
    assert all(0 <= time <= duration(stages) + 1e-6 for time in times)
    assert abs(len(times) - expected(stages)) < 1.000001


@given(STAGES, st.integers(0, 2**32))
def test_the_same_seed_plans_the_same_times(stages: list[Stage], seed: int) -> None:
    assert list(arrivals(stages, "poisson", seed=seed)) == list(arrivals(stages, "poisson", seed=seed))


@given(st.integers(0, 2**32))
def test_a_poisson_run_has_a_coefficient_of_variation_of_one(seed: int) -> None:
    times = list(arrivals([Stage(10.0, 50.0)], "poisson", seed=seed))

    assert len(times) == 500
    assert gap_cv(times) == pytest.approx(1.0, abs=0.05)
    assert 500 / (times[-1] - times[0]) == pytest.approx(50.0, rel=0.02)


def test_a_gamma_run_bursts_as_asked() -> None:
    times = list(arrivals([Stage(1000.0, 50.0)], "gamma", seed=1, cv=3.0))

    assert gap_cv(times) == pytest.approx(3.0, rel=0.05)


def test_constant_gaps_are_even() -> None:
    assert pytest.approx(list(arrivals([Stage(0.3, 10.0)], "constant"))) == [0.05, 0.15, 0.25]


def test_a_ramp_sends_at_the_rate_of_the_moment() -> None:
    times = list(arrivals([Stage(100.0, 0.0, 20.0)], "constant"))

    assert len(times) == 1000
    late = [t for t in times if t >= 90]
    assert len(late) == pytest.approx(190, abs=1)
    assert fmean(times) == pytest.approx(100 * 2 / 3, rel=0.01)


@given(st.integers(1, 8), st.integers(1, 200))
def test_shards_share_out_every_request_once(workers: int, count: int) -> None:
    times = [float(i) for i in range(count)]

    shares = [list(shard(iter(times), index, workers)) for index in range(workers)]

    assert list(enumerate(times)) == sorted(pair for share in shares for pair in share)


def test_an_unknown_process_is_named() -> None:
    with pytest.raises(UsageError, match="process: 'bursty' is unknown; known are constant, poisson, gamma"):
        list(arrivals([Stage(1, 1)], "bursty"))


@pytest.mark.parametrize(("seconds", "rate"), [(0.0, 1.0), (-1.0, 1.0), (1.0, -1.0), (float("inf"), 1.0)])
def test_an_impossible_stage_is_refused(seconds: float, rate: float) -> None:
    with pytest.raises(UsageError, match="stage"):
        Stage(seconds, rate)
