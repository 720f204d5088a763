"""The parts of the page on what the suite itself withstands: bytes that nobody would send, and changes of its own code.

The newest figures are kept beside this module: `benchmarks.streams --json` and `benchmarks.own_code --json` wrote them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OWN_CODE", "STREAMS", "bytes_part", "own_code_part"]

Json = dict[str, Any]
STREAMS = Path(__file__).with_name("streams.json")
OWN_CODE = Path(__file__).with_name("own_code.json")
LEARNT = (
    "An event over the limit was discarded or not by how its bytes were split, and a comment over it took the next event along.",
    "Adding each piece of a call to what was there, and looking for the name that stands twice, took hours in an answer of 16 MiB.",
    "A body in a million pieces of one byte was read to its end; 200,000 pieces are the limit now.",
)
LEARNT_OF_CODE = (
    "The JSON reader: no test asked which name stands twice, where a text stops being JSON, or that the list of departures ends.",
    "The decoder: `retry` and the case of names were in no test, and two assignments did nothing and are gone.",
)


def bytes_part(found: Json) -> Iterator[str]:
    """What a million spoiled streams showed."""
    yield "## Bytes that nobody would send\n"
    yield (
        f"`{found['command']}` ({found['when'][:10]}, {found['seconds']} s): {found['streams']} streams ({found['bytes']} bytes) by a grammar,\n"
        "spoiled in up to six ways each, went through the decoder whole, in pieces and byte by byte, and had to come to the same events,\n"
        "facts and byte ranges as a second, plain reading of the standard, with no more bytes held than the limit. "
        f"{found['read']} answers were\nfolded from them for two cuts each, {found['exchanges']} went as HTTP through the whole client, "
        f"{found['judged']} before every oracle of\nthe openai dialect. Broken: {len(found['broken'])}. The slowest took {found['slowest']:.2f} s of the processor, "
        f"and no process had more than {found['memory'] // 1024} MiB.\n"
    )
    yield (
        "`python -m benchmarks.streams.guided` holds the same invariants led by coverage (atheris), `python -m benchmarks.streams.large` reads\n"
        "two dozen answers of 16 MiB of one thing over and over, and `tests/test_matrix_hostile.py` judges targets that flood, trickle, bomb or\n"
        "lie over real sockets. What this taught:\n"
    )
    yield "\n".join(f"- {line}" for line in LEARNT) + "\n"


def own_code_part(found: Json) -> Iterator[str]:
    """What became of changes in our own code."""
    yield "## Changes in our own code\n"
    modules = found["modules"]
    total = sum(sum(counts.values()) for counts in modules.values())
    killed = sum(counts.get("killed", 0) for counts in modules.values())
    yield (
        f"`{found['command']}` ({found['when'][:10]}): mutmut changed modules that decide in {total} ways; the tests that are about each\n"
        f"module noticed {killed} ({killed / total:.1%}). {found['untried']} more changes were not tried in the time that there was.\n"
    )
    yield "| Module | Changes | Noticed | Not noticed |\n|---|---|---|---|"
    for module, counts in modules.items():
        every, seen = sum(counts.values()), counts.get("killed", 0)
        yield f"| `{module}` | {every} | {seen} | {every - seen} |"
    yield ""
    yield "What it taught:\n"
    yield "\n".join(f"- {line}" for line in LEARNT_OF_CODE) + "\n"
