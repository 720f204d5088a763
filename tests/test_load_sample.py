"""From reads to a Sample, on a clock that does not run: every behaviour is reported as what it is."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.analysis import MERGE_NS, Analysis
from loadtest.behaviour import BEHAVIOURS, CUT, Pace, chunk, event
from loadtest.framing import Framing
from loadtest.plan import NONCE
from loadtest.sample import Attempt, Outcome
from tests.test_load_framing import PlainHead

if TYPE_CHECKING:
    from collections.abc import Sequence

START = 1_700_000_000_000_000_000
NAMES = ("choices", "delta", "message", "content", "tool_calls", "error", "completion_tokens", "prompt_tokens_details", "cached_tokens",
         "completion_tokens_details", "reasoning_tokens", "total_tokens", "prompt_tokens", "finish_reason", "role")  # fmt: skip
STREAM = {"content-type": "text/event-stream"}
Reading = tuple[int, int, bytes]


def analysed(readings: Sequence[Reading], fault: tuple[str, str] | None = None, **attempt: object) -> Outcome:
    values: dict[str, object] = {"number": 1, "part": "chat", "planned": START, "sent": START}
    analysis = Analysis(Attempt(**(values | attempt)))  # type: ignore[arg-type]  # the fields of Attempt
    if readings:
        analysis.begin(readings[0][0], 200, STREAM)
    analysis.feed(list(readings))
    return analysis.finish(fault)


def played(name: str, pace: Pace, cuts: Sequence[int] = ()) -> Outcome:
    """A behaviour's writes as reads at exactly their times, cut further at these places of the whole."""
    framing, readings, place = Framing(PlainHead), [], 0
    fault = None
    for at, data in BEHAVIOURS[name].writes(pace):
        if data == CUT:
            fault = ("cut", "the connection ended inside the answer")
            break
        inside = sorted({cut % 20_000 - place for cut in cuts} & set(range(1, len(data))))
        edges = [0, *inside, len(data)]
        readings += [(START + round(at * 1e9), 0, framing.feed(data[a:b])) for a, b in itertools.pairwise(edges)]
        place += len(data)
    return analysed(readings, fault)


@pytest.mark.parametrize("name", sorted(BEHAVIOURS))
@given(cuts=st.lists(st.integers(0, 10**6), max_size=20), chunks=st.integers(8, 40))
def test_each_behaviour_is_reported_as_its_truth_however_its_bytes_are_split(
    name: str, cuts: list[int], chunks: int
) -> None:
    pace = Pace(0.05, 0.01, chunks)
    truth = BEHAVIOURS[name].truth(pace)

    sample = played(name, pace, cuts).sample

    assert truth.outcome == sample.outcome
    assert {key: pytest.approx(value, rel=0.01, abs=0.001) for key, value in truth.ttft.items()} == {
        key: sample.ttft_ms[key] for key in truth.ttft
    }
    if truth.outcome == "ok":
        assert truth.tokens == sample.tokens
        assert ("chunks" if truth.counted else "usage") == sample.tokens_from
        assert truth.longest == pytest.approx(sample.longest_gap_ms, rel=0.01)


@pytest.mark.parametrize("name", ["plain", "four-tokens", "reasoning-first", "crlf", "usage-missing"])
def test_gaps_are_those_of_the_chunks(name: str) -> None:
    outcome = played(name, Pace())

    assert outcome.gaps == [10_000] * 63
    assert outcome.token_gaps == [round(10_000 * 64 / outcome.sample.tokens)] * 63


def test_time_per_token_counts_tokens_and_not_chunks() -> None:
    assert played("four-tokens", Pace()).sample.tpot_ms == pytest.approx(630 / 255, abs=0.001)


TEXTS = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=20)


@given(TEXTS, st.booleans())
def test_the_short_cut_for_like_chunks_sees_what_the_long_way_sees(texts: list[str], spaced: bool) -> None:  # noqa: FBT001
    events = [event(chunk({"content": text})) for text in texts] + [event(b"[DONE]")]
    if spaced:
        events = [b"data:" + e[6:] for e in events]
    short = [(START + i, 0, data) for i, data in enumerate(events)]
    long = [
        (at, busy, data.replace(b"data:", b"id: 7\ndata:", 1)) for at, busy, data in short
    ]  # no shape is learnt from these

    a, b = analysed(short), analysed(long)

    assert a.gaps == b.gaps
    assert (a.sample.outcome, a.sample.chunks) == (b.sample.outcome, b.sample.chunks) == ("ok", len(texts))


@given(TEXTS)
def test_text_is_kept_for_the_echo_check_whatever_characters_it_has(texts: list[str]) -> None:
    events = [*(event(chunk({"content": text})) for text in texts), event(b"[DONE]")]
    analysis = Analysis(Attempt(1, "chat", START, START, echo="word"))
    analysis.begin(START, 200, STREAM)
    analysis.feed([(START, 0, data) for data in events])

    assert b"".join(analysis._texts).decode() == "".join(texts)


def test_a_chunk_that_only_looks_like_the_last_one_is_still_judged() -> None:
    good = event(chunk({"content": "tok"}))
    bad = good.replace(b'"tok"', b'"to\nk"')

    sample = analysed([(START, 0, good), (START, 0, good), (START, 0, bad), (START, 0, event(b"[DONE]"))]).sample

    assert sample.outcome == "malformed_json"


def test_bytes_that_are_no_utf8_are_a_failure() -> None:
    good = event(chunk({"content": "tok"}))
    bad = good.replace(b'"tok"', b'"t\xff"')

    assert (
        analysed([(START, 0, good), (START, 0, bad), (START, 0, event(b"[DONE]"))]).sample.outcome == "malformed_json"
    )


def test_writes_that_met_in_a_busy_generator_are_spread_and_counted() -> None:
    one = event(chunk({"content": "tok"}))
    readings = [
        (START, 0, one),
        (START + 20_000_000, MERGE_NS, one + one),
        (START + 30_000_000, 0, one + event(b"[DONE]")),
    ]

    outcome = analysed(readings)

    assert outcome.gaps == [10_000, 10_000, 10_000]
    assert (outcome.sample.merged, outcome.sample.bursts) == (1, 0)


def test_a_burst_of_the_server_stays_a_burst() -> None:
    one = event(chunk({"content": "tok"}))

    outcome = analysed(
        [(START, 0, one), (START + 20_000_000, 1000, one + one), (START + 30_000_000, 0, event(b"[DONE]"))]
    )

    assert outcome.gaps == [20_000, 0]
    assert (outcome.sample.merged, outcome.sample.bursts) == (0, 1)


def test_every_latency_counts_from_the_planned_time() -> None:
    one = event(chunk({"content": "tok"}))

    sample = analysed([(START + 50_000_000, 0, one + event(b"[DONE]"))], sent=START + 30_000_000).sample

    assert (sample.queue_ms, sample.ttft_ms["content"], sample.e2e_ms) == (30.0, 50.0, 50.0)


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (event(b'{"choices": ['), "malformed_json"),
        (event(b"[1]"), "malformed_chunk"),
        (event({"error": {"message": "out of memory"}}), "error_event"),
        (event(chunk({"role": "assistant"})) + event(b"[DONE]"), "empty"),
        (event(chunk({"content": "x"})) + event(b"[DONE]") + event(b"[DONE]"), "done_twice"),
        (event(chunk({"content": "x"})) + event(b"[DONE]") + event(chunk({"content": "y"})), "after_done"),
        (event(chunk({"content": "x"})) + b"data: [DONE]", "cut"),
        (event(chunk({"content": "x"})) + b'event: error\ndata: {"message": "out of memory"}\n\n', "error_event"),
    ],
)
def test_a_malformed_stream_is_a_failure_with_its_class(body: bytes, outcome: str) -> None:
    assert outcome == analysed([(START, 0, body)]).sample.outcome


@pytest.mark.parametrize(
    "body",
    [
        event(chunk({"refusal": "I can't"})) + event(b"[DONE]"),
        event(chunk({"content": "x"})) + b"data: [DONE] \n\n",
        (event(chunk({"content": "x"})) + event(b"[DONE]")).replace(b"\n", b"\r"),
    ],
    ids=["a refusal", "white space after the end", "lines that end with CR alone"],
)
def test_what_every_reader_takes_for_an_answer_is_one(body: bytes) -> None:
    sample = analysed([(START + 1_000_000, 0, body)]).sample

    assert (sample.outcome, sample.chunks, sample.ttft_ms["content"]) == ("ok", 1, 1.0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON, JSON | st.dictionaries(st.sampled_from(NAMES), JSON), st.booleans())
def test_whatever_json_a_server_sends_becomes_a_sample(value: object, usage: object, streamed: bool) -> None:  # noqa: FBT001 - drawn
    analysis = Analysis(Attempt(1, "chat", START, START, streamed))
    analysis.begin(START, 200, STREAM if streamed else {"content-type": "application/json"})
    whole = {"choices": [{"message": value}], "usage": usage}
    documents = [
        value,
        {"choices": value, "usage": usage},
        {"choices": [{"delta": value}]},
        {"choices": [value]},
        whole,
    ]
    for number, document in enumerate(documents):
        body = event(orjson.dumps(document)) if streamed else orjson.dumps(document) if document is whole else b""
        analysis.feed([(START + number, 0, body)])

    sample = analysis.finish().sample

    assert sample.outcome
    assert sample.tokens >= 0
    assert isinstance(sample.usage_remark, str)


@pytest.mark.parametrize("count", [-5, 2**64 - 1])
def test_counts_that_no_answer_can_have_are_not_believed(count: int) -> None:
    usage = {
        "prompt_tokens": count,
        "completion_tokens": count,
        "total_tokens": 1,
        "completion_tokens_details": {"reasoning_tokens": count},
        "prompt_tokens_details": {"cached_tokens": count},
    }
    body = event(chunk({"content": "x"})) + event({"choices": [], "usage": usage}) + event(b"[DONE]")

    sample = analysed([(START, 0, body)]).sample

    assert (sample.tokens, sample.tokens_from, sample.prompt_tokens, sample.cached_tokens) == (1, "chunks", None, None)


def test_an_answer_that_is_compressed_unasked_is_a_failure_that_says_so() -> None:
    analysis = Analysis(Attempt(1, "chat", START, START))
    analysis.begin(START, 200, {**STREAM, "content-encoding": "gzip"})
    analysis.feed([(START, 0, b"\x1f\x8b\x08\x00")])

    sample = analysis.finish().sample

    assert (sample.outcome, sample.message) == (
        "compressed",
        "the answer is compressed (gzip), which was not asked for",
    )


def test_an_error_status_is_a_failure_with_its_status_and_words() -> None:
    analysis = Analysis(Attempt(1, "chat", START, START))
    analysis.begin(START, 429, {"content-type": "application/json"})
    analysis.feed([(START, 0, b'{"error": "slow down"}')])

    sample = analysis.finish(None, "7").sample

    assert (sample.outcome, sample.status) == ("http_429", 429)
    assert 'slow down"} (retry-after: 7)' in sample.message


def test_a_document_where_a_stream_was_asked_for_is_a_failure() -> None:
    analysis = Analysis(Attempt(1, "chat", START, START))
    analysis.begin(START, 200, {"content-type": "application/json"})

    assert analysis.finish().sample.outcome == "not_a_stream"


def test_a_whole_answer_has_its_tokens_and_no_gaps() -> None:
    answer = {
        "choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}],
        "usage": {"completion_tokens": 3},
    }
    sample = analysed([(START + 5_000_000, 0, orjson.dumps(answer))], streamed=False).sample

    assert (
        sample.outcome,
        sample.tokens,
        sample.e2e_ms,
        sample.longest_gap_ms,
        sample.ttft_ms["content"],
    ) == ("ok", 3, 5.0, None, None)


def test_another_requests_word_in_the_answer_is_cross_talk() -> None:
    echo, other = "babebibobu7", "zazezizozu8"
    said = [event(chunk({"content": f"{echo} {word}"})) + event(b"[DONE]") for word in (echo, other)]

    outcomes = [analysed([(START, 0, body)], echo=echo, foreign=NONCE).sample.outcome for body in said]

    assert outcomes == ["ok", "cross_talk"]
