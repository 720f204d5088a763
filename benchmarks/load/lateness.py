"""Find out whether a generator that is late says so, and only then.

    python benchmarks/load/lateness.py [--runs 20] [--seconds 5]

Runs against the calibrated server with a busy loop of 20 ms in every 100 ms inside the generator, and as many clean ones. A spoilt
run is right when its certificate is INVALID or its p99 is within 1 ms of the truth; a clean run when it is VALID and within 1 ms.
Closed loop with 64 streams and open loop at 50 requests a second, in turn.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

import rig

LOOPS = (["--closed-loop", "-u", "64", "-r", "64"], ["--rate", "50"])


def once(found: rig.Server, number: int, seconds: int, locustfile: str) -> dict[str, Any]:
    """One run's figures."""
    folder = Path(tempfile.mkdtemp())
    own = [*LOOPS[number % 2], "-t", f"{seconds}s", "--seed", str(number)]
    _, said = rig.run(found, rig.product(found.url, folder, *own, locustfile=locustfile), streams=64, BUSY_MS="20")
    try:
        return rig.product_result(folder)
    except OSError:
        raise SystemExit(said) from None
    finally:
        shutil.rmtree(folder)


def told(rows: list[dict[str, Any]], *, spoilt: bool) -> int:
    """How many runs were right."""
    near = [abs(row["ttft_p99"] - rig.TTFT_MS) <= 1.0 for row in rows]
    valid = [row["verdict"] == "VALID" for row in rows]
    return sum(n or not v if spoilt else v and n for n, v in zip(near, valid, strict=True))


def main() -> None:
    """Run both kinds in turn and print what each said."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=5)
    asked = parser.parse_args()
    rows: dict[bool, list[dict[str, Any]]] = {True: [], False: []}
    with rig.server() as found:
        for number in range(asked.runs):
            for spoilt, locustfile in ((True, "benchmarks/load/busy_locustfile.py"), (False, "loadtest/locustfile.py")):
                row = once(found, number, asked.seconds, locustfile)
                rows[spoilt].append(row)
                reasons = "; ".join(row["document"]["certificate"]["reasons"])
                print(
                    f"{number:2} {'spoilt' if spoilt else 'clean ':6} {row['verdict']:7} ttft p99 {row['ttft_p99']:8.3f} itl p99 {row['itl_p99']:7.3f} {reasons}",
                    flush=True,
                )
    print(f"spoilt runs told or right: {told(rows[True], spoilt=True)} of {asked.runs}")
    print(f"clean runs VALID and right: {told(rows[False], spoilt=False)} of {asked.runs}")


if __name__ == "__main__":
    main()
