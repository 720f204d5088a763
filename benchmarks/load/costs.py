"""The cost of recording a token: our histogram against the hdrhistogram package, and that both merge exactly.

python benchmarks/load/costs.py
"""

from __future__ import annotations

import time
from random import Random

from loadtest.histogram import Histogram

STREAMS, TOKENS = 2000, 64


def timed(name: str, seconds: float) -> None:
    """Print the time a token."""
    print(f"{name:34} {seconds / (STREAMS * TOKENS) * 1e6:7.3f} us a token")


def main() -> None:
    """Print the table."""
    rng = Random(1)  # noqa: S311 - repeatable on purpose
    streams = [[round(rng.lognormvariate(9.2, 0.2)) for _ in range(TOKENS)] for _ in range(STREAMS)]
    ours = Histogram()
    began = time.process_time()
    for gaps in streams:
        ours.add(gaps)
    timed("loadtest.histogram, a stream at once", time.process_time() - began)
    print(f"{'':34} {len(ours.to_bytes())} bytes on the wire")
    try:
        from hdrh.histogram import HdrHistogram
    except ImportError:
        return
    theirs = HdrHistogram(1, 3_600_000_000, 3)
    began = time.process_time()
    for gaps in streams:
        for gap in gaps:
            theirs.record_value(gap)
    timed("hdrhistogram, record_value", time.process_time() - began)
    print(f"{'':34} {len(theirs.encode())} bytes on the wire")
    for q in (50, 99, 99.9):
        print(f"p{q}: ours {ours.quantile(q / 100)}, theirs {theirs.get_value_at_percentile(q)}")


if __name__ == "__main__":
    main()
