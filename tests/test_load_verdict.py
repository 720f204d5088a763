"""Objectives, the certificate, rates and exit codes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dialects
from loadtest import UsageError, scenarios, slo
from loadtest.certificate import Conditions, certify
from loadtest.metrics import Tally, metrics, rates, timeline
from loadtest.plan import Plan
from loadtest.result import Ended, exit_code, report
from loadtest.sample import FIRSTS, Outcome, Sample
from reports.storage import check_document

if TYPE_CHECKING:
    from reports.model import LoadReport

START = 1_700_000_000_000_000_000
OPEN = Conditions(kernel_stamps=True, open_loop=True)


def outcome(number: int, ttft: float = 50.0, kind: str = "ok", **other: Any) -> Outcome:  # noqa: ANN401
    ok = kind == "ok"
    values: dict[str, Any] = {
        "number": number,
        "part": "chat",
        "planned_ns": START + number * 10_000_000,
        "outcome": kind,
        "message": "" if ok else "why",
        "status": 200,
        "streamed": True,
        "queue_ms": 0.1,
        "connect_ms": None,
        "resent": False,
        "ttft_ms": dict.fromkeys(FIRSTS) | {"content": ttft, "first_byte": ttft},
        "e2e_ms": ttft + 30 if ok else None,
        "tpot_ms": 10.0 if ok else None,
        "longest_gap_ms": 10.0,
        "chunks": 4,
        "tokens": 4,
        "tokens_from": "usage",
        "prompt_tokens": 9,
        "cached_tokens": None,
        "finish_reason": "length",
        "reads": 4,
        "merged": 0,
        "bursts": 0,
        "usage_remark": "",
    }
    sample = Sample(**(values | other))
    return Outcome(sample, [10_000] * 3, [10_000] * 3, sample.planned_ns + round((ttft + 30) * 1e6))


def tally_of(*outcomes: Outcome, lags: tuple[int, ...] = (100,), sends: tuple[int, ...] = (100,)) -> Tally:
    tally = Tally()
    for each in outcomes:
        tally.add(each, START, 250.0, lambda s: (s.ttft_ms["content"] or 0) < 60)
    tally.histogram("lag_read").add(list(lags))
    tally.histogram("lag_send").add(list(sends))
    return tally


def reported(tally: Tally, *terms: str, conditions: Conditions = OPEN, reason: str | None = None) -> LoadReport:
    plan = Plan("http://h", dialects.load("openai"), scenarios.load("chat"), "m", key="k", slo=terms)
    result = report(plan, tally, Ended("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z", reason, conditions))
    check_document(result.to_json(), "load.json")
    return result


def by_name(rows: Any) -> dict[str, Any]:  # noqa: ANN401
    return {row.metric: row for row in rows}


@given(st.lists(st.floats(1, 5000), min_size=1, max_size=60), st.integers(1, 8))
def test_percentiles_of_any_number_of_workers_are_those_of_one(times: list[float], workers: int) -> None:
    outcomes = [outcome(number, round(time, 3)) for number, time in enumerate(times)]
    merged = Tally()
    for index in range(workers):
        merged.merge(Tally.from_wire(tally_of(*outcomes[index::workers]).to_wire()))
    pooled = tally_of(*outcomes)

    assert metrics(pooled) == metrics(merged)
    assert rates(pooled) == rates(merged)
    assert timeline(pooled) == timeline(merged)


def test_rates_divide_by_the_time_that_it_took() -> None:
    found = by_name(rates(tally_of(*(outcome(n) for n in range(101))), asked=100.0))

    assert found["requests_per_second"].value == pytest.approx(101 / (1.0 + 0.08), rel=1e-4)
    assert found["output_tokens_per_second"].value == pytest.approx(404 / 1.08, rel=1e-4)
    assert found["asked_per_second"].value == 100.0
    assert found["error_rate"].value == 0.0


def test_a_failure_is_no_success_and_adds_no_latency() -> None:
    tally = tally_of(outcome(0), outcome(1, 9999.0, "cut"), outcome(2, 70.0))
    found = by_name(rates(tally))

    assert by_name(metrics(tally))["ttft_content"].n == 2
    assert found["error_rate"].value == pytest.approx(1 / 3, abs=1e-6)
    assert found["good_share"].value == pytest.approx(1 / 3, abs=1e-6)
    assert dict(tally.errors) == {"cut": 1}


def test_a_freeze_of_four_streams_in_twenty_four_is_a_sixth() -> None:
    outcomes = [outcome(n, longest_gap_ms=470.0 if n < 4 else 10.0) for n in range(24)]

    assert by_name(rates(tally_of(*outcomes)))["freeze_share"].value == pytest.approx(4 / 24, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "metric", "statistic", "limit"),
    [
        ("ttft_p99<500ms", "ttft_content", "p99", 500.0),
        ("ttft_role_p50 <= 0.2s", "ttft_role", "p50", 200.0),
        ("itl_p999<50000us", "itl", "p999", 50.0),
        ("longest_gap_max<1s", "longest_gap", "max", 1000.0),
        ("error_rate<0.1%", "error_rate", None, 0.001),
        ("freeze_share<=0.05", "freeze_share", None, 0.05),
        ("requests_per_second>=20", "requests_per_second", None, 20.0),
        ("output_tokens_per_second>1e3/s", "output_tokens_per_second", None, 1000.0),
    ],
)
def test_objectives_are_read(text: str, metric: str, statistic: str | None, limit: float) -> None:
    (found,) = slo.parse([text])

    assert (metric, statistic) == (found.metric, found.statistic)
    assert limit == pytest.approx(found.limit)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "a term is empty"),
        ("ttft_p99<500ms,", "a term is empty"),
        ("ttft_p99=500ms", "is no term"),
        ("ttft_p99<fast", "is no term"),
        ("ttft_p98<500ms", "metric 'ttft_p98' is unknown"),
        ("tft_p99<500ms", "metric 'tft_p99' is unknown"),
        ("ttft_p99<500", "unit '' is no latency"),
        ("ttft_p99<5%", "unit '%' is no latency"),
        ("error_rate<5ms", "unit 'ms' does not fit error_rate"),
        ("error_rate<150%", "a share is at most 100%"),
    ],
)
def test_a_wrong_objective_says_what_is_allowed(text: str, word: str) -> None:
    with pytest.raises(UsageError) as caught:
        slo.parse([text])

    assert word in str(caught.value)


@pytest.mark.parametrize(
    ("term", "n", "code"),
    [
        ("ttft_p99<60ms", 100, 0),
        ("ttft_p99<60ms", 99, 2),
        ("ttft_p99<40ms", 100, 1),
        ("ttft_p999<60ms", 999, 2),
        ("error_rate<1%", 10, 0),
        ("error_rate<1%", 9, 2),
        ("ttft_tool_call_p50<1s", 100, 2),
        ("requests_per_second>1000", 100, 1),
    ],
)
def test_exit_codes_tell_pass_fail_and_too_little_data_apart(term: str, n: int, code: int) -> None:
    assert code == exit_code(reported(tally_of(*(outcome(i) for i in range(n))), term))


def test_without_objectives_locust_s_own_rule_decides() -> None:
    assert exit_code(reported(tally_of(outcome(0)))) is None


@pytest.mark.parametrize(("term", "kept"), [("queue_delay_p99<1ms", 0), ("queue_delay_p99<9ms", 1), ("itl_p99<1ms", 1)])
def test_goodput_counts_each_limit_on_what_one_request_has(term: str, kept: int) -> None:
    late = outcome(1, queue_ms=5.0)
    tally = Tally()

    tally.add(late, START, 250.0, lambda sample: slo.meets(slo.parse([term]), sample))

    assert tally.counts["good"] == kept


def test_an_incomplete_run_cannot_be_judged() -> None:
    assert exit_code(reported(tally_of(*(outcome(i) for i in range(100))), "ttft_p99<60ms", reason="stopped")) == 2


@pytest.mark.parametrize(
    ("tally", "conditions", "word"),
    [
        ({"lags": (100,) * 98 + (9000,) * 2}, OPEN, "reads came late"),
        ({"sends": (100,) * 98 + (2000,) * 2}, OPEN, "requests were sent late"),
        ({}, replace(OPEN, lost_workers=1), "1 worker(s) were lost"),
        ({}, replace(OPEN, cpu_share=0.97), "used 97% of its core"),
    ],
)
def test_a_late_generator_is_invalid_with_the_reason_and_exits_two(
    tally: dict[str, Any], conditions: Conditions, word: str
) -> None:
    result = reported(tally_of(*(outcome(i) for i in range(100)), **tally), "ttft_p99<60ms", conditions=conditions)

    assert result.certificate.verdict == "INVALID"
    assert word in " ".join(result.certificate.reasons)
    assert exit_code(result) == 2


def test_a_generator_in_time_is_valid_and_says_its_lateness() -> None:
    found = certify(tally_of(outcome(0)), OPEN)

    assert (found.verdict, found.reasons) == ("VALID", ())
    assert found.lag_ms["read_p99"] == 0.1


def test_a_late_send_does_not_matter_to_a_closed_loop() -> None:
    assert certify(tally_of(outcome(0), sends=(9000,)), replace(OPEN, open_loop=False)).verdict == "VALID"


def test_merged_reads_make_a_run_invalid() -> None:
    tally = tally_of(*(outcome(i, merged=1) for i in range(5)))

    assert "merged separate writes" in certify(tally, OPEN).reasons[0]


def test_first_tokens_that_met_later_ones_make_a_run_invalid() -> None:
    tally = tally_of(*(outcome(i, merged=i == 0, merged_first=i == 0, reads=64) for i in range(100)))

    assert [reason for reason in certify(tally, OPEN).reasons if "1.0% of the first tokens" in reason]


def test_without_kernel_stamps_a_busy_loop_is_the_error() -> None:
    tally = tally_of(outcome(0))
    tally.histogram("lag_busy").add([3000])

    assert "stamps are taken in user space" in certify(tally, replace(OPEN, kernel_stamps=False)).reasons[0]
    assert certify(tally, OPEN).verdict == "VALID"


def test_a_stepped_clock_is_told() -> None:
    tally = tally_of(outcome(0))
    tally.histogram("clock_step").record(50_000)

    assert "the wall clock was stepped by 50.000 ms" in certify(tally, OPEN).reasons[0]


def test_nothing_read_certifies_nothing() -> None:
    assert certify(Tally(), OPEN).verdict == "INVALID"


def test_a_long_run_s_timeline_stays_short() -> None:
    tally = tally_of(*(outcome(n, planned_ns=START + n * 1_000_000_000) for n in range(0, 3600, 7)))

    points = timeline(tally, points=100)

    assert len(points) <= 100
    assert sum((p["ok_per_second"] or 0) * 36 for p in points) == pytest.approx(len(range(0, 3600, 7)), rel=0.01)
