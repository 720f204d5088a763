"""Every server behaviour on the wire: what the product reports of it against its truth.

    python benchmarks/load/behaviours.py [--requests 20]

The paced server (loadtest/paced.py) on core 0 plays fourteen behaviours; the product asks for each in a closed loop of two. Printed
are the medians over the requests, and whether each is within 1 % of the truth (0.5 ms where the truth is at the request itself).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import rig

sys.path.insert(0, str(rig.ROOT))
from loadtest.behaviour import BEHAVIOURS, Pace

PACE = Pace()


def near(found: float, truth: float) -> bool:
    """Within 1 %, or half a millisecond of nothing."""
    return abs(found - truth) <= max(truth * 0.01, 0.5)


def judged(name: str, rows: list[dict[str, Any]]) -> tuple[bool, str]:
    """Whether these samples tell the truth about a behaviour, and what they tell."""
    truth = BEHAVIOURS[name].truth(PACE)
    outcomes = {row["outcome"] for row in rows}
    right = outcomes == {truth.outcome}
    said = [f"outcome {'/'.join(sorted(outcomes))}"]
    if truth.outcome == "ok":
        for key, at in truth.ttft.items():
            found = median(row["ttft_ms"][key] for row in rows)
            right &= near(found, at)
            said.append(f"{key} {found:.2f} ({at:g})")
        longest = median(row["longest_gap_ms"] for row in rows)
        right &= truth.longest is None or near(longest, truth.longest)
        tokens = {(row["tokens"], row["tokens_from"]) for row in rows}
        right &= tokens == {(truth.tokens, "chunks" if truth.counted else "usage")}
        said.append(f"longest gap {longest:.2f} ({truth.longest:g}) tokens {tokens}")
    return right, ", ".join(said)


def main() -> None:
    """Run them all and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=20)
    asked = parser.parse_args()
    command = [*rig.pinned(0, real_time=True), sys.executable, "-m", "loadtest.paced"]
    server = subprocess.Popen(command, cwd=rig.ROOT, stdout=subprocess.PIPE, text=True)
    url = server.stdout.readline().split()[-1] if server.stdout else ""
    right = 0
    try:
        for name in BEHAVIOURS:
            with tempfile.TemporaryDirectory() as folder:
                loop = ["--closed-loop", "-u", "2", "-r", "2", "--requests", str(asked.requests), "--model", name]
                words = [*rig.pinned(1, real_time=False), *rig.product(url, Path(folder), *loop)]
                environment = {"CHAT_API_KEY": "k", "PATH": "/usr/bin:/bin"}
                subprocess.run(words, cwd=rig.ROOT, env=environment, capture_output=True, check=False)
                rows = [json.loads(line) for line in (Path(folder) / "samples.jsonl").read_text().splitlines()]
            good, said = judged(name, rows)
            right += good
            print(f"{'right' if good else 'WRONG'} {name:16} {said}", flush=True)
    finally:
        server.terminate()
        server.wait()
    print(f"{right} of {len(BEHAVIOURS)} behaviours reported as they are")


if __name__ == "__main__":
    main()
