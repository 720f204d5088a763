"""Percentiles of 1, 2, 4 and 8 workers beside those of their pooled samples, and a worker killed in the middle of a run.

    python benchmarks/load/workers.py [--seconds 10] [--rate 80]

The workers are real processes of locust. The report's figures come from histograms that travelled to the master; the samples were
written by each worker itself, so the two know nothing of each other. The killed worker is one of four, killed at half-time.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rig

sys.path.insert(0, str(rig.ROOT))
from loadtest.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
READ: dict[str, Callable[[dict[str, Any]], float | None]] = {
    "ttft_content": lambda row: row["ttft_ms"]["content"],
    "ttft_first_byte": lambda row: row["ttft_ms"]["first_byte"],
    "e2e": lambda row: row["e2e_ms"],
    "tpot": lambda row: row["tpot_ms"],
    "longest_gap": lambda row: row["longest_gap_ms"],
    "queue_delay": lambda row: row["queue_ms"],
}


def pooled(rows: list[dict[str, Any]], metric: str) -> dict[str, float | None]:
    """The metric's percentiles over all samples, by one histogram."""
    histogram = Histogram()
    for row in rows:
        value = READ[metric](row)
        if row["outcome"] == "ok" and value is not None:
            histogram.record(round(value * 1000))
    values: dict[str, float | None] = {name: histogram.quantile(q) for name, q in QUANTILES.items()}
    values["max"] = histogram.max
    return {name: None if value is None else round(value / 1000, 4) for name, value in values.items()}


def run(url: str, folder: Path, workers: int, options: list[str], kill_after: float | None) -> tuple[int, str]:
    """One run of a master and its workers: exit code and what it said."""
    port = str(rig.free_port())
    environment = {**os.environ, "CHAT_API_KEY": "k", "PYTHONPATH": str(rig.ROOT)}
    master = [
        *rig.product(url, folder, *options),
        "--master",
        "--expect-workers",
        str(workers),
        "--master-bind-port",
        port,
    ]
    worker = [sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py", "--worker", "--master-port", port]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    chief = subprocess.Popen(master, cwd=rig.ROOT, env=environment, **pipe)  # type: ignore[call-overload]
    crew = [
        subprocess.Popen(worker, cwd=rig.ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(workers)
    ]
    if kill_after is not None:
        while not list(folder.glob("samples.*.jsonl")):
            time.sleep(0.1)
        time.sleep(kill_after)
        crew[0].send_signal(signal.SIGKILL)
    said, _ = chief.communicate(timeout=300)
    for process in crew:
        process.wait(timeout=60)
    return chief.returncode, said


def lost_in(said: str) -> str:
    """What the master said of lost workers."""
    return "; ".join(line.partition("loadtest: ")[2] for line in said.splitlines() if "was lost" in line) or "none lost"


def told(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The report and the samples."""
    document = json.loads((folder / "load.json").read_text())
    return document, [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def main() -> None:
    """Run them all and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rate", type=float, default=80)
    asked = parser.parse_args()
    own = ["--rate", str(asked.rate), "-t", f"{asked.seconds}s"]
    with rig.server() as found:
        for workers in (1, 2, 4, 8):
            with tempfile.TemporaryDirectory() as folder:
                code, said = run(found.url, Path(folder), workers, own, None)
                document, rows = told(Path(folder))
            reported = {row["metric"]: row for row in document["metrics"]}
            unequal = [
                f"{m} {q} {reported[m][q]} {v}" for m in READ for q, v in pooled(rows, m).items() if reported[m][q] != v
            ]
            print(
                f"{workers} workers, {len(rows)} samples of {len({r['worker'] for r in rows})}: {len(READ) * (len(QUANTILES) + 1)} figures, {len(unequal)} unequal {unequal}; exit code {code}; {lost_in(said)}",
                flush=True,
            )
        with tempfile.TemporaryDirectory() as folder:
            code, said = run(found.url, Path(folder), 4, own, asked.seconds / 2)
            document, rows = told(Path(folder))
        print(f"1 of 4 killed: exit code {code}; {lost_in(said)}")
        print(f"  {document['certificate']['verdict']}: {'; '.join(document['certificate']['reasons'])}")
        print(
            f"  reported {document['scenario']['requests']} requests, in the files {len(rows)}, of them of the killed one {min(sum(r['worker'] == w for r in rows) for w in (1, 2, 3, 4))}"
        )


if __name__ == "__main__":
    main()
