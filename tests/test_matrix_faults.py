"""A fault turns red the checks that it declares, and no others: a sample of the matrix that `python -m benchmarks.matrix` runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING

import pytest

from benchmarks.matrix import kill
from benchmarks.matrix.jobs import TIMED, Job, outcome, watched
from benchmarks.matrix.server import Server, profile
from benchmarks.matrix.suite import Suite
from conformance.options import KEY_ENV
from tests.server_process import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.matrix.jobs import Outcome

# Small dialects, so that the sample is quick; the whole matrix is `python -m benchmarks.matrix`.
SAMPLE: dict[str, tuple[str, ...]] = {
    "bad-key-accepted": ("dria", "solidrust"),
    "server-error-on-malformed-json": ("dria", "adaptive"),
    "unknown-model-accepted": ("adaptive", "solidrust"),
    "stop-ignored": ("adaptive", "solidrust"),
    "limit-ignored": ("dria", "solidrust"),
    "finish-stop-at-limit": ("dria", "adaptive"),
    "done-missing": ("dria", "solidrust"),
    "finish-reason-missing": ("dria", "solidrust"),
    "id-changes-in-stream": ("adaptive", "solidrust"),
    "cumulative-deltas": ("dria", "adaptive"),
    "no-blank-lines": ("dria", "solidrust"),
    "usage-sum-wrong": ("dria", "solidrust"),
    "error-envelope-detail": ("adaptive", "solidrust"),
    "trace-in-message": ("dria", "adaptive"),
}
CELLS = [(fault, name) for fault, names in SAMPLE.items() for name in names]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    kept = dict(os.environ)
    started = Server("--itl-ms", "0")
    yield started
    started.stop()
    os.environ.clear()
    os.environ.update(kept)


@cache
def suite(dialect: str) -> Suite:
    return Suite(dialect, profile(dialect), leave=TIMED)


def judged(server: Server, dialect: str, *faults: str) -> Outcome:
    job = Job(dialect, faults)
    server.alter(faults)
    return outcome(job, suite(dialect).run(server.url(dialect), server.profile(dialect)))


@pytest.fixture(scope="module")
def sound(server: Server) -> dict[str, Outcome]:
    return {name: judged(server, name) for name in sorted({name for _, name in CELLS})}


@pytest.mark.parametrize(("fault", "dialect"), CELLS)
def test_the_red_set_of_a_fault_is_the_declared_one(
    server: Server, sound: dict[str, Outcome], fault: str, dialect: str
) -> None:
    cell = kill.cell(judged(server, dialect, fault), sound[dialect])

    assert cell.declared
    assert sorted(cell.red) == sorted(cell.declared)
    assert not cell.errors


@pytest.mark.parametrize("dialect", ["dria", "solidrust"])
def test_the_checks_that_would_meet_a_fault_find_what_all_of_them_find(
    server: Server, sound: dict[str, Outcome], dialect: str
) -> None:
    """What a watched run leaves out must be what stays as it is; the cells above are judged by every check."""
    judge = suite(dialect)
    found = watched(Job(dialect), server, judge, url=server.url(dialect), profile=server.profile(dialect))
    met = found.met
    assert found.of("fail") == sound[dialect].of("fail")
    for fault in [fault for fault, names in SAMPLE.items() if dialect in names]:
        only = frozenset(check for check, faults in met.items() if fault in faults)
        server.alter([fault])
        report = judge.run(server.url(dialect), server.profile(dialect), only=only)
        cell = kill.cell(outcome(Job(dialect, (fault,)), report), sound[dialect])
        assert 0 < len(only) < len(met)
        assert sorted(cell.red) == sorted(cell.declared)
        assert not cell.errors


def test_the_suite_in_this_process_finds_what_the_command_finds(server: Server, tmp_path: Path) -> None:
    dialect, fault = "solidrust", "finish-reason-missing"
    here = judged(server, dialect, fault)
    text = (tmp_path / "profile.toml").write_text
    levers = profile(dialect)
    keys = "".join(f'{lever} = "{name}"\n' for lever, name in levers.keys.items())
    models = "".join(f'{use} = "{model}"\n' for use, model in levers.models.items())
    limits = "".join(f"{name} = {value}\n" for name, value in levers.limits.items())
    text(f"[keys]\n{keys}[models]\n{models}[limits]\n{limits}", encoding="utf-8")
    limited = {f"{KEY_ENV}_LIMITED": "limited-1000"}
    command = ["--target", server.url(dialect), "--dialect", dialect, "--profile", str(tmp_path / "profile.toml")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *command, "--report", str(tmp_path / "report"), "-q"],
        cwd=ROOT,
        env={**os.environ, **limited},
        check=False,
        capture_output=True,
    )
    report = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    there = {check["id"] for check in report["checks"] if check["verdict"] == "fail"}

    assert done.returncode in (0, 1)  # whether it blocks is the rows' affair
    assert sorted(there) == sorted(here.of("fail"))
