"""Traces of real traffic: when each request came and how long prompt and answer were. Only times and lengths are used.

Mooncake-style    JSON lines with timestamp (ms), input_length, output_length
BurstGPT-style    CSV with Timestamp (s), Request tokens, Response tokens
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from loadtest import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Row", "read"]

WORDS_PER_TOKEN = 0.75
MOST = 10_000_000  # tokens of a prompt or an answer
BURST_COLUMNS = ("Timestamp", "Request tokens", "Response tokens")


@dataclass(frozen=True, slots=True)
class Row:
    """One request of a trace: `time` in seconds, `words` of the prompt, `answer` the token limit."""

    time: float
    words: int
    answer: int


def read(path: str) -> tuple[Row, ...]:
    """The rows of a trace file in the order of time. Raises UsageError that names the line."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"trace {path}: {error}") from error
    try:
        rows = list(_csv(path, text) if Path(path).suffix == ".csv" else _jsonl(path, text))
    except csv.Error as error:
        raise UsageError(f"trace {path}: {error}") from error
    if not rows:
        raise UsageError(f"trace {path}: no rows")
    return tuple(sorted(rows, key=lambda row: row.time))


def _jsonl(path: str, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            yield _row(float(row["timestamp"]) / 1000, row["input_length"], row["output_length"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise UsageError(
                f"trace {path}: line {number}: {error!r}; expected timestamp, input_length, output_length"
            ) from error


def _csv(path: str, text: str) -> Iterator[Row]:
    for number, row in enumerate(csv.DictReader(text.splitlines()), 2):
        try:
            time, asked, answered = (row[name] for name in BURST_COLUMNS)
            yield _row(float(time), asked, answered)
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(
                f"trace {path}: line {number}: {error!r}; expected the columns {', '.join(BURST_COLUMNS)}"
            ) from error


def _row(time: float, asked: str | float, answered: str | float) -> Row:
    if not all(map(isfinite, (time, float(asked), float(answered)))):
        raise ValueError(f"time {time}, lengths {asked} and {answered} must be finite")
    tokens, answer = int(float(asked)), int(float(answered))
    if time < 0 or not 0 <= tokens <= MOST or not 0 <= answer <= MOST:
        raise ValueError(f"time {time}, lengths {tokens} and {answer} must be 0 or more, lengths at most {MOST}")
    return Row(time, max(round(tokens * WORDS_PER_TOKEN), 1), max(answer, 1))
