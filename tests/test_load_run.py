"""Whole runs through locust and real sockets: files, exit codes, failures by class, workers. Nothing here depends on speed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from loadtest.behaviour import BEHAVIOURS, Pace
from loadtest.histogram import Histogram
from loadtest.paced import Server
from reports.storage import read_document
from tests.loopback import closed_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(
    find_spec("locust") is None, reason="needs the load extra"
)  # importing locust patches everything
ROOT = Path(__file__).parent.parent
RUN_S = 90
FAST = Pace(0.01, 0.002, 12)


@pytest.fixture(scope="module")
def paced() -> Iterator[str]:
    server = Server(0, FAST)
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.running = False
    thread.join()


def command(url: str, folder: Path, *options: str) -> list[str]:
    own = ["--host", url, "--report", str(folder), "--headless", "--only-summary"]
    return [sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py", *own, *options]


def environment(**other: str) -> dict[str, str]:
    return {**os.environ, "CHAT_API_KEY": "k-secret", "LOCUST_LOGLEVEL": "INFO", **other}


def locust(url: str, folder: Path, *options: str, **other: str) -> tuple[int, str]:
    done = subprocess.run(
        command(url, folder, *options),
        cwd=ROOT,
        env=environment(**other),
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def result(folder: Path) -> dict[str, Any]:
    _, document = read_document(folder / "load.json")
    return document


def samples(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def figures(document: dict[str, Any], part: str) -> dict[str, Any]:
    return {row["metric"]: row for row in document[part]}


def test_an_open_loop_sends_what_was_planned_and_writes_every_file(paced: str, tmp_path: Path) -> None:
    _, said = locust(paced, tmp_path, "--rate", "40", "-t", "2s")

    document, rows = result(tmp_path), samples(tmp_path)
    assert {"load.json", "samples.jsonl", "load.html", "load.md"} <= {path.name for path in tmp_path.iterdir()}
    assert len(rows) == 80
    assert {row["number"] for row in rows} == set(range(80))
    assert {row["outcome"] for row in rows} == {"ok"}
    assert figures(document, "metrics")["ttft_content"]["n"] == 80
    assert figures(document, "metrics")["itl"]["n"] == 80 * 11
    assert figures(document, "rates")["asked_per_second"]["value"] == 40.0
    assert figures(document, "rates")["requests_per_second"]["value"] <= 80 / 2
    assert document["complete"] is True
    assert document["scenario"]["tokens"] == 80 * 12
    assert f"certificate: {document['certificate']['verdict']}" in said
    assert "k-secret" not in said + (tmp_path / "load.json").read_text() + (tmp_path / "load.html").read_text()


def test_percentiles_are_those_of_the_samples(paced: str, tmp_path: Path) -> None:
    locust(paced, tmp_path, "--closed-loop", "-u", "5", "-r", "5", "--requests", "60")

    pooled = Histogram()
    pooled.add([round(row["ttft_ms"]["content"] * 1000) for row in samples(tmp_path)])
    metric = figures(result(tmp_path), "metrics")["ttft_content"]
    assert metric["n"] == 60
    assert [metric["p50"], metric["p99"]] == [round((pooled.quantile(q) or 0) / 1000, 4) for q in (0.5, 0.99)]


def test_each_behaviour_has_its_outcome_on_the_wire(paced: str, tmp_path: Path) -> None:
    for name in BEHAVIOURS:
        (tmp_path / f"{name}.toml").write_text(f'extra = {{ model = "{name}" }}')
    parts = ", ".join(f'{{ scenario = "{tmp_path / name}.toml" }}' for name in BEHAVIOURS)
    (tmp_path / "all.toml").write_text(f"mix = [{parts}]")

    own = ["--scenario", str(tmp_path / "all.toml"), "--closed-loop", "-u", "4", "-r", "4", "--requests", "140"]
    code, _ = locust(paced, tmp_path / "report", *own)

    rows = samples(tmp_path / "report")
    assert code in {1, 2}
    assert {(name, BEHAVIOURS[name].truth(FAST).outcome) for name in BEHAVIOURS} == {
        (row["part"], row["outcome"]) for row in rows
    }
    for row in rows:
        truth = BEHAVIOURS[row["part"]].truth(FAST)
        if truth.outcome == "ok":
            assert (truth.tokens, "chunks" if truth.counted else "usage") == (row["tokens"], row["tokens_from"])
    failed = Counter(row["outcome"] for row in rows if row["outcome"] != "ok")
    assert dict(failed) == {row["class"]: row["count"] for row in result(tmp_path / "report")["errors"]}


@pytest.mark.parametrize(
    ("terms", "verdict"),
    [("ttft_p50<10s,error_rate<1%", "pass"), ("ttft_p50<1us", "fail"), ("ttft_p999<10s", "no-data")],
)
def test_objectives_decide_the_exit_code(paced: str, tmp_path: Path, terms: str, verdict: str) -> None:
    code, _ = locust(paced, tmp_path, "--closed-loop", "-u", "2", "-r", "2", "--requests", "20", "--slo", terms)

    document = result(tmp_path)
    assert verdict == document["slo"][0]["verdict"]
    judged = {"pass": 0, "fail": 1, "no-data": 2}[verdict]
    assert (judged if document["certificate"]["verdict"] == "VALID" else 2) == code


def test_a_whole_answer_run_counts_tokens_and_has_no_first_token(paced: str, tmp_path: Path) -> None:
    locust(paced, tmp_path, "--closed-loop", "-u", "2", "-r", "2", "--requests", "6", "--scenario", "non-stream")

    metrics = figures(result(tmp_path), "metrics")
    assert (metrics["e2e"]["n"], metrics["ttft_content"]["n"], metrics["ttft_content"]["p50"]) == (6, 0, None)
    assert {row["tokens"] for row in samples(tmp_path)} == {12}


def test_workers_share_the_schedule_and_their_samples_are_pooled(paced: str, tmp_path: Path) -> None:
    port = str(free_port())  # other runs on this machine may hold locust's own

    own = ["--processes", "2", "--master-bind-port", port, "--master-port", port]
    _, said = locust(paced, tmp_path, "--rate", "30", "-t", "2s", *own)

    document, rows = result(tmp_path), samples(tmp_path)
    assert document["scenario"]["workers"] == 2
    assert sorted(row["number"] for row in rows) == list(range(60)), said
    assert {1, 2} == {row["worker"] for row in rows}
    pooled = Histogram()
    pooled.add([round(row["e2e_ms"] * 1000) for row in rows])
    assert figures(document, "metrics")["e2e"]["p99"] == round((pooled.quantile(0.99) or 0) / 1000, 4)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_worker_killed_in_the_middle_is_told_and_what_it_had_sent_is_kept(paced: str, tmp_path: Path) -> None:
    port = str(free_port())
    base = ["--master-bind-port", port, "--expect-workers", "2", "--rate", "20", "-t", "14s"]
    master = subprocess.Popen(
        command(paced, tmp_path, "--master", *base),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    join = [sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py", "--worker", "--master-port", port]
    workers = [
        subprocess.Popen(join, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    try:
        wait_for(
            lambda: (
                len(list(tmp_path.glob("samples.*.jsonl"))) == 2
                and all(p.stat().st_size for p in tmp_path.glob("samples.*.jsonl"))
            )
        )
        workers[0].send_signal(signal.SIGKILL)
        said, _ = master.communicate(timeout=RUN_S)
    finally:
        everyone: list[subprocess.Popen[Any]] = [master, *workers]
        for process in everyone:
            process.kill()
            process.wait()

    document = result(tmp_path)
    assert master.returncode == 2
    assert "was lost: what it had reported is kept" in said
    assert document["certificate"]["verdict"] == "INVALID"
    assert any("1 worker(s) were lost" in reason for reason in document["certificate"]["reasons"])
    assert {1, 2} == {row["worker"] for row in samples(tmp_path)}


def wait_for(met: Any) -> None:  # noqa: ANN401 - a condition
    ends = time.monotonic() + RUN_S
    while not met():
        assert time.monotonic() < ends, "the condition was not met in time"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        (["--slo", "ttft<fast"], 4, "--slo: 'ttft<fast' is no term"),
        (["--scenario", "chatt"], 4, "--scenario: 'chatt' is unknown; known are burst, chat"),
        (["--dialect", "nobody"], 4, "--dialect: no dialect 'nobody'"),
        (["--scenario", "vision", "--dialect", "dos_ai"], 4, "which dialect dos_ai does not document"),
        (
            ["--key-env", "NO_SUCH_KEY", "--dialect", "dos_ai"],
            4,
            "NO_SUCH_KEY is not set: dialect dos_ai requires a key",
        ),
        (["--requests", "0"], 4, "--requests: 0 must be 1 or more"),
        (["--host", "http://[::1"], 4, "--host: 'http://[::1': Invalid IPv6 URL"),
        (["--host", "http://h/a b"], 4, "holds a space or a character outside ASCII"),
        (["-t", "5x"], 4, "-t/--run-time: Invalid time span format"),
        (["--rate", "many"], 4, "--rate: invalid float value: 'many'"),
        (["--report", "/dev/null"], 4, "--report: /dev/null cannot be a folder"),
    ],
)
def test_a_wrong_call_says_so_at_once(paced: str, tmp_path: Path, options: list[str], code: int, word: str) -> None:
    found, said = locust(paced, tmp_path, *options)

    assert (code, True) == (found, word in said), said
    assert not (tmp_path / "load.json").exists()


def test_a_proxy_for_the_target_is_refused(tmp_path: Path) -> None:
    code, said = locust("http://target.invalid", tmp_path, http_proxy="http://127.0.0.1:9", no_proxy="", NO_PROXY="")

    assert (code, "through a proxy (http_proxy)" in said) == (4, True), said


def test_nobody_there_is_a_sentence_and_exit_two(tmp_path: Path) -> None:
    code, said = locust(f"http://127.0.0.1:{free_port()}", tmp_path, "--model", "m")

    assert (code, "cannot be reached: Connection refused" in said) == (2, True), said


def test_a_refused_key_is_a_sentence_and_exit_two(tmp_path: Path) -> None:
    with refusing() as url:
        code, said = locust(url, tmp_path, "--model", "m")

    assert (code, "status 401: the key was refused: no such key" in said) == (2, True), said
    assert "k-secret" not in said


class refusing:  # noqa: N801 - used as a context manager
    """A server that answers 401 to everything."""

    def __enter__(self) -> str:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            with peer:
                peer.recv(65536)
                peer.sendall(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 11\r\nconnection: close\r\n\r\nno such key")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_ends_the_run_with_a_sentence(paced: str, tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").symlink_to("/dev/full")

    code, said = locust(paced, tmp_path, "--rate", "20", "-t", "30s")

    assert (code, "cannot be written: No space left on device" in said) == (2, True), said
    assert result(tmp_path)["complete"] is False


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_samples_of_workers_that_fit_on_no_disk_are_a_sentence_too(paced: str, tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").symlink_to("/dev/full")
    port = str(free_port())

    own = ["--processes", "2", "--master-bind-port", port, "--master-port", port, "--rate", "20", "-t", "1s"]
    code, said = locust(paced, tmp_path, *own)

    assert (code, "the samples cannot be joined: No space left on device" in said) == (2, True), said
    assert result(tmp_path)["complete"] is False


def test_what_a_killed_run_left_in_the_folder_is_not_taken_for_this_one(paced: str, tmp_path: Path) -> None:
    (tmp_path / "samples.1.jsonl").write_text('{"number": 77}\n')

    locust(paced, tmp_path, "--closed-loop", "-u", "2", "-r", "2", "--requests", "5")

    assert sorted(row["number"] for row in samples(tmp_path)) == list(range(5))


def test_a_run_of_the_web_ui_takes_its_form_and_waits_for_the_answers_after_its_time(tmp_path: Path) -> None:
    slow = Server(0, Pace(1.0, 0.002, 12))
    thread = threading.Thread(target=slow.serve)
    thread.start()
    words = command(f"http://127.0.0.1:{slow.port}", tmp_path, "--rate", "5")
    port = str(closed_port())
    process = subprocess.Popen(
        [*(word for word in words if word != "--headless"), "--web-host", "127.0.0.1", "--web-port", port],
        cwd=ROOT,
        env=environment(),
        stderr=subprocess.DEVNULL,
    )
    form = {"user_count": "1", "spawn_rate": "1", "run_time": "3s", "slo": "ttft_p50<5s, error_rate<1%"}
    try:
        asked = json.loads(until(lambda: httpx.post(f"http://127.0.0.1:{port}/swarm", data=form, trust_env=False).text))
        until((tmp_path / "load.html").read_text)
        document = result(tmp_path)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(RUN_S)
        slow.running = False
        thread.join()

    assert asked["success"] is True
    assert (document["complete"], document["reason"]) == (True, None)
    assert [row["verdict"] for row in document["slo"]] == ["pass", "pass"]
    assert len(samples(tmp_path)) == 15


def until(ask: Callable[[], str]) -> str:
    """What it says once it says something; at most RUN_S seconds later."""
    ends = time.monotonic() + RUN_S
    while True:
        try:
            return ask()
        except (OSError, httpx.HTTPError):
            if time.monotonic() > ends:
                raise
            time.sleep(0.1)
