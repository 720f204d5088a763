"""What resting between looks saves: the product at 512 streams with and without its naps.

python benchmarks/load/nap.py [--repeat 3]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

import rig

NAPLESS = """
import sys
sys.path.insert(0, {root!r})
import loadtest.reader
loadtest.reader.NAP_FROM = 1 << 30
from loadtest.locustfile import *
"""
STREAMS, REQUESTS = 512, 512 * 16


def once(found: rig.Server, locustfile: str) -> dict[str, Any]:
    """One run's figures."""
    folder = Path(tempfile.mkdtemp())
    loop = ["--closed-loop", "-u", str(STREAMS), "-r", str(STREAMS), "--requests", str(REQUESTS), "-t", "300s"]
    facts, said = rig.run(found, rig.product(found.url, folder / "out", *loop, locustfile=locustfile), streams=STREAMS)
    try:
        return facts | rig.product_result(folder / "out")
    except OSError:
        raise SystemExit(said) from None
    finally:
        shutil.rmtree(folder)


def main() -> None:
    """Run both in turn and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, rig.server() as found:
        napless = Path(folder) / "napless.py"
        napless.write_text(NAPLESS.format(root=str(rig.ROOT)))
        rows: dict[str, list[dict[str, Any]]] = {"with naps": [], "without": []}
        for _ in range(asked.repeat):
            rows["with naps"].append(once(found, "loadtest/locustfile.py"))
            rows["without"].append(once(found, str(napless)))
    for name, found_rows in rows.items():
        figures = "  ".join(
            f"{key} {rig.middle(found_rows, key):.3f}" for key in ("cpu_ms_per_1000", "ttft_p99", "itl_p99", "of_ideal")
        )
        print(f"{name:10} {figures}")


if __name__ == "__main__":
    main()
