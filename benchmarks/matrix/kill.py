"""What a fault must turn red, what it did, and the difference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import dialects
from benchmarks.matrix.jobs import PACED, Job
from reference_server.faults import FAULTS, broken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from benchmarks.matrix.jobs import Outcome

VALUES = ("request.accepts", "request.rejects", "request.valid-bodies")
__all__ = ["Cell", "cell", "cells", "declared", "jobs"]


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
    return broken(FAULTS.all[fault], dialects.load(dialect))


def jobs(
    faults: Iterable[str], names: Iterable[str], met: Mapping[str, Outcome] | None = None, *, quick: bool = False
) -> list[Job]:
    """A sound run of every kind that is needed, then every fault in every dialect.

    With `met`, a watched run of each dialect, a fault is judged by those checks alone that would have met it. `quick` leaves
    out the checks that try every field's values, where the fault is not one of reading requests.
    """
    names = tuple(names)
    wanted = [_job(fault, name, met, quick=quick) for fault in faults for name in names]
    return [*dict.fromkeys(replace(job, faults=(), only=None) for job in wanted), *wanted]


def cells(outcomes: Iterable[Outcome]) -> Iterator[Cell]:
    """The matrix, from outcomes of `jobs`, one by one."""
    sound: dict[Job, Outcome] = {}
    for outcome in outcomes:
        if outcome.job.faults:
            yield cell(outcome, sound[replace(outcome.job, faults=(), only=None)])
        else:
            sound[outcome.job] = outcome


def _job(fault: str, dialect: str, met: Mapping[str, Outcome] | None, *, quick: bool) -> Job:
    only = frozenset(c for c, faults in met[dialect].met.items() if fault in faults) if met else None
    leave = VALUES if quick and not _reads(fault) else ()
    paced = {check.partition("[")[0] for check in declared(fault, dialect)} & PACED
    return Job(dialect, (fault,), pace="paced" if paced else "fast", leave=leave, only=only)


def _reads(fault: str) -> bool:
    acts = FAULTS.all[fault].acts
    return "asked" in acts or any(act.__module__.endswith(("request", "service")) for act in acts.values())


def cell(outcome: Outcome, sound: Outcome) -> Cell:
    """What a run with one fault shows beside a sound one."""
    fault, dialect = outcome.job.faults[0], outcome.job.dialect
    judged = declared(fault, dialect) & sound.of("pass", "inconclusive")
    red = outcome.of("fail") - sound.of("fail")
    return Cell(fault, dialect, judged, red, outcome.of("error"), outcome)
