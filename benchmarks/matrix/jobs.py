"""Runs of the suite against an altered server, spread over processes that keep a server and the suites each."""

from __future__ import annotations

import atexit
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, Any

from benchmarks.matrix.server import Server
from benchmarks.matrix.suite import Suite

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from benchmarks.matrix.suite import Item
    from conformance.judge import Judge
    from reports.model import Report

__all__ = ["PACED", "TIMED", "Job", "Outcome", "outcome", "run_all", "server", "watched"]

# A pace of nought makes a run short; then nothing can be said of when text comes, which has faults of its own.
PACES = {"fast": "0", "paced": "1.5"}
TIMED = frozenset({"stream.progressive"})
# Nor is a stream of no duration ever left in its middle.
PACED = TIMED | {"service.disconnect-survives"}


@dataclass(frozen=True, slots=True)
class Job:
    """One run: a dialect, what is altered, how deep, and whether the server takes its time with tokens.

    `only` these checks are run, if given. With `watch` nothing is altered, and the outcome tells what each check would meet.
    """

    dialect: str
    faults: tuple[str, ...] = ()
    vary: tuple[str, ...] = ()
    depth: str = "full"
    pace: str = "fast"
    leave: tuple[str, ...] = ()
    seed: int | None = None
    only: frozenset[str] | None = None
    watch: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run: the verdict and the reason of every check that the rows list, and the requests it cost.

    `met`: the faults that would have acted on a check's requests, by check.
    """

    job: Job
    verdicts: dict[str, str]
    reasons: dict[str, str]
    requests: int = 0
    seconds: float = 0.0
    rows: dict[str, str] = field(default_factory=dict)
    met: dict[str, frozenset[str]] = field(default_factory=dict)

    def of(self, *verdicts: str) -> frozenset[str]:
        """The checks with one of these verdicts."""
        return frozenset(check for check, verdict in self.verdicts.items() if verdict in verdicts)


def run_all(jobs: Sequence[Job], processes: int = 2) -> Generator[Outcome]:
    """The outcomes in the order of the jobs; what is not begun when nobody asks any more is left."""
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield from pool.map(_run, jobs)
    finally:
        pool.shutdown(cancel_futures=True)


def _run(job: Job) -> Outcome:
    target, suite = server(job.pace), _suite(job.dialect, job.depth, job.pace, job.leave)
    started = time.monotonic()
    given = {"url": target.url(job.dialect), "profile": target.profile(job.dialect), "seed": job.seed}
    if job.watch:
        return watched(job, target, suite, **given)
    target.alter(job.faults, job.vary)
    return outcome(job, suite.run(**given, only=job.only), time.monotonic() - started)


def watched(job: Job, target: Server, suite: Suite, **given: Any) -> Outcome:  # noqa: ANN401 - what Suite.run takes
    """A sound run in which each check asks for itself what it else has from others, so that all it hangs on is seen."""
    met: dict[str, frozenset[str]] = {}

    def note(judge: Judge, item: Item) -> None:
        judge.memo.clear()
        met[item.id] = target.met()

    target.watch()
    found = outcome(job, suite.run(**given, after=note))
    return replace(found, met=met)


def outcome(job: Job, report: Report, seconds: float = 0.0) -> Outcome:
    """What a report says of every check and row."""
    return Outcome(
        job,
        {check.id: check.verdict for check in report.checks},
        {check.id: check.reason for check in report.checks if check.reason and check.verdict != "pass"},
        report.cost.requests,
        round(seconds, 2),
        {row.id: row.verdict for row in report.requirements},
    )


@cache
def server(pace: str) -> Server:
    """A server of that pace for this process alone, gone when it ends."""
    started = Server("--itl-ms", PACES[pace])
    atexit.register(started.stop)
    Finalize(started, started.stop, exitpriority=10)  # the processes of a pool run no atexit functions
    return started


@cache
def _suite(dialect: str, depth: str, pace: str, leave: tuple[str, ...]) -> Suite:
    timed = TIMED if pace == "fast" else frozenset()
    return Suite(dialect, server(pace).profile(dialect), depth, timed | frozenset(leave))
