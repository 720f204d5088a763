"""The process: its command line, its pace, its end, what it does when clients leave, and its control plane."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from reference_server.__main__ import main
from reference_server.engine.pace import Pace
from tests.server_process import KEY, ROOT, STORY, Server, body, chunks, events, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SESSION = "3c90c3cc-0d44-4b50-8888-8dd25736052a"


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reference_server", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def until(condition: Callable[[], bool]) -> bool:
    """Whether it becomes true within half a minute."""
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def stats(server: Server) -> dict[str, int]:
    counted: dict[str, int] = server.client.get(f"{server.url}/__ref__/stats").json()
    return counted


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--dialect", "none"], "none"),
        (["--port", "66000"], "66000"),
        (["--port", "x"], "'x'"),
        (["--ttft-ms", "-1"], "-1"),
        (["--itl-ms", "soon"], "soon"),
        (["--fault", "no-such-fault", "--port", "0"], "no-such-fault"),
        (["--vary", "no-such-variation", "--port", "0"], "no-such-variation"),
        (["--config", "/nowhere/keys.toml", "--port", "0"], "/nowhere/keys.toml"),
        (["--state", "/nowhere/state.db", "--port", "0"], "/nowhere/state.db"),
        (["--engine", "sglang", "--port", "0"], "--model"),
        (["--bogus"], "--bogus"),
    ],
)
def test_a_bad_option_is_named_and_ends_with_two(
    capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    try:
        status: object = main(options)
    except SystemExit as ended:
        status = ended.code

    assert status == 2
    assert says in capsys.readouterr().err


def test_the_command_itself_ends_with_two_and_one_sentence() -> None:
    ended = run("--port", "66000")

    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run("--port", port)

    assert ended.returncode == 2
    assert port in ended.stderr


def test_it_ends_cleanly_on_sigterm() -> None:
    with running() as server:
        assert server.post("openai").status_code == 200
        assert server.stop() == 0


def test_a_running_stream_finishes_after_sigterm() -> None:
    with running("--itl-ms", "20") as server:
        with server.client.stream(
            "POST", server.chat_url("openai"), json=body("openai", content="Count to 20", stream=True)
        ) as answer:
            pieces = answer.iter_bytes()
            first = next(pieces)
            server.process.terminate()
            rest = b"".join(pieces)

        assert (first + rest).endswith(b"data: [DONE]\n\n")
        assert server.process.wait(timeout=30) == 0


def test_a_stream_that_would_take_too_long_gets_an_error_event_after_sigterm() -> None:
    with running("--itl-ms", "1000") as server:
        with server.client.stream(
            "POST", server.chat_url("openai"), json=body("openai", content=STORY, stream=True)
        ) as answer:
            pieces = answer.iter_bytes()
            next(pieces)
            server.process.terminate()
            rest = b"".join(pieces)
        *_, last = rest.decode().removesuffix("\n\n").split("\n\n")

        assert json.loads(last.removeprefix("data: "))["error"]["type"] == "server_error"
        assert server.process.wait(timeout=30) == 0


def test_tokens_come_at_the_pace_that_was_asked_for() -> None:
    with running("--ttft-ms", "300", "--itl-ms", "30") as server:
        start = time.monotonic()
        with server.client.stream(
            "POST", server.chat_url("dos_ai"), json=body("dos_ai", content=STORY, stream=True, max_tokens=21)
        ) as answer:
            times = [time.monotonic() - start for _ in answer.iter_bytes()]

        assert times[0] >= 0.3
        assert times[-1] >= 0.3 + 20 * 0.03


@pytest.mark.parametrize("stream", [False, True])
def test_a_generation_ends_when_its_client_leaves(stream: bool) -> None:  # noqa: FBT001 - a parameter
    with running("--control", "--ttft-ms", "50", "--itl-ms", "200") as server:
        data = json.dumps(body("openai", content=STORY, stream=stream)).encode()
        head = f"POST /openai/v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as client:
            client.sendall(head.encode() + data)
            if stream:
                assert client.recv(100)
            assert until(lambda: stats(server)["generations"] == 1)

        assert until(lambda: stats(server)["abandoned"] == 1)
        assert stats(server)["finished"] == 0


def test_a_timeout_before_the_first_byte_has_its_status() -> None:
    with running("--ttft-ms", "3000") as server:
        answers = [server.post("dria", timeout_secs=1), server.post("dria", timeout_secs=1, stream=True)]
        late = server.post("adaptive", max_ttft_ms=100)

        assert [answer.status_code for answer in answers] == [504, 504]
        assert late.status_code == 504


def test_a_timeout_after_the_first_byte_is_told_in_the_last_event_without_done() -> None:
    with running("--itl-ms", "1000") as server:
        answer = server.post("dria", content=STORY, timeout_secs=3, stream=True)
        told = events(answer)

        assert answer.status_code == 200
        assert "error" in json.loads(told[-1])
        assert "[DONE]" not in told


def test_sessions_survive_in_the_state_file(tmp_path: Path) -> None:
    state = str(tmp_path / "state.db")
    said = []
    for _ in range(2):
        with running("--state", state, "--control") as server:
            said.append(server.post("adaptive", session_id=SESSION).json()["choices"][0]["message"]["content"])
            server.post("adaptive", session_id=SESSION, store=False)
            kept = server.client.get(f"{server.url}/__ref__/sessions/{SESSION}").json()["completions"]
            assert server.stop() == 0

    assert said == [completion["text"] for completion in kept]


def test_a_streamed_answer_is_kept_like_a_plain_one() -> None:
    with running("--control") as server:
        parts = chunks(server.post("adaptive", session_id=SESSION, stream=True))
        kept = server.client.get(f"{server.url}/__ref__/sessions/{SESSION}").json()["completions"]

        assert [completion["id"] for completion in kept] == [parts[0]["choices"][0]["completion_id"]]
        assert [completion["text"] for completion in kept] == [
            "".join(p["choices"][0]["delta"]["content"] for p in parts)
        ]


def test_the_control_plane_is_off_unless_asked_for() -> None:
    with running() as server:
        assert server.client.get(f"{server.url}/__ref__/stats").status_code == 404


def test_the_control_plane_shows_that_defaults_were_applied() -> None:
    with running("--control") as server:
        server.post("dria")
        seen: dict[str, Any] = server.client.get(f"{server.url}/__ref__/requests").json()["requests"][-1]

        assert tuple(seen["order"][name] for name in ("max_tokens", "temperature", "finish_within")) == (2048, 0.7, 120)
        assert KEY not in json.dumps(seen)


def test_refusals_can_be_ordered_and_reset() -> None:
    with running("--control") as server:
        orders = f"{server.url}/__ref__/faults"
        server.client.post(orders, json={"cause": "internal", "times": 1})
        first = [server.post("dos_ai").status_code for _ in range(2)]
        server.client.post(orders, json={"cause": "rate_limited", "times": 9})
        limited = server.post("dos_ai")
        server.client.post(f"{server.url}/__ref__/reset")

        assert first == [500, 200]
        assert (limited.status_code, limited.headers["retry-after"]) == (429, "1")
        assert server.post("dos_ai").status_code == 200
        assert server.client.post(orders, json={"names": ["no-such"]}).status_code == 400


def test_requests_at_the_same_time_do_not_mix() -> None:
    with running("--itl-ms", "1") as server:
        answers: dict[int, str] = {}

        def ask(number: int) -> None:
            answers[number] = server.post("openai", content=f"Repeat exactly: nonce {number} {'x ' * 20}").json()[
                "choices"
            ][0]["message"]["content"]

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert answers == {number: f"nonce {number} {'x ' * 20}" for number in range(24)}


def test_a_long_answer_does_not_keep_others_waiting() -> None:
    with running() as server:
        busy = threading.Thread(target=lambda: server.post("openai", content="Write 9000 words", n=4))
        busy.start()
        assert server.post("openai").status_code == 200
        overtaken = busy.is_alive()
        busy.join()

    assert overtaken


@pytest.mark.parametrize(("late", "step", "asked"), [(0.0, 0, 20.0), (0.0, 5, 25.0), (4.0, 5, 21.0), (60.0, 5, None)])
def test_a_token_is_due_at_a_fixed_time_however_late_the_last_one_was(
    monkeypatch: pytest.MonkeyPatch, late: float, step: int, asked: float | None
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def wait() -> None:
        await Pace(ttft=20.0, itl=1.0).wait(asyncio.get_running_loop().time() - late, step)

    monkeypatch.setattr("reference_server.engine.pace.asyncio.sleep", sleep)
    asyncio.run(wait())

    assert slept == ([] if asked is None else [pytest.approx(asked, abs=1.0)])
