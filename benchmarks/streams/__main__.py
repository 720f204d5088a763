"""python -m benchmarks.streams [--count N] [--seed S]: the wire under streams by a grammar, spoiled as bytes.

Each stream goes through the decoder, the views of an answer and, some of them, the oracles and the whole client. Exit status
1 where an invariant of `hold.py` does not hold; `--only N` tries stream N alone, which a line of the output names.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.streams.trial import Found, tried

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCH = 2000
REPORTED = 50 * BATCH
SHOWN = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Try, print, write."""
    options = _parser().parse_args(arguments)
    started, found, first = time.time(), Found(), 0
    numbers = [range(options.only, options.only + 1)] if options.only is not None else _batches(options.count)
    with ProcessPoolExecutor(options.processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for batch in pool.map(partial(tried, options.seed), numbers):
            found.add(batch)
            first = first or batch.memory
            if sys.stderr.isatty() or found.streams % REPORTED == 0:
                print(
                    f"{found.streams} of {options.count} streams, {len(found.broken)} broken",
                    file=sys.stderr,
                    flush=True,
                )
    document = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m benchmarks.streams", *sys.argv[1:]]),
        "seconds": round(time.time() - started),
        "memory_after_first": first,
        **asdict(found),
    }
    if options.json:
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    _print(document)
    return 1 if found.broken else 0


def _batches(count: int) -> list[range]:
    return [range(start, min(count, start + BATCH)) for start in range(0, count, BATCH)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="N", help="this stream alone")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="write what was found")
    return parser


def _print(document: dict[str, Any]) -> None:
    for line in document["broken"][:SHOWN]:
        print(line)
    print(
        f"{document['streams']} streams, {document['bytes']} bytes, {document['read']} answers read, {document['exchanges']} exchanges through the client, "
        f"{document['judged']} answers before every oracle: {len(document['broken'])} broken; slowest {document['slowest']:.3f} s; "
        f"at most {document['memory'] // 1024} MiB a process; {document['seconds']} s"
    )


if __name__ == "__main__":
    sys.exit(main())
