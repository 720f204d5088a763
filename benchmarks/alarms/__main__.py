"""python -m benchmarks.alarms [--runs 1000]: correct servers, judged again and again; whatever is said against them is false.

Each run takes a dialect in turn, a seed of its own and up to three legal variations, drawn by --seed. Any verdict that
differs from the plain server's in the same dialect is a false alarm. Exit status: 0 without any, 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dialects
from benchmarks.matrix.jobs import Job, Outcome, run_all
from reference_server.vary import VARIATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MOST = 3
AGAINST = ("fail", "error", "not-run")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw, run, compare, tell."""
    options = _parser().parse_args(arguments)
    started = time.time()
    names = dialects.known()
    sound = {o.job.dialect: o for o in run_all([Job(name, depth=options.depth) for name in names], options.processes)}
    drawn = list(_drawn(options.runs, names, random.Random(options.seed), options.depth))  # noqa: S311 - a draw that repeats
    outcomes = list(_shown(run_all(drawn, options.processes)))
    alarms = [alarm for outcome in outcomes for alarm in _alarms(outcome, sound[outcome.job.dialect])]
    document = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m benchmarks.alarms", *sys.argv[1:]]),
        "seconds": round(time.time() - started),
        "depth": options.depth,
        "runs": len(outcomes),
        "requests": sum(outcome.requests for outcome in outcomes),
        "by_dialect": dict(Counter(outcome.job.dialect for outcome in outcomes)),
        "by_variation": dict(Counter(name for job in drawn for name in job.vary or ("none",))),
        "alarms": alarms,
    }
    if options.json:
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    for alarm in alarms:
        print(f"{alarm['dialect']} seed {alarm['seed']} {'+'.join(alarm['vary']) or 'none'}: {alarm['says']}")
    print(
        f"{len(alarms)} false alarms in {len(outcomes)} runs ({document['requests']} requests); {document['seconds']} s"
    )
    return int(bool(alarms))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.alarms", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--depth", default="smoke", choices=("smoke", "full"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write what was found")
    return parser


def _drawn(runs: int, names: Sequence[str], luck: random.Random, depth: str) -> Iterator[Job]:
    every = sorted(VARIATIONS.all)
    for number in range(runs):
        vary = tuple(sorted(luck.sample(every, luck.randint(0, MOST))))
        yield Job(names[number % len(names)], vary=vary, depth=depth, seed=luck.randrange(2**32))


def _shown(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    """Pass outcomes on, with a sign of life for every tenth."""
    for number, outcome in enumerate(outcomes, 1):
        if number % 10 == 0:
            print(".", end="", file=sys.stderr, flush=True)
        yield outcome
    print(file=sys.stderr)


def _alarms(outcome: Outcome, sound: Outcome) -> Iterator[dict[str, Any]]:
    """What a run said against a correct server, or no longer dared to say for it."""
    for check, verdict in outcome.verdicts.items():
        before = sound.verdicts[check]
        if verdict != before and (verdict in AGAINST or before == "pass"):
            says = f"{check}: {before} -> {verdict}: {outcome.reasons.get(check)}"
            job = outcome.job
            yield {"dialect": job.dialect, "seed": job.seed, "vary": job.vary, "says": says[:400]}


if __name__ == "__main__":
    sys.exit(main())
