"""A target that dies in the middle of a run: the run says so and judges nothing that it could not ask."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from reports.model import Report, load

if TYPE_CHECKING:
    from pathlib import Path

ANSWERED = 40
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}


class Mortal(ThreadingHTTPServer):
    """Answers that many requests, each on a connection of its own, and then nobody listens any more."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.numbers = itertools.count(1)

    def count(self) -> None:
        if next(self.numbers) == ANSWERED:
            threading.Thread(target=self.end).start()

    def end(self) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Mortal

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.server.count()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def test_a_target_that_dies_ends_the_run_with_two_and_fails_no_row_that_came_later(tmp_path: Path) -> None:
    server = Mortal()
    listening = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    listening.start()
    url = f"http://127.0.0.1:{server.server_port}"
    command = [sys.executable, "-m", "pytest", "--target", url, "--model", "m", "--report", str(tmp_path), "-q"]
    environment = {**os.environ, "CHAT_API_KEY": "a-key-that-is-long-enough"}
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True, timeout=300
    )
    listening.join()
    report = load(tmp_path)

    assert isinstance(report, Report)
    assert (run.returncode, report.complete) == (2, False), run.stdout
    assert report.reason is not None
    assert report.reason.startswith("the target no longer accepts connections since exchange")
    late = [row for row in report.requirements if row.verdict == "fail" and "(connect" in (row.observed or "")]
    assert late == []
    assert sum(row.verdict == "not-run" for row in report.requirements) > ANSWERED


def test_a_run_that_cannot_judge_leaves_no_verdict_of_an_earlier_one(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{}", encoding="utf-8")
    (tmp_path / "report.html").write_text("passed", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--target",
        "http://127.0.0.1:9",
        "--model",
        "m",
        "--report",
        str(tmp_path),
    ]
    run = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=120)

    assert run.returncode == 2, run.stdout
    assert list(tmp_path.glob("report.*")) == []
