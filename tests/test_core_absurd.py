"""Answers that nobody thought of: a check blames the target for them, and never fails itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from conformance.checks import test_chat as chat
from conformance.checks import test_stream as stream
from conformance.reply import read
from conformance.verdict import Conclusion, Mismatch
from conformance.wire.exchange import Exchange, Frame, Request

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.reply import Reply

SENT = Request("POST", "http://127.0.0.1/v1/chat/completions", (), b'{"messages": []}')
ORACLES = (stream.test_finish_once, stream.test_incremental, stream.test_role_first, stream.test_role_once)


def reply(kind: str, body: str) -> Reply:
    return read(Exchange("x1", SENT, 0.0, 0.1, 200, (("content-type", kind),), (Frame(0.1, body.encode()),)))


@pytest.mark.parametrize("created", [10**400, -(10**400), 1e308, True])
def test_a_time_that_no_clock_shows_is_the_targets_fault(created: object) -> None:
    answer = reply("application/json", json.dumps({"created": created}))
    with pytest.raises((Mismatch, Conclusion)):
        chat.test_created_is_now(answer)


@pytest.mark.parametrize("index", [{"a": [1]}, [1], "0", None, 1.5])
def test_an_index_that_is_no_number_breaks_no_oracle(index: object) -> None:
    choice = {"index": index, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    chunks = reply("text/event-stream", f"data: {json.dumps({'choices': [choice]})}\n\ndata: [DONE]\n\n")
    for oracle in ORACLES:
        oracle(chunks)


def test_a_report_folder_that_is_a_file_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    words = ["--target", "http://127.0.0.1:9", "--model", "m", "--report", str(tmp_path / "file")]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=tmp_path,
        env={**os.environ},
        check=False,
        capture_output=True,
        text=True,
    )

    assert run.returncode == 4, run.stdout + run.stderr
    assert "no folder that can be written to" in run.stdout + run.stderr
