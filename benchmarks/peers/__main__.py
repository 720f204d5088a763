"""python -m benchmarks.peers --homes DIR [--sample N] [--json FILE]: the same faults through other testers and this suite.

Installs each tester at its version under DIR (from the package index that pip and npm are set up for), asks it of the correct
server again and again, of each legal variation, and of each fault that breaks a row of dialect openai. A fault is found when
what is said is worse than in every run on the correct server (`compare.py`). The server is the reference server with an engine
that obeys two more sentences (`obliging.py`), and nobody is given more than its URL, a key and the name of a model.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from benchmarks.matrix import kill
from benchmarks.matrix.jobs import TIMED
from benchmarks.peers import compare
from benchmarks.peers.install import install
from benchmarks.peers.runs import Run, run_all
from benchmarks.peers.testers import TESTERS
from reference_server.faults import FAULTS
from reference_server.vary import VARIATIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.peers.testers import Said, Tester

Json = dict[str, Any]
DIALECT = "openai"


def main(arguments: Sequence[str] | None = None) -> int:
    """Install, run, print, write. Exit status: 0 when every tester that is asked for could be tried."""
    options = _parser().parse_args(arguments)
    began = time.time()
    chosen = [tester for tester in TESTERS if not options.tester or tester.name in options.tester]
    refused = {tester.name: why for tester in chosen if (why := install(tester, options.homes))}
    testers = [tester for tester in chosen if tester.name not in refused]
    faults = options.fault or sampled(applicable(), options.sample, options.seed)
    runs = planned(testers, faults, options.repeat, variations=not options.fault)
    said: dict[str, dict[Run, Said]] = defaultdict(dict)
    for number, (run, words) in enumerate(run_all(runs, options.homes, options.processes, options.minutes * 60), 1):
        said[run.tester][run] = words
        print(f"\r{number} of {len(runs)} runs, {time.time() - began:.0f} s", end="", file=sys.stderr, flush=True)
    faults = [fault for fault in faults if all(any(run.fault == fault for run in said[t.name]) for t in testers)]
    document = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m benchmarks.peers", *(arguments or sys.argv[1:])]),
        "seconds": round(time.time() - began),
        "processes": options.processes,
        "faults": {fault: place(fault) for fault in faults},
        "applicable": len(applicable()),
        "catalogue": len(FAULTS.all),
        "refused": refused,
        "testers": [summed(tester, said[tester.name], faults) for tester in testers],
    }
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    told(document)
    return 1 if refused else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--homes", type=Path, required=True, metavar="DIR", help="where the testers are installed")
    parser.add_argument("--fault", action="append", choices=applicable(), help="these faults only, and no variations")
    parser.add_argument("--tester", action="append", choices=[tester.name for tester in TESTERS], help="these only")
    parser.add_argument("--sample", type=int, metavar="N", help="N faults, drawn by --seed; default: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="runs on the correct server; default: 5")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=600, metavar="N", help="begin nothing after N minutes")
    parser.add_argument("--json", type=Path, help="write what was found")
    return parser


def applicable() -> list[str]:
    """The faults that break a row of the dialect."""
    return [fault for fault in FAULTS.all if kill.declared(fault, DIALECT)]


def sampled(faults: list[str], count: int | None, seed: int) -> list[str]:
    """`count` of them, or all, in an order of chance: what is reached before the time is over is a fair sample."""
    return Random(seed).sample(faults, min(count or len(faults), len(faults)))  # noqa: S311 - a sample, not a secret


def place(fault: str) -> str:
    """Where in the server the fault is: the module that has it."""
    module: str = next(iter(FAULTS.all[fault].acts.values())).__module__
    return module.rpartition(".")[2]


def planned(testers: Sequence[Tester], faults: Sequence[str], repeat: int, *, variations: bool) -> list[Run]:
    """All runs: each tester on the correct server at either pace, on the faults and on the variations."""
    paces = {fault: _pace(fault) for fault in faults}
    sound = [(pace, number) for pace in dict.fromkeys(["fast", *paces.values()]) for number in range(repeat)]
    runs = [Run(tester.name, pace=pace, number=number) for pace, number in sound for tester in testers]
    runs += [Run(tester.name, fault, pace=paces[fault]) for fault in faults for tester in testers]
    varied = VARIATIONS.all if variations else ()
    return runs + [Run(tester.name, vary=name) for name in varied for tester in testers]


def _pace(fault: str) -> str:
    """A fault of when text comes shows only where text takes its time."""
    timed = {check.partition("[")[0] for check in kill.declared(fault, DIALECT)} & TIMED
    return "paced" if timed else "fast"


def summed(tester: Tester, said: dict[Run, Said], faults: Sequence[str]) -> Json:
    """What a tester said of everything."""
    strict = tester.name == "this suite"
    sound = {
        pace: [s for r, s in said.items() if not r.fault and not r.vary and r.pace == pace]
        for pace in ("fast", "paced")
    }
    worse = {
        run: compare.found(words, sound[run.pace], strict=strict)
        for run, words in said.items()
        if run.fault or run.vary
    }
    spent = [words.seconds for run, words in said.items() if run.fault in faults]
    return {
        "name": tester.name,
        "version": tester.version,
        "about": tester.about,
        "tests": len(sound["fast"][0].tests),
        "sound_runs": sum(map(len, sound.values())),
        "sound_codes": sorted({str(words.code) for runs in sound.values() for words in runs}),
        "false_alarms": sorted({name for runs in sound.values() for name in compare.failing(runs)}),
        "unstable": sorted({name for runs in sound.values() for name in compare.unstable(runs)}),
        "varied": {run.vary: worse[run] for run in worse if run.vary},
        "found": {run.fault: worse[run][:8] for run in worse if run.fault in faults},
        "seconds_per_fault": round(sum(spent) / len(spent), 2) if spent else None,
    }


def told(document: Json) -> None:
    """A line for each tester."""
    print(file=sys.stderr)
    for entry in document["testers"]:
        hit = sum(map(bool, entry["found"].values()))
        wrong = sum(map(bool, entry["varied"].values()))
        print(
            f"{entry['name']} {entry['version']}: {hit} of {len(entry['found'])} faults, {len(entry['false_alarms'])} of "
            f"{entry['tests']} tests fail on the correct server, {wrong} of {len(entry['varied'])} variations flagged, "
            f"{entry['seconds_per_fault']} s a fault"
        )
    for name, why in document["refused"].items():
        print(f"{name}: not installed: {why}")


if __name__ == "__main__":
    sys.exit(main())
