"""python -m benchmarks.streams.guided [CORPUS] -atheris_runs=N: the same invariants, led by coverage.

Needs atheris (`pip install atheris`), which brings libFuzzer; its options go on the command line. New branches of the decoder,
of the JSON reader and of the answer's views keep an input for more mutation; the corpus begins with streams of `make.py`.
"""

from __future__ import annotations

import random
import sys
import tempfile
import zlib
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["conformance.wire.sse", "conformance.wire.strict_json", "conformance.reply"]):
    from conformance import reply  # noqa: F401 - instrumented before anybody else imports them
    from conformance.wire import sse, strict_json  # noqa: F401

from benchmarks.streams import hold, make

SEEDS = 300


def one(data: bytes) -> None:
    """Hold the invariants against one input; what it is cut into hangs on its bytes alone."""
    rng = random.Random(zlib.crc32(data))  # noqa: S311 - no secret
    hold.decoder(rng, data)
    hold.views(rng, data)


def _corpus() -> str:
    folder = Path(tempfile.mkdtemp(prefix="conformance-corpus-"))
    for number in range(SEEDS):
        (folder / str(number)).write_bytes(make.stream(make.chance(0, number)))
    return str(folder)


if __name__ == "__main__":
    given = sys.argv[1:]
    folders = [] if any(not each.startswith("-") for each in given) else [_corpus()]
    atheris.Setup([sys.argv[0], *given, *folders], one)
    atheris.Fuzz()
