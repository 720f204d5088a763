"""The reference server on a real SGLang with a tiny random model: answers, clients that leave, ends and deaths.

Runs where sglang can be imported, as in the environment that `reference_server.engine.sglang_cpu.setup` makes; the server is
started three times, which takes a minute or two each on two slow cores.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from jsonschema import Draft202012Validator

import dialects
from tests.server_process import KEY, NAMES, Json, Server, body, chunks, events, finishes, running, text_of
from tests.sglang_models import prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(
    find_spec("sglang") is None,
    reason="sglang is not installed: python -m reference_server.engine.sglang_cpu.setup --venv DIR makes an environment",
)

SOON = 90.0  # seconds; generous, since the machine may be busy with anything
SLOT_FREE_WITHIN = 1.0  # seconds from the close of a connection, on a machine that is not busy with something else
PERSON: Json = {
    "type": "object",
    "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 99}, "likes": {"enum": ["tea", "coffee"]}},
    "required": ["age", "likes"],
}
TOOLS: list[Json] = [
    {"type": "function", "function": {"name": "order", "parameters": PERSON}},
    {"type": "function", "function": {"name": "now"}},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return prepared("tiny", tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def server(model: str) -> Iterator[Server]:
    with running("--engine", "sglang", "--model", model, "--control") as started:
        yield started


def until(condition: Callable[[], bool], within: float = SOON) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + within
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def load(server: Server) -> dict[str, int]:
    """What SGLang's scheduler and our engine count at this moment."""
    counted: dict[str, int] = server.client.get(f"{server.url}/__ref__/stats").json()["engine"]
    return counted


def is_idle(server: Server) -> bool:
    counted = load(server)
    return not any(counted[name] for name in ("num_running_reqs", "num_waiting_reqs", "answers", "requests"))


def children(process: int) -> list[int]:
    """The processes that descend from one."""
    try:
        of_threads = [each.read_text() for each in Path(f"/proc/{process}/task").glob("*/children")]
    except (FileNotFoundError, ProcessLookupError):
        return []
    own = [int(text) for text in " ".join(of_threads).split()]
    return own + [deeper for child in own for deeper in children(child)]


def named(process: int, name: str) -> list[int]:
    """The descendants whose command line says this name."""
    found = []
    for child in children(process):
        try:
            line = Path(f"/proc/{child}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if name in line:
            found.append(child)
    return found


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize("dialect", NAMES)
def test_every_dialect_is_answered_plain_and_streamed(server: Server, dialect: str) -> None:
    plain = server.post(dialect, max_tokens=8)
    streamed = server.post(dialect, max_tokens=8, stream=True)

    assert plain.status_code == 200
    assert plain.json()["usage"]["completion_tokens"] <= 8
    assert streamed.status_code == 200
    assert "".join(finishes(chunks(streamed)).values()) in ("length", "stop")


def test_choices_differ_and_usage_counts_them_all(server: Server) -> None:
    answer = server.post("openai", n=3, max_tokens=6, temperature=1).json()

    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in answer["choices"]}) == 3
    assert answer["usage"]["completion_tokens"] == 18


def test_the_prompt_that_was_seen_before_is_counted_as_cached(server: Server) -> None:
    said = "cache me " * 30
    first = server.post("openai", content=said, max_tokens=1).json()["usage"]
    second = server.post("openai", content=said, max_tokens=1).json()["usage"]

    assert first["prompt_tokens"] == second["prompt_tokens"]
    assert second["prompt_tokens_details"]["cached_tokens"] > first["prompt_tokens_details"]["cached_tokens"]


def test_temperature_zero_says_the_same_streamed_and_plain(server: Server) -> None:
    fields: dict[str, Any] = {"temperature": 0, "max_tokens": 24, "content": "Tell me a long story"}
    plain = server.post("openai", **fields).json()["choices"][0]
    streamed = chunks(server.post("openai", stream=True, **fields))

    assert text_of(streamed) == plain["message"]["content"]
    assert finishes(streamed) == {0: plain["finish_reason"]}


def test_a_seed_decides_what_is_said(server: Server) -> None:
    def said(seed: int) -> str:
        answer = server.post("openai", seed=seed, temperature=1, max_tokens=6, n=2).json()
        return "|".join(str(choice["message"]["content"]) for choice in answer["choices"])

    # The last bits of a score depend on what is in the cache, so now and then a word may differ.
    assert sum(said(seed) == said(seed) for seed in range(5)) >= 3
    assert len({said(seed) for seed in range(5)}) > 3
    assert len(set(said(9).split("|"))) == 2


def test_log_probabilities_spell_the_text(server: Server) -> None:
    choice = server.post("openai", logprobs=True, top_logprobs=3, max_tokens=12, temperature=0).json()["choices"][0]

    told = choice["logprobs"]["content"]
    assert b"".join(bytes(token["bytes"]) for token in told).decode("utf-8", "ignore") == choice["message"]["content"]
    assert {len(token["top_logprobs"]) for token in told} == {3}
    assert all(token["logprob"] <= 0 for token in told)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_held_to_its_schema(server: Server, *, stream: bool) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}
    response = server.post("openai", response_format=form, max_tokens=64, stream=stream)
    said = text_of(chunks(response)) if stream else response.json()["choices"][0]["message"]["content"]

    Draft202012Validator(PERSON).validate(json.loads(said))


@pytest.mark.parametrize("schema", [{"type": "nothing"}, {"type": "string", "pattern": "("}, {"$ref": "#/$defs/none"}])
def test_a_schema_that_cannot_be_held_is_refused_and_the_next_answer_comes(server: Server, schema: Json) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "bad", "schema": schema}}
    refused = server.post("openai", response_format=form, max_tokens=8, stream=True)

    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "response_format"
    assert server.post("openai", max_tokens=2).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "order"}}])
def test_a_call_that_must_be_made_is_made_with_valid_arguments(
    server: Server, choice: str | Json, *, stream: bool
) -> None:
    response = server.post("openai", tools=TOOLS, tool_choice=choice, max_tokens=300, stream=stream)
    calls = _streamed_calls(chunks(response)) if stream else response.json()["choices"][0]["message"]["tool_calls"]

    assert calls
    for call in calls:
        expected = PERSON if call["function"]["name"] == "order" else {"type": "object", "maxProperties": 0}
        Draft202012Validator(expected).validate(json.loads(call["function"]["arguments"]))
    ended = finishes(chunks(response)) if stream else {0: response.json()["choices"][0]["finish_reason"]}
    assert ended == {0: "tool_calls"}


def _streamed_calls(parts: list[Json]) -> list[Json]:
    calls: list[Json] = []
    for delta in (choice["delta"] for part in parts for choice in part["choices"]):
        for piece in delta.get("tool_calls") or ():
            if piece.get("id"):
                calls.append({"function": {**piece["function"]}})
            else:
                calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
    return calls


def test_tools_that_may_be_called_leave_the_model_free(server: Server) -> None:
    answer = server.post("openai", tools=TOOLS, max_tokens=16).json()["choices"][0]

    assert answer["finish_reason"] in ("length", "stop", "tool_calls")
    assert answer["message"]["content"] or answer["message"].get("tool_calls")


def test_a_text_model_refuses_an_image(server: Server) -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    refused = server.post("openai", messages=[{"role": "user", "content": [part]}])

    assert refused.status_code == 400
    assert "reads text only" in refused.json()["error"]["message"]


@pytest.mark.parametrize("dialect", NAMES)
def test_a_prompt_past_the_window_is_refused_at_once(server: Server, dialect: str) -> None:
    assert 400 <= server.post(dialect, content="word " * 5000, max_tokens=4).status_code < 500


# ---------------------------------------------------------------- clients that leave


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_its_slot(server: Server, *, stream: bool) -> None:
    assert until(lambda: is_idle(server))
    asyncio.run(_leave(server, stream=stream))
    left = time.monotonic()

    assert until(lambda: is_idle(server))
    print(f"slot free after {time.monotonic() - left:.2f} s, wanted {SLOT_FREE_WITHIN}")  # noqa: T201 - shown with -s


async def _leave(server: Server, *, stream: bool) -> None:
    """Ask for more than can be made in a moment, wait until it is being made, and close the connection."""
    asked = {**body("openai", content="Tell me a long story"), "max_tokens": 3000, "stream": stream}
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {KEY}"}, timeout=60) as client:
        waiting = asyncio.create_task(client.post(server.chat_url("openai"), json=asked))
        assert await asyncio.to_thread(until, lambda: load(server)["requests"] > 0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


def test_many_clients_that_leave_at_any_moment_leave_nothing_behind(server: Server) -> None:
    assert until(lambda: is_idle(server))
    family = [server.process.pid, *children(server.process.pid)]
    asyncio.run(_leave_at_random(server, 50))  # whatever is loaded on demand is there afterwards
    assert until(lambda: is_idle(server))
    tasks, before = load(server)["tasks"], [*map(_resident, family)]

    ended = asyncio.run(_leave_at_random(server, 200))

    assert sum(ended.values()) == 200
    assert ended["left"] > 30
    assert until(lambda: is_idle(server))
    assert until(lambda: load(server)["tasks"] <= tasks)
    grown = [now - then for now, then in zip(map(_resident, family), before, strict=True)]
    print(f"{ended}; tasks {tasks} before and {load(server)['tasks']} after; memory grew by {grown} KiB")  # noqa: T201 - shown with -s
    assert grown[0] < 30_000  # the server itself
    assert sum(grown) < 200_000  # SGLang's scheduler takes the memory of its cache only when it fills
    assert server.post("openai", max_tokens=4).status_code == 200


async def _leave_at_random(server: Server, number: int) -> dict[str, int]:
    luck = Random(7)  # noqa: S311 - moments, no secrets
    ended = {"left": 0, "answered": 0}
    gate = asyncio.Semaphore(24)

    async def one(client: httpx.AsyncClient) -> None:
        dialect = luck.choice(NAMES)
        asked = {**body(dialect, content="Tell me a long story"), "max_tokens": 400, "stream": luck.random() < 0.5}
        async with gate:
            try:
                async with asyncio.timeout(luck.uniform(0, 1.5)):
                    answer = await client.post(server.chat_url(dialect), json=asked)
                assert answer.status_code == 200
                ended["answered"] += 1
            except TimeoutError:
                ended["left"] += 1

    limits = httpx.Limits(max_connections=64, max_keepalive_connections=0)
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {KEY}"}, timeout=120, limits=limits) as client:
        await asyncio.gather(*(one(client) for _ in range(number)))
    return ended


def _resident(process: int) -> int:
    """Memory of a process in KiB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def test_a_deadline_ends_the_generation_too(server: Server) -> None:
    late = server.post("dria", content="Tell me a long story", temperature=0, max_tokens=4000, timeout_secs=1)
    documented = dialects.load("dria").cause("timeout")

    assert late.status_code == (documented.status[0] if documented else 504)
    assert until(lambda: is_idle(server))


def test_half_a_hundred_at_a_time_are_all_answered(server: Server) -> None:
    async def ask() -> list[httpx.Response]:
        headers = {"authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(headers=headers, timeout=120, limits=httpx.Limits(max_connections=64)) as client:
            posts = [
                client.post(server.chat_url(name), json={**body(name), "max_tokens": 5, "stream": number % 2 == 0})
                for number in range(48)
                for name in [NAMES[number % len(NAMES)]]
            ]
            return await asyncio.gather(*posts)

    assert {answer.status_code for answer in asyncio.run(ask())} == {200}


# ---------------------------------------------------------------- the end, and death


def test_sigterm_under_load_ends_streams_by_the_rule_and_leaves_no_process(model: str) -> None:
    with running("--engine", "sglang", "--model", model, "--control") as server:
        family = [server.process.pid, *children(server.process.pid)]
        assert len(family) >= 3
        streams: list[httpx.Response] = []
        asked: dict[str, Any] = {
            "content": "Tell me a long story",
            "max_tokens": 4000,
            "stream": True,
            "temperature": 0,
        }
        clients = [threading.Thread(target=lambda: streams.append(server.post("openai", **asked))) for _ in range(8)]
        for client in clients:
            client.start()
        assert until(lambda: load(server)["answers"] == 8)

        assert server.stop() == 0
        for client in clients:
            client.join(SOON)

        assert len(streams) == 8
        for stream in streams:
            # Refused where the first token was not there yet, else ended by an error event, or complete.
            last = stream.text if stream.status_code == 503 else events(stream)[-1]
            assert last == "[DONE]" or "shutting down" in json.loads(last)["error"]["message"]
        assert until(lambda: not [process for process in family if is_alive(process)])


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_process_of_sglang_that_dies_makes_every_dialect_say_unavailable(model: str, replicas: int) -> None:
    if replicas > len(os.sched_getaffinity(0)):
        pytest.skip("each replica needs a core")
    options = ("--engine-arg", f"dp_size={replicas}", "--control")
    with running("--engine", "sglang", "--model", model, *options) as server:
        family = children(server.process.pid)
        streams: list[httpx.Response] = []
        asked: dict[str, Any] = {
            "content": "Tell me a long story",
            "max_tokens": 4000,
            "stream": True,
            "temperature": 0,
        }
        client = threading.Thread(target=lambda: streams.append(server.post("openai", **asked)))
        client.start()
        assert until(lambda: load(server)["answers"] == 1)
        schedulers = named(server.process.pid, "sglang::scheduler")
        assert len(schedulers) == replicas

        os.kill(schedulers[-1], signal.SIGKILL)
        client.join(SOON)

        # Refused where the first token was not there yet, else ended by an error event.
        last = streams[0].text if streams[0].status_code == 503 else events(streams[0])[-1]
        assert "has died" in json.loads(last)["error"]["message"]
        for dialect in NAMES:
            refused = server.post(dialect)
            documented = dialects.load(dialect).cause("unavailable")
            assert refused.status_code == (documented.status[0] if documented else 503)
            assert "has died" in refused.text
        assert server.client.get(f"{server.url}/openai/health").status_code == 503
        server.stop()
        assert until(lambda: not [process for process in family if is_alive(process)])
