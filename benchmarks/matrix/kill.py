"""What a fault must turn red, what it did, and the difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import dialects
from benchmarks.matrix.jobs import TIMED, Job
from reference_server.faults import FAULTS, breaks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.matrix.jobs import Outcome

__all__ = ["Cell", "cells", "declared", "jobs"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One fault in one dialect: the checks declared and those that failed beyond a sound server's; `errors` are ours."""

    fault: str
    dialect: str
    declared: frozenset[str]
    red: frozenset[str]
    errors: frozenset[str]
    outcome: Outcome

    @property
    def missing(self) -> frozenset[str]:
        """Declared and not red: the suite is too weak there, or the declaration is wrong."""
        return self.declared - self.red

    @property
    def extra(self) -> frozenset[str]:
        """Red and not declared: a false blame, or the fault breaks more than it says."""
        return self.red - self.declared

    @property
    def exact(self) -> bool:
        """Whether the red set is the declared one."""
        return not (self.missing or self.extra or self.errors)


def declared(fault: str, dialect: str) -> frozenset[str]:
    """The checks that rows of the dialect list and that the fault says it breaks there."""
    listed = {check for row in dialects.load(dialect).requirements for check in row.checks}
    names = FAULTS.all[fault].broken(dialect)
    return frozenset(check for check in listed if any(breaks(name, check) for name in names))


def jobs(faults: Iterable[str], names: Iterable[str]) -> list[Job]:
    """A sound run of every dialect and pace that is needed, then every fault in every dialect."""
    names = tuple(names)
    wanted = [Job(name, (fault,), pace=_pace(fault, name)) for fault in faults for name in names]
    sound = [Job(name, pace=pace) for pace in dict.fromkeys(job.pace for job in wanted) for name in names]
    return [*(job for job in sound if any((job.dialect, job.pace) == (j.dialect, j.pace) for j in wanted)), *wanted]


def cells(outcomes: Iterable[Outcome]) -> list[Cell]:
    """The matrix, from outcomes of `jobs`."""
    sound: dict[tuple[str, str], Outcome] = {}
    found = []
    for outcome in outcomes:
        job = outcome.job
        if not job.faults:
            sound[job.dialect, job.pace] = outcome
        else:
            found.append(_cell(outcome, sound[job.dialect, job.pace]))
    return found


def _cell(outcome: Outcome, sound: Outcome) -> Cell:
    fault, dialect = outcome.job.faults[0], outcome.job.dialect
    judged = declared(fault, dialect) & sound.of("pass", "inconclusive")
    red = outcome.of("fail") - sound.of("fail")
    return Cell(fault, dialect, judged, red, outcome.of("error"), outcome)


def _pace(fault: str, dialect: str) -> str:
    return "paced" if {check.partition("[")[0] for check in declared(fault, dialect)} & TIMED else "fast"
