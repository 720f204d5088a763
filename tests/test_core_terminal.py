"""What a run shows on a terminal, and what Ctrl-C leaves: pytest in a process of its own, on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from conformance.progress import line
from tests.loopback import Loopback, Received, as_json
from tests.test_core_plugin import KEY, Run, answer, but, command, correct, environment, folder, judge, server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["folder", "server"]  # fixtures
PROGRESS = re.compile(r"(\w+): (\d+) of (\d+) checks, ([\d,]+) requests, ([\d,]+) tokens")


def watched(where: Path, *arguments: str | Path, act: Callable[[subprocess.Popen[bytes]], None] | None = None) -> Run:
    """A run on a terminal of a hundred columns; `out` is everything that was written, also what was wiped again."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        command(*arguments), cwd=where, env=environment(COLUMNS="100", TERM="xterm"), stdout=slave, stderr=slave
    ) as process:
        os.close(slave)
        parts: list[bytes] = []
        reader = threading.Thread(target=_read, args=(master, parts))
        reader.start()
        if act is not None:
            act(process)
        process.wait(timeout=300)
        reader.join(timeout=60)
    os.close(master)
    return Run(process.returncode, b"".join(parts).decode("utf-8"), where)


def _read(master: int, parts: list[bytes]) -> None:
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:  # Linux says so when the other end was closed
            return
        if not data:
            return
        parts.append(data)


def seen(text: str) -> list[str]:
    """The lines that stay on the screen."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r\n", "\n")
    return [line.rpartition("\r")[2].rstrip() for line in plain.split("\n")]


def test_a_terminal_shows_what_is_done_and_spent_and_then_the_summary_alone(
    tmp_path: Path, folder: Path, server: Loopback
) -> None:
    def slow(request: Received) -> bytes:
        time.sleep(0.15)
        return correct(request)

    server.handler = slow
    run = watched(tmp_path, "--target", server.url, "--dialect", folder)
    lines = PROGRESS.findall(run.out)

    assert run.code == 0, run.out
    assert len(lines) > 3, run.out
    assert {chapter for chapter, *_ in lines} <= {"starting", "chat"}
    assert [int(done) for _, done, *_ in lines] == sorted(int(done) for _, done, *_ in lines)
    assert {int(total) for _, _, total, *_ in lines} == {7}  # without oracles, which only look
    assert 0 < int(lines[-1][3]) <= run.report.cost.requests
    assert not [shown for shown in seen(run.out) if PROGRESS.search(shown)]
    assert "%]" not in run.out
    assert seen(run.out)[-3].startswith("report: ")


def test_quiet_shows_the_summary_alone_and_very_quiet_no_block(tmp_path: Path, folder: Path, server: Loopback) -> None:
    server.handler = but(lambda r: b"no-such-model" in r.body, as_json(answer()))
    quiet = watched(tmp_path, "--target", server.url, "--dialect", folder, "-q")
    very = watched(tmp_path, "--target", server.url, "--dialect", folder, "-qq")

    assert (quiet.code, very.code) == (1, 1)
    assert not PROGRESS.search(quiet.out + very.out)
    assert next(shown for shown in seen(quiet.out) if shown).startswith("chapter ")
    assert [any(shown.startswith("FAIL TST-05") for shown in seen(run.out)) for run in (quiet, very)] == [True, False]
    assert "... and 1 more failed; the report has them all." in very.out


def test_a_pipe_gets_no_line_that_is_rewritten_and_no_colour(tmp_path: Path, folder: Path, server: Loopback) -> None:
    run = judge(tmp_path, "--target", server.url, "--dialect", folder)

    assert run.code == 0
    assert not PROGRESS.search(run.out)
    assert not re.search("[\r\x1b]", run.out)
    assert "[100%]" in run.out


def test_workers_are_counted_too(tmp_path: Path, folder: Path, server: Loopback) -> None:
    run = watched(tmp_path, "--target", server.url, "--dialect", folder, "-n", "2")

    assert run.code == 0, run.out
    assert PROGRESS.search(run.out)


@pytest.mark.parametrize(
    ("left", "failed", "expected"),
    [
        (None, 0, "stream: 1 of 9 checks, 1,200 requests, 30 tokens"),
        (0.2, 2, "stream: 1 of 9 checks, 1,200 requests, 30 tokens, 2 failed, about 1 s left"),
        (200.0, 0, "stream: 1 of 9 checks, 1,200 requests, 30 tokens, about 3 min left"),
    ],
)
def test_the_line_says_what_is_known(left: float | None, failed: int, expected: str) -> None:
    spent = {"requests": 1200, "prompt_tokens": 10, "completion_tokens": 20}

    assert line("stream", 1, 9, spent, failed, left) == expected


def test_what_k_names_is_shown_and_what_its_checks_also_decided_is_one_line(
    tmp_path: Path, folder: Path, server: Loopback
) -> None:
    server.handler = but(lambda r: b"no-such-model" in r.body, as_json(answer()))
    text = (folder / "requirements.toml").read_text(encoding="utf-8")
    twin = text[text.index("[[requirement]]", text.index("TST-04")) :].replace("TST-", "TWIN-")
    (tmp_path / "mine").mkdir()
    for path in folder.iterdir():
        if path.is_file():
            (tmp_path / "mine" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "mine" / "requirements.toml").write_text(f"{text}\n{twin}", encoding="utf-8")

    run = judge(tmp_path, "--target", server.url, "--dialect", tmp_path / "mine", "-k", "TST-05")
    every = judge(tmp_path, "--target", server.url, "--dialect", tmp_path / "mine", "-k", "unknown-model")

    assert re.findall(r"^FAIL (\S+)", run.out, re.MULTILINE) == ["TST-05"]
    assert "the same checks also decided 2 other rows, among them TWIN-05 fail" in run.out
    assert sorted(re.findall(r"^FAIL (\S+)", every.out, re.MULTILINE)) == ["TST-05", "TWIN-05"]


@pytest.mark.parametrize("gap", [0.0, 0.05, 0.5])
def test_a_second_ctrl_c_still_leaves_a_report_that_says_so(
    tmp_path: Path, folder: Path, server: Loopback, gap: float
) -> None:
    waiting = threading.Event()

    def stuck(request: Received) -> bytes:
        if b"no-such-model" in request.body:
            waiting.set()
            server.closing.wait(30)
        return correct(request)

    def twice(process: subprocess.Popen[bytes]) -> None:
        assert waiting.wait(200)
        process.send_signal(signal.SIGINT)
        time.sleep(gap)
        process.send_signal(signal.SIGINT)

    server.handler = stuck
    run = watched(tmp_path, "--target", server.url, "--dialect", folder, act=twice)

    ended = -signal.SIGINT  # where the second one came when all was said and the interpreter was on its way out
    assert run.code in (2, ended), run.out
    assert (run.report.complete, run.report.reason) == (False, "interrupted")
    assert KEY not in run.out
