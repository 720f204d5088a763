"""One run: a tester against the obliging server with a fault, a variation or nothing in force."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.matrix.jobs import PACES
from benchmarks.matrix.server import Server
from benchmarks.matrix.suite import KEY
from benchmarks.peers.relay import Relay
from benchmarks.peers.testers import ROOT, TESTERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.peers.testers import Said

__all__ = ["Run", "run_all"]

BY_NAME = {tester.name: tester for tester in TESTERS}


@dataclass(frozen=True, slots=True)
class Run:
    """A tester, and what is altered."""

    tester: str
    fault: str = ""
    vary: str = ""
    pace: str = "fast"
    number: int = 0


def run_all(runs: Sequence[Run], homes: Path, processes: int, seconds: float) -> Iterator[tuple[Run, Said]]:
    """What was said in each, in their order; none is begun after so many seconds."""
    deadline = time.monotonic() + seconds
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        for run, said in zip(runs, pool.map(_ask, runs, [homes] * len(runs), [deadline] * len(runs)), strict=True):
            if said is not None:
                yield run, said


def _ask(run: Run, homes: Path, deadline: float) -> Said | None:
    if time.monotonic() > deadline:  # one clock for all processes of a machine
        return None
    tester = BY_NAME[run.tester]
    server, relay = _server(run.pace)
    server.alter([run.fault] if run.fault else [], [run.vary] if run.vary else [])
    with tempfile.TemporaryDirectory(prefix="peers-") as scratch:
        return tester.ask(homes, relay.url if tester.bare else server.base, Path(scratch), _environment())


def _environment() -> dict[str, str]:
    """What a tester sees: the key, and this project where it is ours; no proxy, which would be asked for 127.0.0.1 too."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return {**kept, "CHAT_API_KEY": KEY, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200"}


@cache
def _server(pace: str) -> tuple[Server, Relay]:
    """A server for this process alone, and the relay before it."""
    server = Server("--itl-ms", PACES[pace], module="benchmarks.peers.obliging")
    atexit.register(server.stop)
    Finalize(server, server.stop, exitpriority=10)
    return server, Relay(int(server.base.rsplit(":", 1)[1]), KEY)
