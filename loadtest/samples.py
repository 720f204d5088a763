"""samples.jsonl: one Sample a line, written as it is known, so that a killed worker loses at most its last moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from pathlib import Path

    from loadtest.sample import Sample

__all__ = ["SampleFile", "forget", "join"]

NAME = "samples.jsonl"
PARTS = "samples.[0-9]*.jsonl"
LIMIT = 1 << 16


class SampleFile:
    """A worker's file in the report's folder; `worker` None is the only process of its run."""

    def __init__(self, folder: Path, worker: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / (NAME if worker is None else f"samples.{worker}.jsonl")
        self._worker = worker or 0
        self._lines: list[bytes] = []
        self._size = 0
        self._file = self.path.open("wb", buffering=0)

    def write(self, sample: Sample) -> None:
        """Add one line. Raises OSError when the disk takes no more."""
        line = orjson.dumps(sample)
        self._lines.append(line.replace(b'"worker":0}', b'"worker":%d}' % self._worker) if self._worker else line)
        self._size += len(line)
        if self._size > LIMIT:
            self.flush()

    def flush(self) -> None:
        """Hand all lines to the system."""
        if self._lines:
            data = b"\n".join(self._lines) + b"\n"
            self._lines, self._size = [], 0
            while data:
                data = data[self._file.write(data) :]

    def close(self) -> None:
        """Flush and close."""
        try:
            self.flush()
        finally:
            self._file.close()


def forget(folder: Path) -> None:
    """Remove what the workers of a run that was killed left there: it would be taken for this run's."""
    for part in folder.glob(PARTS):
        part.unlink()


def join(folder: Path) -> int:
    """Put the workers' files that are on this machine into one; whole lines only. How many lines."""
    parts = sorted(folder.glob(PARTS))
    lines = [line for part in parts for line in part.read_bytes().split(b"\n")[:-1] if line]
    if parts:
        (folder / NAME).write_bytes(b"".join(line + b"\n" for line in lines))
        for part in parts:
            part.unlink()
    return len(lines)
