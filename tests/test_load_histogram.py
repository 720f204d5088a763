"""Histograms merge exactly and keep their promised precision."""

from __future__ import annotations

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from loadtest.histogram import PENDING, Histogram, bucket_of, lowest, middle

VALUES = st.lists(st.integers(0, 10**9), min_size=1, max_size=200)


def made(values: list[int]) -> Histogram:
    histogram = Histogram()
    histogram.add(values)
    return histogram


@given(st.integers(0, 10**12))
def test_a_bucket_holds_its_value_and_is_at_most_a_thousandth_wide(value: int) -> None:
    bucket = bucket_of(value)

    assert lowest(bucket) <= value < lowest(bucket + 1)
    assert lowest(bucket + 1) - lowest(bucket) <= max(1, value / 1000)
    assert bucket_of(lowest(bucket)) == bucket


@given(VALUES, st.sampled_from([0.5, 0.9, 0.99, 0.999, 1.0]))
def test_a_quantile_is_the_nearest_rank_within_a_tenth_of_a_percent(values: list[int], q: float) -> None:
    exact = sorted(values)[max(ceil(q * len(values)), 1) - 1]

    found = made(values).quantile(q)

    assert found is not None
    assert abs(found - exact) <= max(0.5, exact * 0.001)


@given(st.lists(st.lists(st.integers(0, 10**9), max_size=60), min_size=1, max_size=8))
def test_any_split_over_workers_gives_the_pooled_histogram(shares: list[list[int]]) -> None:
    merged = Histogram()
    for share in shares:
        merged.merge(Histogram.from_bytes(made(share).to_bytes()))
    pooled = made([value for share in shares for value in share])

    assert pooled.buckets() == merged.buckets()
    assert (pooled.n, pooled.sum, pooled.min, pooled.max) == (merged.n, merged.sum, merged.min, merged.max)
    assert [pooled.quantile(q) for q in (0.5, 0.9, 0.99, 0.999, 1)] == [
        merged.quantile(q) for q in (0.5, 0.9, 0.99, 0.999, 1)
    ]


@given(VALUES)
def test_recording_one_by_one_is_recording_all_at_once(values: list[int]) -> None:
    single = Histogram()
    for value in values:
        single.record(value)

    assert made(values).buckets() == single.buckets()
    assert made(values).mean == single.mean


def test_nothing_recorded_has_no_figures() -> None:
    assert Histogram().quantile(0.5) is None
    assert Histogram().mean is None
    assert Histogram.from_bytes(Histogram().to_bytes()).n == 0


def test_the_memory_is_bounded_by_the_buckets_whatever_is_recorded() -> None:
    values = list(range(0, 700_000, 17))
    many = Histogram()
    for start in range(0, len(values), 1000):
        many.add(values[start : start + 1000])

    assert len(many._new) <= PENDING + 1000
    assert len(many.counts) <= bucket_of(700_000) + 1
    assert made(values).buckets() == many.buckets()
    assert middle(bucket_of(values[len(values) // 2])) == many.quantile(0.5)
