"""python -m benchmarks.matrix [FAULT]... : every fault in every dialect, and every legal variation.

First a server that watches tells which faults each check would meet; a fault is then judged by those checks alone, for what it
leaves as it is can't turn red (--whole runs them all). Prints a line for each fault and writes what was found to --json. Exit status: 0 when every red set equals the declared
one, no variation changed a verdict and nothing of ours failed; 1 otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import resource
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dialects
from benchmarks.matrix import kill
from benchmarks.matrix.jobs import Job, run_all
from reference_server.faults import FAULTS
from reference_server.vary import VARIATIONS

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from benchmarks.matrix.jobs import Outcome
    from benchmarks.matrix.kill import Cell

PROCESSES = (os.cpu_count() or 1) + 1  # some checks wait for a clock: then another process has its core
SLOWEST = 40  # runs whose seconds the file names


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, write."""
    options = _parser().parse_args(arguments)
    started = time.time()
    faults = [] if options.vary and not options.fault else options.fault or list(FAULTS.all)
    names = options.dialect or dialects.known()
    due = started + 60 * options.minutes
    met = None if options.whole or not faults else _met(names, options.processes)
    outcomes = _shown(run_all(kill.jobs(faults, names, met, quick=options.quick), options.processes))
    matrix = list(itertools.takewhile(lambda _: time.time() < due, kill.cells(outcomes)))
    outcomes.close()
    varied = [] if options.fault else _variations(options.vary or list(VARIATIONS.all), names, options.processes)
    document = _document(matrix, varied, time.time() - started, whole=met is None)
    if options.json:
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    _print(matrix, varied, document, verbose=options.verbose)
    return 0 if not document["different"] and not document["false_alarms"] else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.matrix", description=__doc__)
    parser.add_argument("fault", nargs="*", help="these faults only, and no variations")
    parser.add_argument("--dialect", action="append", choices=dialects.known())
    parser.add_argument("--vary", action="append", help="these variations only, and no faults")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="end the faults then, with what was judged")
    parser.add_argument("--json", type=Path, help="write what was found")
    parser.add_argument(
        "--quick", action="store_true", help="without the checks of every field's values, where they say nothing"
    )
    parser.add_argument(
        "--whole", action="store_true", help="run every check, those too whose answers the fault leaves as they are"
    )
    parser.add_argument("--verbose", action="store_true", help="say why each unexpected check failed")
    return parser


def _met(names: Sequence[str], processes: int) -> dict[str, Outcome]:
    """A watched run of each dialect: which faults each check would meet."""
    watched = [Job(name, pace="paced", watch=True) for name in names]
    return {outcome.job.dialect: outcome for outcome in _shown(run_all(watched, processes))}


def _shown(outcomes: Generator[Outcome]) -> Generator[Outcome]:
    """Pass outcomes on, with a sign of life."""
    with contextlib.closing(outcomes):
        for outcome in outcomes:
            print(".", end="", file=sys.stderr, flush=True)
            yield outcome
    print(file=sys.stderr)


def _variations(varied: list[str], names: Sequence[str], processes: int) -> list[dict[str, Any]]:
    """Each variation in each dialect with the verdicts that it changed."""
    jobs = [Job(name, vary=(variation,)) for variation in varied for name in names]
    outcomes = list(_shown(run_all([*map(Job, names), *jobs], processes)))
    sound = {outcome.job.dialect: outcome for outcome in outcomes[: len(names)]}
    return [_difference(outcome, sound[outcome.job.dialect]) for outcome in outcomes[len(names) :]]


def _difference(outcome: Outcome, sound: Outcome) -> dict[str, Any]:
    changed = {
        check: f"{sound.verdicts[check]} -> {verdict}: {outcome.reasons.get(check)}"
        for check, verdict in outcome.verdicts.items()
        if verdict != sound.verdicts[check]
    }
    return {"variation": outcome.job.vary[0], "dialect": outcome.job.dialect, "changed": changed}


def _document(matrix: list[Cell], varied: list[dict[str, Any]], seconds: float, *, whole: bool) -> dict[str, Any]:
    hit = [cell for cell in matrix if cell.declared]
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m benchmarks.matrix", *sys.argv[1:]]),
        "seconds": round(seconds),
        "processor_seconds": round(sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])),
        "whole": whole,
        "faults": len({cell.fault for cell in matrix}),
        "in_all": len(FAULTS.all),
        "runs": len(matrix),
        "applies": len(hit),
        "detected": sum(bool(cell.declared <= cell.red) for cell in hit),
        "requests": sum(cell.outcome.requests for cell in matrix),
        "slowest": {f"{c.fault} / {c.dialect}": c.outcome.seconds for c in _slowest(matrix)},
        "exact": sum(cell.exact for cell in matrix),
        "crashes": sum(bool(cell.errors) for cell in matrix),
        "killed": dict(sorted(Counter(c.partition("[")[0] for cell in matrix for c in cell.red).items())),
        "different": [
            {
                "fault": c.fault,
                "dialect": c.dialect,
                "missing": sorted(c.missing),
                "extra": sorted(c.extra),
                "errors": sorted(c.errors),
            }
            for c in matrix
            if not c.exact
        ],
        "variations": sorted({v["variation"] for v in varied}),
        "variation_runs": len(varied),
        "false_alarms": [v for v in varied if v["changed"]],
    }


def _slowest(matrix: list[Cell]) -> list[Cell]:
    return sorted(matrix, key=lambda cell: -cell.outcome.seconds)[:SLOWEST]


def _print(matrix: list[Cell], varied: list[dict[str, Any]], document: dict[str, Any], *, verbose: bool) -> None:
    for cell in matrix:
        if not cell.exact:
            print(f"{cell.fault} / {cell.dialect}")
            for word, checks in (("missing", cell.missing), ("extra", cell.extra), ("error", cell.errors)):
                for check in sorted(checks):
                    why = f": {cell.outcome.verdicts.get(check)}: {cell.outcome.reasons.get(check)}" if verbose else ""
                    print(f"    {word:8}{check}{why[:300]}")
    for entry in varied:
        for check, change in entry["changed"].items():
            print(f"variation {entry['variation']} / {entry['dialect']}: {check}: {change[:300]}")
    print(
        f"{document['faults']} faults, {document['runs']} runs: {document['exact']} exact, "
        f"{document['detected']} of {document['applies']} detected, {document['crashes']} crashes; "
        f"{document['variation_runs']} runs of variations, {len(document['false_alarms'])} false alarms; "
        f"{document['seconds']} s, {document['processor_seconds']} s of processors"
    )


if __name__ == "__main__":
    sys.exit(main())
