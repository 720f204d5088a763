"""An open loop through a server that is dead for two seconds, and the arrivals as the server saw them.

    python benchmarks/load/stall.py [--repeat 3]

50 requests a second for 10 seconds; from second 3 the server does nothing for 2 seconds. The truth is computed from the planned times and
the server's log of when it took up each request and when the stall began and ended: the first chunk is due 50 ms after the request
was taken up, or at the stall's end where that lies within it. (Taking up what had piled up takes it some 10 ms.)
Then the same without a stall at 50 and 500 requests a second: rate and coefficient of variation of the arrivals by the server's log.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from math import ceil
from pathlib import Path
from typing import Any

import rig

sys.path.insert(0, str(rig.ROOT))
from loadtest.schedule import gap_cv

STALL_AT, STALL_FOR = 3.0, 2.0
FIRST = rig.TTFT_MS / 1000


def truth(planned: list[float], taken_up: list[float], begins: float, ends: float) -> list[float]:
    """Time to the first content of each request in ms, for a stall between those seconds; requests are taken up in their order."""
    due = [at + FIRST for at in sorted(taken_up)]
    first = [ends if begins <= at < ends else at for at in due]
    return [(at - plan) * 1000 for plan, at in zip(sorted(planned), first, strict=True)]


def rank(values: list[float], q: float) -> float:
    """The nearest-rank percentile."""
    return sorted(values)[max(ceil(q * len(values)), 1) - 1]


def measured(
    url_options: dict[str, float], process: str, rate: float, seconds: float, seed: int
) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    """One open-loop run: the report, its samples, what the server counted."""
    folder = Path(tempfile.mkdtemp())
    scenario = folder / "open.toml"
    scenario.write_text(f'process = "{process}"\nstages = [{{ seconds = {seconds}, rate = {rate} }}]\n')
    with rig.server(**url_options) as found:
        own = ["--scenario", str(scenario), "--seed", str(seed)]
        _, said = rig.run(found, rig.product(found.url, folder / "out", *own), streams=1)
        stats = found.get("/stats")
    try:
        document = rig.product_result(folder / "out")["document"]
    except OSError:
        raise SystemExit(said) from None
    samples = [json.loads(line) for line in (folder / "out" / "samples.jsonl").read_text().splitlines()]
    shutil.rmtree(folder)
    return document, samples, stats


def through_the_stall(process: str, seed: int) -> None:
    """Print reported and true percentiles of one run."""
    document, samples, stats = measured({"stall_at": STALL_AT, "stall_for": STALL_FOR}, process, 50, 10, seed)
    planned = [sample["planned_ns"] / 1e9 for sample in samples]
    sent = min(planned) + min(sample["queue_ms"] for sample in samples) / 1e3
    taken_up, (begins, ends) = (
        [sent + (at - min(stats["arrivals"])) / 1e9 for at in stats[name]] for name in ("arrivals", "stall")
    )
    true = truth(planned, taken_up, begins, ends)
    metric = next(row for row in document["metrics"] if row["metric"] == "ttft_content")
    for name, q in (("p90", 0.9), ("p99", 0.99)):
        right = rank(true, q)
        print(
            f"stall {process:9} seed {seed} {name}: reported {metric[name]:9.2f} true {right:9.2f} ms, off by {abs(metric[name] / right - 1):.3%}  {document['certificate']['verdict']}"
        )


def by_the_servers_log(process: str, rate: float, seed: int) -> None:
    """Print rate and coefficient of variation of one run without a stall."""
    document, samples, stats = measured({}, process, rate, 10, seed)
    seconds = [at / 1e9 for at in sorted(stats["arrivals"])]
    found = len(seconds) / 10
    lag = document["certificate"]["lag_ms"]
    print(
        f"no stall {process:9} {rate:g}/s seed {seed}: {len(samples)} samples, rate {found:.2f} (off by {abs(found / rate - 1):.3%}), "
        f"CV {gap_cv(seconds):.3f}, sent late p99 {lag['send_p99']:.3f} ms, {document['certificate']['verdict']}"
    )


def main() -> None:
    """Run everything a few times."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    for seed in range(asked.repeat):
        for process in ("constant", "poisson"):
            through_the_stall(process, seed)
        for process, rate in (("constant", 50), ("poisson", 50), ("poisson", 500)):
            by_the_servers_log(process, rate, seed)


if __name__ == "__main__":
    main()
