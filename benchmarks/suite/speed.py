"""How fast the suite judges, and where its time goes: requests a second against the embedded server, suite on one core.

    python benchmarks/suite/speed.py [--dialect openai] [--rounds 3]

Each round judges the embedded server (unpaced, on the other core where there are two) at full depth in a fresh process, and
a bare loop of the same client sends as many minimal requests to the same server. Printed are medians: requests a second of
both, their ratio, and the share of the suite's CPU time by module (cProfile, own time), so that a slow machine cancels out.
"""

from __future__ import annotations

import argparse
import json
import os
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
KEY = "benchmark-key-0123456789"
AREAS = (
    "conformance/wire",
    "conformance/checks",
    "conformance",
    "reports",
    "dialects",
    "jsonschema",
    "hypothesis",
    "httpx",
    "httpcore",
    "h11",
    "pytest",
)


def main() -> None:
    """Run the rounds and print the table."""
    options = _options()
    environment = {**os.environ, "CHAT_API_KEY": KEY}
    server, url = _served(options.dialect, environment)
    try:
        rounds = [_round(url, options.dialect, environment) for _ in range(options.rounds)]
        bare = [_bare(url, options.dialect, environment) for _ in range(options.rounds)]
    finally:
        server.terminate()
        server.wait()
    _show(options.dialect, rounds, bare)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialect", default="openai")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _served(dialect: str, environment: dict[str, str]) -> tuple[subprocess.Popen[str], str]:
    command = [*_pinned(0), sys.executable, "-m", "reference_server", "--port", "0", "--dialect", dialect]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    assert server.stdout is not None  # noqa: S101 - asked for as a pipe
    return server, server.stdout.readline().removeprefix("ready ").strip()


def _pinned(core: int) -> list[str]:
    return ["taskset", "-c", str(core)] if (os.cpu_count() or 1) > 1 and Path("/usr/bin/taskset").exists() else []


def _round(url: str, dialect: str, environment: dict[str, str]) -> tuple[int, float, Counter[str]]:
    """(requests, seconds, own time by area) of one judged run."""
    with tempfile.TemporaryDirectory() as folder:
        stats = Path(folder) / "profile"
        judged = [
            "-m",
            "pytest",
            "--target",
            url,
            "--dialect",
            dialect,
            "--report",
            folder,
            "-q",
            "-p",
            "no:cacheprovider",
        ]
        plain = [*_pinned(1), sys.executable, *judged]
        start = time.perf_counter()
        subprocess.run(plain, env=environment, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        requests = json.loads((Path(folder) / "report.json").read_text())["cost"]["requests"]
        profiled = [*_pinned(1), sys.executable, "-m", "cProfile", "-o", str(stats), *judged]
        subprocess.run(profiled, env=environment, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
        return requests, seconds, _areas(stats)


def _areas(stats: Path) -> Counter[str]:
    areas: Counter[str] = Counter()
    for (file, _, _), (_, _, own, _, _) in pstats.Stats(str(stats)).stats.items():  # type: ignore[attr-defined]
        areas[_area(file)] += own
    return areas


def _area(file: str) -> str:
    if file == "~":
        return "built in (sockets, json, parsing)"
    return next((area for area in AREAS if f"/{area}/" in file), "other")


def _bare(url: str, dialect: str, environment: dict[str, str]) -> float:
    """Requests a second of the suite's own client in a bare loop of minimal requests."""
    code = f"""
import json, time
from conformance.target import Target
from conformance.wire.client import Client
from dialects import load
d = load({dialect!r}); t = Target({url!r}, d.models.example, {KEY!r}); c = Client()
body = json.dumps({{"model": t.model, "messages": [{{"role": "user", "content": "Say hi"}}], "max_tokens": 16}}).encode()
n, start = 500, time.perf_counter()
for _ in range(n): assert c.send(t.request(d.paths.chat[0], body)).ok
print(n / (time.perf_counter() - start))
"""
    command = [*_pinned(1), sys.executable, "-c", code]
    return float(subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def _show(dialect: str, rounds: list[tuple[int, float, Counter[str]]], bare: list[float]) -> None:
    rates = [requests / seconds for requests, seconds, _ in rounds]
    table = Table(title=f"suite speed, dialect {dialect}, {len(rounds)} rounds, medians")
    table.add_column("what")
    table.add_column("figure", justify="right")
    table.add_row("requests of a full run", f"{statistics.median(r for r, _, _ in rounds):.0f}")
    table.add_row("seconds of a full run, start to report", f"{statistics.median(s for _, s, _ in rounds):.2f}")
    table.add_row("requests a second, suite", f"{statistics.median(rates):.0f}")
    table.add_row("requests a second, bare client loop", f"{statistics.median(bare):.0f}")
    table.add_row("ratio", f"{statistics.median(rates) / statistics.median(bare):.2f}")
    total = sum((areas for _, _, areas in rounds), Counter[str]())
    for area, seconds in total.most_common():
        table.add_row(f"CPU: {area}", f"{100 * seconds / total.total():.0f} %")
    Console().print(table)


if __name__ == "__main__":
    main()
