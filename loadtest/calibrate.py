"""`--calibrate`: the same scenario, shortly, against a server whose latencies are known, on this machine, right before the run.

What the generator reports then, less what the server was late itself, is the generator's error. It is printed and goes into
the report; a certificate says that a run was in time, the calibration says how far its figures can be off here.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadtest.behaviour import Pace

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Calibration", "calibrate", "command"]

SECONDS = 10
DROPPED = {
    "--host",
    "-H",
    "--report",
    "--slo",
    "--slo-file",
    "--model",
    "--run-time",
    "-t",
    "--html",
    "--csv",
    "--processes",
}
FLAGS = {"--calibrate", "--master"}


@dataclass(frozen=True, slots=True)
class Calibration:
    """The generator's error in ms on this machine: reported minus true, and how late the server was itself."""

    ttft_p50_error_ms: float | None
    ttft_p99_error_ms: float | None
    itl_p99_error_ms: float | None
    server_late_p99_ms: float | None
    verdict: str

    def sentence(self) -> str:
        """For a person."""
        return (
            f"calibration: TTFT p50 off by {_ms(self.ttft_p50_error_ms)}, p99 by {_ms(self.ttft_p99_error_ms)}, ITL p99 by "
            f"{_ms(self.itl_p99_error_ms)}; the paced server itself was late by up to {_ms(self.server_late_p99_ms)} (p99); {self.verdict}"
        )

    def table(self) -> dict[str, Any]:
        """For the report."""
        return asdict(self)


def calibrate(arguments: Sequence[str]) -> Calibration | None:
    """Run this very command line against the paced server; None when it gave no report."""
    pace = Pace()
    server = subprocess.Popen(
        [sys.executable, "-m", "loadtest.paced"], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent
    )
    try:
        url = (server.stdout.readline() if server.stdout else "").removeprefix("ready ").strip()
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(  # noqa: S603 - our own command line
                command(arguments, url, folder), check=False, timeout=SECONDS * 6, capture_output=True
            )
            found = Path(folder) / "load.json"
            report = json.loads(found.read_text()) if found.exists() else None
        with urllib.request.urlopen(f"{url}/stats", timeout=10) as answer:  # noqa: S310 - our own server
            late = json.load(answer)["late_p99_ms"]
    finally:
        server.terminate()
        server.wait()
    return None if report is None else _compared(report, pace, late)


def command(arguments: Sequence[str], url: str, folder: str) -> list[str]:
    """The same command against another host for a few seconds, without what names files, objectives or other processes."""
    kept, skip = [], False
    for word in arguments:
        name = word.partition("=")[0]
        if skip or name in FLAGS or name in DROPPED:
            skip = not skip and name in DROPPED and "=" not in word
            continue
        kept.append(word)
    own = ["--host", url, "--report", folder, "--model", "plain", "-t", f"{SECONDS}s", "--only-summary"]
    return [sys.executable, "-m", "locust", *kept, *own]


def _compared(report: dict[str, Any], pace: Pace, late: float | None) -> Calibration:
    metrics = {row["metric"]: row for row in report["metrics"]}

    def off(metric: str, figure: str, truth: float) -> float | None:
        value = metrics[metric][figure]
        return None if value is None else round(value - truth * 1000, 3)

    return Calibration(
        off("ttft_content", "p50", pace.ttft),
        off("ttft_content", "p99", pace.ttft),
        off("itl", "p99", pace.itl),
        None if late is None else round(late, 3),
        f"certificate {report['certificate']['verdict']}",
    )


def _ms(value: float | None) -> str:
    return "unknown" if value is None else f"{value:+.3f} ms"
