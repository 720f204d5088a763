"""The checks of a recorded run, run again on its bytes: real runs against the reference server, sound and broken."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import pytest

from conformance.offline import RecordError, replayed
from reports.model import Frame, Report, load
from tests.server_process import KEY, ROOT, running

if TYPE_CHECKING:
    from pathlib import Path

FAULTS = ("id-null", "created-as-text", "finish-stop-at-limit", "model-changes-in-stream")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CHAT_API_KEY": KEY}
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def judged(folder: Path, *faults: str) -> Report:
    options = [word for fault in faults for word in ("--fault", fault)]
    with running("--dialect", "openai", *options) as server:
        done = run("pytest", "--target", server.url, "--depth", "smoke", "--report", str(folder), "-q")
    assert done.returncode in (0, 1), done.stdout
    report = load(folder)
    assert isinstance(report, Report)
    return report


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    folder = tmp_path_factory.mktemp("sound")
    return folder, judged(folder)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    folder = tmp_path_factory.mktemp("broken")
    return folder, judged(folder, *FAULTS)


def refuse(*_: object) -> NoReturn:
    raise AssertionError("an offline replay has opened a connection")


@pytest.mark.parametrize("which", ["sound", "broken"])
def test_every_row_gets_the_recorded_verdict_without_a_connection(
    which: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, report = request.getfixturevalue(which)
    monkeypatch.setattr(socket.socket, "connect", refuse)

    rows = replayed(report)[: len(report.requirements)]

    decided = [row for row in rows if row.now is not None]
    assert [(row.id, row.was) for row in decided] == [(row.id, row.now) for row in decided]
    assert {row.id for row in rows if row.now is None} == {"OAI-260", "OAI-260b", "OAI-261"}  # the official clients


def test_the_broken_run_was_seen_to_fail_in_the_rows_of_its_faults(broken: tuple[Path, Report]) -> None:
    failed = {row.id for row in replayed(broken[1]) if row.now == "fail"}

    assert {"OAI-100", "OAI-102", "OAI-135b"} <= failed


def test_a_spoiled_byte_in_the_record_changes_the_verdict(sound: tuple[Path, Report]) -> None:
    report = sound[1]
    spoiled = [
        replace(one, frames=tuple(Frame.of(f.t, f.data.replace(b'"id"', b'"iD"')) for f in one.frames))
        for one in report.exchanges
    ]

    verdicts = {row.id: row.now for row in replayed(replace(report, exchanges=tuple(spoiled)))}

    assert ({row.id: row.verdict for row in report.requirements}["OAI-100"], verdicts["OAI-100"]) == ("pass", "fail")


def test_what_the_record_lacks_cannot_be_decided(sound: tuple[Path, Report]) -> None:
    report = sound[1]
    check = next(c.id for c in report.checks if c.verdict == "pass" and any(e.check == c.id for e in report.exchanges))
    kept = tuple(one for one in report.exchanges if one.check != check)

    found = {one.id: one for one in replayed(replace(report, exchanges=kept))}

    assert found[check].now is None
    assert found[check].reason == "the report does not hold, or not whole, every exchange that the check needs"


def test_a_report_without_exchanges_decides_nothing(sound: tuple[Path, Report]) -> None:
    with pytest.raises(RecordError, match="holds no exchange, so nothing can be decided offline"):
        replayed(replace(sound[1], exchanges=()))


def test_the_commands_say_it_in_one_line_and_by_their_exit_code(broken: tuple[Path, Report]) -> None:
    folder = str(broken[0])

    failing = run("reports", "replay", folder, "OAI-100", "--offline")
    passing = run("conformance", "replay", folder, "COM-01")
    client = run("conformance", "replay", folder, "OAI-260")
    everything = run("conformance", "replay", folder)

    assert failing.returncode == 1, failing.stderr
    assert failing.stdout.startswith("OAI-100: was fail, on the record fail: ")
    assert (passing.returncode, passing.stdout) == (0, "COM-01: was pass, on the record pass\n")
    assert client.returncode == 2
    assert "on the record cannot be decided offline: the official clients send by themselves" in client.stdout
    assert (everything.returncode, everything.stdout.count(" cannot be decided offline:")) == (1, 3)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda text: text[: len(text) // 2], "truncated"),
        (lambda text: "!" + text, "damaged"),
        (lambda text: text.replace('"kind": "conformance"', '"kind": "novel"'), "foreign"),
        (lambda text: json.dumps({**json.loads(text), "exchanges": []}), "holds no exchange"),
        (lambda text: text.replace('"dialect": "openai"', '"dialect": "gone"'), "gone"),
    ],
)
def test_a_damaged_record_is_2_with_a_clear_word(
    damage: object, word: str, sound: tuple[Path, Report], tmp_path: Path
) -> None:
    assert callable(damage)
    path = tmp_path / "report.json"
    path.write_text(damage((sound[0] / "report.json").read_text(encoding="utf-8")), encoding="utf-8")

    done = run("conformance", "replay", str(path))

    assert (done.returncode, done.stdout) == (2, "")
    assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_id_is_2_and_damaged_frames_decide_nothing(sound: tuple[Path, Report]) -> None:
    damaged_frames = (Frame(0.1, base64="abc"),)  # base64 of another length
    broken = tuple(replace(one, frames=damaged_frames) for one in sound[1].exchanges)

    unknown = run("conformance", "replay", str(sound[0]), "NO-1")
    found = {one.id: one for one in replayed(replace(sound[1], exchanges=broken))}

    assert (unknown.returncode, unknown.stderr) == (
        2,
        "conformance: 'NO-1' is no requirement or check of this report\n",
    )
    assert found["OAI-100"].now is None
