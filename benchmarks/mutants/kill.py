"""Tries a mutant: smoke depth first, and where nobody noticed, every check until one does."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from benchmarks.matrix.jobs import TIMED, server
from benchmarks.matrix.suite import Suite
from benchmarks.mutants.catalogue import Learned, Mutant, mutants
from benchmarks.mutants.proxy import Proxy
from conformance.wire.client import Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conformance.results import Results

__all__ = ["Trial", "batches", "catalogue", "judge"]

HASTE = 1.0  # seconds: many mutants answer 429, and none ever lifts a limit
QUICK = Timeouts(5.0, 4.0, 12.0)
BATCH = 12


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a mutant: whether any answer was changed, which checks failed first, what of ours failed."""

    dialect: str
    mutant: Mutant
    effective: bool
    killers: tuple[str, ...]
    crashes: tuple[str, ...]
    seconds: float

    @property
    def fate(self) -> str:
        """crashed, killed, survived or without effect."""
        if self.crashes:
            return "crashed"
        return "killed" if self.killers else "survived" if self.effective else "without effect"


@cache
def catalogue(dialect: str) -> tuple[Mutant, ...]:
    """Every mutant of the dialect, from a full run of the suite against the correct server."""
    learned = Learned()
    proxy, suite = _proxy(dialect), _suite(dialect, "full")
    proxy.spoil = learned.see
    suite.run(_url(dialect), server("fast").profile(dialect))
    return tuple(mutants(learned))


def batches(dialect: str, chosen: tuple[Mutant, ...]) -> Iterator[tuple[str, tuple[Mutant, ...]]]:
    """Work of a size that spreads well over processes."""
    for at in range(0, len(chosen), BATCH):
        yield dialect, chosen[at : at + BATCH]


def judge(work: tuple[str, tuple[Mutant, ...]]) -> list[Trial]:
    """Try these mutants one after the other."""
    dialect, chosen = work
    return [_try(dialect, mutant) for mutant in chosen]


def _try(dialect: str, mutant: Mutant) -> Trial:
    proxy, started = _proxy(dialect), time.perf_counter()
    proxy.spoil, proxy.applied = mutant.spoil, 0
    killers, crashes = _judged(dialect, "smoke", lambda _: False)
    if not killers and not crashes:
        known = _sound(dialect, "full")
        killers, crashes = _judged(dialect, "full", lambda results: bool(_failed(results) - known))
    seconds = round(time.perf_counter() - started, 2)
    return Trial(dialect, mutant, proxy.applied > 0, tuple(sorted(killers)), tuple(sorted(crashes)), seconds)


def _judged(dialect: str, depth: str, until: Callable[[Results], bool]) -> tuple[set[str], set[str]]:
    """The checks that failed beyond the sound server's, and those that broke."""
    known = _sound(dialect, depth)
    profile = server("fast").profile(dialect)
    report = _suite(dialect, depth).run(_url(dialect), profile, timeouts=QUICK, patience=HASTE, until=until)
    failed = {check.id for check in report.checks if check.verdict == "fail"} - known
    return failed, {f"{check.id}: {check.reason}" for check in report.checks if check.verdict == "error"}


def _failed(results: Results) -> set[str]:
    found = {check for check, outcome in results.checks.items() if outcome["verdict"] == "fail"}
    return found | {check for check, outcome in results.findings.items() if outcome["verdict"] == "fail"}


@cache
def _sound(dialect: str, depth: str) -> frozenset[str]:
    """What fails on the correct server: requirements of its document that it leaves to others."""
    proxy = _proxy(dialect)
    spoil, proxy.spoil = proxy.spoil, lambda _, answer: answer
    applied = proxy.applied
    report = _suite(dialect, depth).run(_url(dialect), server("fast").profile(dialect))
    proxy.spoil, proxy.applied = spoil, applied
    return frozenset(check.id for check in report.checks if check.verdict == "fail")


def _url(dialect: str) -> str:
    return f"{_proxy(dialect).base}/{dialect}"


@cache
def _proxy(_: str) -> Proxy:
    return Proxy(server("fast").base)


@cache
def _suite(dialect: str, depth: str) -> Suite:
    return Suite(dialect, server("fast").profile(dialect), depth, TIMED)
