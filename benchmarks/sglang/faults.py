"""Twenty faults of the HTTP layer, and whether each is still detected when SGLang generates.

    python -m benchmarks.sglang.faults --model DIR [--number 20] [--engine-arg KEY=VALUE]...

The sample is spread evenly over the catalogue, without the faults that only ask the engine for something else: whether those show
is the model's business, and a random one obeys nobody. For each fault the suite runs, at depth deep, the checks that the fault declares
to break in one dialect and a few that give the oracles something to watch; the fault is detected when a declared check fails
that passes without it. A random model answers nonsense, so checks that want sense are inconclusive and never counted; where no
declared check can pass even without the fault, the model cannot show it, which is said, and the next of the catalogue is tried.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from typing import TYPE_CHECKING

import dialects
from benchmarks.matrix.server import Server
from benchmarks.matrix.suite import Suite
from reference_server.faults import FAULTS, broken

if TYPE_CHECKING:
    from reference_server.alterations import Alteration
    from reports.model import Report

TRAFFIC = ("service.chat-answers", "stream.equals-plain", "usage.stream-equals-plain", "auth.missing-key", "request.malformed-json", "chat.n-choices", "stream.n-choices")  # fmt: skip


def main() -> int:
    """Exit status: 0 when every fault of the sample is detected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--number", type=int, default=20)
    parser.add_argument("--engine-arg", action="append", default=["context_length=4096"], metavar="KEY=VALUE")
    options = parser.parse_args()
    given = [part for each in options.engine_arg for part in ("--engine-arg", each)]
    server = Server("--engine", "sglang", "--model", options.model, *given)
    try:
        told = [_first_that_shows(server, part) for part in sample(options.number)]
    finally:
        server.stop()
    missed = [name for name, detected in told if not detected]
    print(f"{len(told) - len(missed)} of {len(told)} detected; missed: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


def _first_that_shows(server: Server, faults: list[Alteration]) -> tuple[str, bool]:
    """The name of the first of these that the model can show, and whether it is detected."""
    for fault in faults:
        detected = _detected(server, fault)
        if detected is not None:
            return fault.name, detected
    return "none that the model can show", False


def sample(number: int) -> list[list[Alteration]]:
    """That many parts of the catalogue of faults that break something, each with all of its faults, in turn."""
    breaking = [fault for _, fault in sorted(FAULTS.all.items()) if set(fault.acts) != {"order"} and _dialects(fault)]
    bounds = [at * len(breaking) // number for at in range(number + 1)]
    return [breaking[begin:end] for begin, end in itertools.pairwise(bounds)]


def _dialects(fault: Alteration) -> list[str]:
    """The dialects in which it breaks a check that their rows list."""
    return [name for name in dialects.known() if broken(fault, dialects.load(name))]


def _detected(server: Server, fault: Alteration) -> bool | None:
    """Try its dialects until one detects it. None: in none of them a declared check passes without it."""
    shown = False
    for dialect in _dialects(fault):
        declared = broken(fault, dialects.load(dialect))
        server.alter()
        sound = {check.id for check in _run(server, dialect, declared).checks if check.verdict == "pass"} & declared
        if not sound:
            continue
        shown = True
        server.alter([fault.name])
        red = [
            check.id
            for check in _run(server, dialect, declared).checks
            if check.id in sound and check.verdict == "fail"
        ]
        if red:
            print(f"{fault.name}: detected in {dialect} by {', '.join(red)}", flush=True)
            return True
    print(f"{fault.name}: {'NOT detected' if shown else 'cannot be shown by this model'}", flush=True)
    return False if shown else None


def _run(server: Server, dialect: str, declared: frozenset[str]) -> Report:
    profile = server.profile(dialect)
    suite = Suite(
        dialect, profile, "deep"
    )  # at less depth a slow model is not asked for an answer as long as some faults need
    suite.items = [item for item in suite.items if item.id in declared or item.id in TRAFFIC]
    return suite.run(server.url(dialect), profile)


if __name__ == "__main__":
    sys.exit(main())
