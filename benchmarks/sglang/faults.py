"""Twenty faults of the HTTP layer, and whether each is still detected when SGLang generates.

    python -m benchmarks.sglang.faults --model DIR [--number 20] [--engine-arg KEY=VALUE]...

The sample is spread evenly over the catalogue. For each fault the suite runs, at full depth, the checks that the fault declares
to break in one dialect and a few that give the oracles something to watch; the fault is detected when a declared check fails
that passes without it. A random model answers nonsense, so checks that want sense are inconclusive and never counted.
"""

from __future__ import annotations

import argparse
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
    parser.add_argument("--engine-arg", action="append", default=["context_length=2048"], metavar="KEY=VALUE")
    options = parser.parse_args()
    given = [part for each in options.engine_arg for part in ("--engine-arg", each)]
    server = Server("--engine", "sglang", "--model", options.model, *given)
    try:
        missed = [fault.name for fault in sample(options.number) if not _detected(server, fault)]
    finally:
        server.stop()
    print(f"{options.number - len(missed)} of {options.number} detected; missed: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


def sample(number: int) -> list[Alteration]:
    """That many faults, evenly spread over the catalogue, of those that break something."""
    breaking = [fault for _, fault in sorted(FAULTS.all.items()) if _dialects(fault)]
    return [breaking[at * len(breaking) // number] for at in range(number)]


def _dialects(fault: Alteration) -> list[str]:
    """The dialects in which it breaks a check that their rows list."""
    return [name for name in dialects.known() if broken(fault, dialects.load(name))]


def _detected(server: Server, fault: Alteration) -> bool:
    """Try its dialects until one detects it."""
    for dialect in _dialects(fault):
        declared = broken(fault, dialects.load(dialect))
        server.alter([fault.name])
        faulty = _run(server, dialect, declared)
        server.alter()
        sound = _run(server, dialect, declared)
        red = [check.id for check in faulty.checks if check.id in declared and check.verdict == "fail"]
        red = [check for check in red if not any(c.id == check and c.verdict == "fail" for c in sound.checks)]
        if red:
            print(f"{fault.name}: detected in {dialect} by {', '.join(red)}", flush=True)
            return True
    print(f"{fault.name}: NOT detected; expected {', '.join(sorted(declared))} in {dialect} to fail", flush=True)
    return False


def _run(server: Server, dialect: str, declared: frozenset[str]) -> Report:
    profile = server.profile(dialect)
    suite = Suite(dialect, profile)
    suite.items = [item for item in suite.items if item.id in declared or item.id in TRAFFIC]
    return suite.run(server.url(dialect), profile)


if __name__ == "__main__":
    sys.exit(main())
