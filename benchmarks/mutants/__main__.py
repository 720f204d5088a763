"""python -m benchmarks.mutants [MUTANT]... : spoils the answers of a correct server in every way there is.

Every mutant is tried at smoke depth in whole; one that nobody saw is tried with every check until one fails. Exit
status: 0 when nothing of ours crashed and at least 95 % of those that are not equivalent were killed; 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dialects
from benchmarks.mutants import equivalents, kill

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.mutants.catalogue import Mutant
    from benchmarks.mutants.kill import Trial

GOAL = 0.95


def main(arguments: Sequence[str] | None = None) -> int:
    """Choose, try, tell."""
    options = _parser().parse_args(arguments)
    started = time.time()
    names = options.dialect or list(dialects.known())
    with ProcessPoolExecutor(options.processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        made = dict(zip(names, pool.map(kill.catalogue, names), strict=True))
        work = [part for name in names for part in kill.batches(name, _chosen(made[name], options))]
        trials = [trial for found in _shown(pool.map(kill.judge, work)) for trial in found]
    document = _document(trials, time.time() - started)
    document["made"] = {name: len(found) for name, found in made.items()}
    if options.json:
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    _print(document)
    return 0 if not document["crashed"] and document["killed"] >= GOAL * document["killable"] else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__)
    parser.add_argument("mutant", nargs="*", help="mutants by name; all of them by default")
    parser.add_argument("--dialect", action="append", choices=dialects.known())
    parser.add_argument("--sample", type=int, metavar="N", help="N of each dialect, drawn by --seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write what was found")
    return parser


def _chosen(made: tuple[Mutant, ...], options: argparse.Namespace) -> tuple[Mutant, ...]:
    if options.mutant:
        return tuple(mutant for mutant in made if mutant.name in options.mutant)
    if options.sample is None or options.sample >= len(made):
        return made
    return tuple(random.Random(options.seed).sample(made, options.sample))  # noqa: S311 - a sample that repeats


def _shown(found: Iterator[list[Trial]]) -> Iterator[list[Trial]]:
    """Pass trials on, with a sign of life."""
    for trials in found:
        print(
            "".join({"killed": ".", "survived": "s", "crashed": "C"}.get(t.fate, "-") for t in trials), file=sys.stderr
        )
        yield trials


def _document(trials: list[Trial], seconds: float) -> dict[str, Any]:
    fates = Counter(trial.fate for trial in trials)
    alive = [trial for trial in trials if trial.fate == "survived"]
    reasons = {trial: equivalents.reason(trial.dialect, trial.mutant) for trial in alive}
    equal = Counter(reason for reason in reasons.values() if reason)
    survivors: dict[str, list[str]] = {}
    for trial in alive:
        if not reasons[trial]:
            survivors.setdefault(trial.mutant.name, []).append(trial.dialect)
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m benchmarks.mutants", *sys.argv[1:]]),
        "seconds": round(seconds),
        "tried": len(trials),
        "effective": len(trials) - fates["without effect"],
        "killed": fates["killed"],
        "crashed": fates["crashed"],
        "equivalent": sum(equal.values()),
        "killable": fates["killed"] + fates["crashed"] + sum(map(len, survivors.values())),
        "by_dialect": _by(trials, lambda trial: trial.dialect),
        "by_kind": _by(trials, lambda trial: trial.mutant.kind),
        "killers": dict(Counter(k.partition("[")[0] for t in trials for k in t.killers).most_common()),
        "equivalents": dict(equal.most_common()),
        "survivors": survivors,
        "crashes": {f"{t.dialect} {t.mutant.name}": list(t.crashes) for t in trials if t.crashes},
        "slow": [(t.dialect, t.mutant.name, t.seconds) for t in sorted(trials, key=lambda t: -t.seconds)[:10]],
    }


def _by(trials: list[Trial], key: Any) -> dict[str, dict[str, int]]:  # noqa: ANN401 - a function of a trial
    found: dict[str, Counter[str]] = {}
    for trial in trials:
        found.setdefault(key(trial), Counter())[trial.fate] += 1
    return {name: dict(counts) for name, counts in found.items()}


def _print(document: dict[str, Any]) -> None:
    for name, where in document["survivors"].items():
        print(f"survived: {name} ({', '.join(where)})")
    for name, crashes in document["crashes"].items():
        print(f"crashed: {name}: {'; '.join(crashes)[:300]}")
    share = document["killed"] / max(1, document["killable"])
    print(
        f"{document['effective']} effective mutants of {document['tried']} tried: {document['killed']} killed, "
        f"{document['equivalent']} equivalent, {document['crashed']} crashed the suite; "
        f"{share:.1%} of {document['killable']} that are not equivalent; {document['seconds']} s"
    )


if __name__ == "__main__":
    sys.exit(main())
