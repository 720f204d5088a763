"""Scenarios, prompts, bodies and traces: what is asked is a function of the plan and a number."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import product
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import dialects
from loadtest import UsageError, scenarios, traces
from loadtest.body import origin
from loadtest.plan import NONCE, Plan
from loadtest.prompts import draw, nonce, prompt
from loadtest.scenarios import Lengths

if TYPE_CHECKING:
    from pathlib import Path

KEY = "k-123"
DOCUMENTED = {
    "vision": ("adaptive", "aqueduct", "dria", "openai"),
    "tools": ("aqueduct", "dos_ai", "openai"),
    "json-schema": ("adaptive", "aqueduct", "dos_ai", "dria", "openai"),
}


def plan(dialect: str = "openai", scenario: str = "chat", **other: object) -> Plan:
    values: dict[str, object] = {"url": "http://127.0.0.1:9", "model": "m", "key": KEY}
    return Plan(dialect=dialects.load(dialect), scenario=scenarios.load(scenario), **(values | other))  # type: ignore[arg-type]


def body_of(data: bytes) -> dict[str, object]:
    found: dict[str, object] = json.loads(data.partition(b"\r\n\r\n")[2])
    return found


@pytest.mark.parametrize("name", scenarios.known())
def test_every_scenario_survives_being_written_and_read(name: str) -> None:
    scenario = scenarios.load(name)

    assert scenario == scenarios.from_table(scenario.table())
    assert scenario.title


@pytest.mark.parametrize("dialect", dialects.known())
@pytest.mark.parametrize("name", ["chat", "mixed", "non-stream", "shared-prefix", "multi-turn"])
def test_requests_keep_to_the_dialect_s_own_request_schema(dialect: str, name: str) -> None:
    made = plan(dialect, name)
    rules = Draft202012Validator(made.dialect.schemas["request"])

    for number in range(12):
        request = made.request(number)
        head, _, payload = request.data.partition(b"\r\n\r\n")
        assert [error.message for error in rules.iter_errors(json.loads(payload))] == []
        assert f"content-length: {len(payload)}".encode() in head
        assert head.startswith(b"POST " + made.dialect.paths.chat[0].encode())
        assert f"authorization: Bearer {KEY}".encode() in head


@pytest.mark.parametrize("dialect", dialects.known())
@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_a_need_that_the_document_lacks_is_a_usage_error(dialect: str, name: str) -> None:
    if dialect in DOCUMENTED[name]:
        made = plan(dialect, name)
        rules = Draft202012Validator(made.dialect.schemas["request"])
        assert [error.message for error in rules.iter_errors(body_of(made.request(0).data))] == []
    else:
        with pytest.raises(UsageError, match=f"which dialect {dialect} does not document"):
            plan(dialect, name)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_same_number_asks_the_same_and_another_asks_another(a: int, b: int) -> None:
    chat = scenarios.load("chat")

    assert prompt(chat, 1, a) == prompt(chat, 1, a)
    assert (prompt(chat, 1, a).messages == prompt(chat, 1, b).messages) == (a == b)


def test_prompts_share_a_prefix_only_on_purpose() -> None:
    shared = [prompt(scenarios.load("shared-prefix"), 0, n).messages[0] for n in (1, 2)]
    own = [prompt(scenarios.load("chat"), 0, n).messages[0][1][:8] for n in (1, 2)]

    assert shared[0] == shared[1]
    assert own[0] != own[1]


def test_a_conversation_repeats_what_was_said() -> None:
    messages = prompt(scenarios.load("multi-turn"), 0, 1).messages

    assert [role for role, _ in messages] == ["user", "assistant"] * 4 + ["user"]


@given(st.sampled_from(["fixed", "uniform", "lognormal"]), st.integers(1, 500), st.integers(0, 1000))
def test_lengths_stay_in_their_bounds(dist: str, mean: int, seed: int) -> None:
    lengths = Lengths(mean, dist, 0.7, 5, 300)

    assert 5 <= draw(lengths, Random(seed)) <= 300  # noqa: S311 - repeatable on purpose


def test_a_lognormal_length_has_its_mean() -> None:
    rng = Random(1)  # noqa: S311 - repeatable on purpose

    assert fmean(draw(Lengths(200, "lognormal", 0.5), rng) for _ in range(4000)) == pytest.approx(200, rel=0.05)


def test_each_request_has_a_word_of_its_own() -> None:
    words = {nonce(0, number) for number in range(1000)}

    assert len(words) == 1000
    assert all(NONCE.fullmatch(word) for word in words)


def test_a_mix_keeps_its_weights() -> None:
    made = plan(scenario="mixed")
    parts = [made.request(number).part for number in range(1000)]

    assert parts.count("chat") == pytest.approx(600, abs=60)
    assert {"chat", "long-prompt", "long-answer", "non-stream", "shared-prefix"} == set(parts)


def test_a_plan_travels_without_its_key() -> None:
    made = plan("dos_ai", "mixed", seed=7, slo=("ttft_p99<1s",), requests=5)

    wired = json.dumps(made.to_wire())

    assert KEY not in wired
    assert KEY not in repr(made)
    again = Plan.from_wire(json.loads(wired), made.dialect, KEY)
    assert [made.request(n) for n in range(20)] == [again.request(n) for n in range(20)]
    assert list(made.times()) == list(again.times())


@pytest.mark.parametrize("url", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/", "h:1"])
def test_a_base_url_may_already_hold_the_first_segment(url: str) -> None:
    assert origin(url, dialects.load("openai")).path == "/v1/chat/completions"


def test_an_ipv6_host_keeps_its_brackets_in_the_host_header() -> None:
    to = origin("https://[::1]:8443/base", dialects.load("openai"))

    assert (
        to.host,
        to.port,
        to.tls,
        to.host_header,
        to.path,
    ) == ("::1", 8443, True, "[::1]:8443", "/base/v1/chat/completions")


@pytest.mark.parametrize("url", ["ftp://h", "http://", "http://h/?q=1", "http://u:p@h", "http://h:99999"])
def test_a_url_that_is_no_target_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="--host"):
        origin(url, dialects.load("openai"))


def test_a_missing_key_is_named_by_its_variable() -> None:
    with pytest.raises(UsageError, match="MY_KEY is not set: dialect dos_ai requires a key"):
        plan("dos_ai", key=None, key_env="MY_KEY")


def test_a_key_with_a_line_end_is_refused_without_being_shown() -> None:
    with pytest.raises(UsageError) as caught:
        plan(key="secret\r\nx: y")

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("nonsense = 1", "field 'nonsense' is unknown; allowed are"),
        ("turns = 'x'", "field 'turns': 'x' is no int"),
        ("process = 'bursty'", "field 'process': 'bursty' is unknown; allowed are constant, poisson, gamma"),
        ("prompt = 5", "field 'prompt': 5 is no table"),
        ("prompt = { mean = 5, sigma = 1 }", "field prompt.sigma is unknown; allowed are mean"),
        ("stages = [{ seconds = 0, rate = 1 }]", "stage seconds: 0"),
        ("stages = []", "stages is empty"),
        ("needs = ['sound']", "field 'needs': 'sound' is unknown"),
        ("a = [", "invalid value"),
        ("stages = 5", "field 'stages': 5 is no list"),
        ("needs = 5", "field 'needs': 5 is no list"),
        ("extra = 5", "field 'extra': 5 is no table"),
        ("mix = [{ scenario = 5 }]", "field 'scenario': 5 is no str"),
        ("mix = [{ scenario = 'chat', weight = 0 }]", "field 'weight': 0 must be above 0"),
        ("mix = [{ scenario = 'chat', weight = nan }]", "field 'weight': nan is no finite number"),
        ("prompt = { mean = inf }", "lengths: mean inf"),
        ("process = 'gamma'\ncv = nan", "field 'cv': nan is no finite number"),
        ("cv = 0", "need 0 < cv <= 100"),
        ("process = 'gamma'\ncv = 1e200", "need 0 < cv <= 100"),
        (f"extra = {{ seed = {1 << 64} }}", "field 'extra'"),
        ("think_s = -1", "think_s >= 0"),
        ("stall_s = nan", "field 'stall_s': nan is no finite number"),
    ],
)
def test_a_wrong_scenario_file_names_file_and_field(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)

    with pytest.raises(UsageError) as caught:
        scenarios.load(str(path))

    assert str(path) in str(caught.value)
    assert word.lower() in str(caught.value).lower()


def test_an_unknown_scenario_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'chatt' is unknown; known are burst, chat, "):
        scenarios.load("chatt")


def test_rate_and_time_scale_the_stages() -> None:
    scaled = scenarios.load("burst").paced(rate=40.0, seconds=35.0)

    assert [stage.rate for stage in scaled.stages] == [4.0, 40.0, 4.0, 40.0, 4.0]
    assert pytest.approx(scaled.seconds) == 35.0


MOONCAKE = '{"timestamp": 2000, "input_length": 100, "output_length": 7, "hash_ids": [1]}\n{"timestamp": 0, "input_length": 8, "output_length": 0}\n'
BURST = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,472,18,490,Conversation log\n45,ChatGPT,1087,230,1317,x\n"


@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [("t.jsonl", MOONCAKE, [(0.0, 6, 1), (2.0, 75, 7)]), ("t.csv", BURST, [(5.0, 354, 18), (45.0, 815, 230)])],
)
def test_traces_give_times_and_lengths(
    tmp_path: Path, name: str, text: str, rows: list[tuple[float, int, int]]
) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "own.toml").write_text(f"trace = '{name}'\ntrace_speed = 2.0")

    made = plan(scenario=str(tmp_path / "own.toml"))

    assert rows == [(row.time, row.words, row.answer) for row in traces.read(str(tmp_path / name))]
    assert [(row[0] - rows[0][0]) / 2 for row in rows] == list(made.times())
    assert [row[2] for row in rows] == [
        body_of(made.request(n).data)[made.dialect.request.token_limits[0]] for n in range(2)
    ]


def test_a_trace_is_cut_by_the_run_time_and_has_no_other_rate(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(BURST)
    (tmp_path / "own.toml").write_text("trace = 't.csv'\ntrace_speed = 2.0")
    scenario = scenarios.load(str(tmp_path / "own.toml"))

    made = replace(plan(), scenario=scenario.paced(None, 19.0))

    assert (list(made.times()), made.seconds) == ([0.0], 0.0)
    assert list(replace(plan(), scenario=scenario.paced(None, 20.0)).times()) == [0.0, 20.0]
    with pytest.raises(UsageError, match="trace_speed"):
        scenario.paced(5.0, None)


def test_a_wrong_trace_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(MOONCAKE + '{"timestamp": "x"}\n')

    with pytest.raises(UsageError, match=re.escape(f"trace {path}: line 3:")):
        traces.read(str(path))


@pytest.mark.parametrize(
    ("field", "figure"),
    [
        *product(("timestamp", "input_length"), ("NaN", "Infinity", "1e999", "[" * 100_000)),
        ("output_length", "1e18"),
    ],
    ids=lambda word: word[:12],
)
def test_a_trace_with_a_figure_that_cannot_be_names_its_line(tmp_path: Path, field: str, figure: str) -> None:
    row = {"timestamp": "0", "input_length": "5", "output_length": "3"} | {field: figure}
    path = tmp_path / "t.jsonl"
    path.write_text(MOONCAKE + "{" + ", ".join(f'"{name}": {value}' for name, value in row.items()) + "}\n")

    with pytest.raises(UsageError, match="line 3:"):
        traces.read(str(path))
