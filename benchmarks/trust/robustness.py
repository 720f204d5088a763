"""The parts of the page that are about the suite itself: bytes that nobody would send, changes in our own code, a hunt.

What `benchmarks.streams` and `benchmarks.own_code` wrote with --json is kept beside this module; `hunt.json` was written by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HUNT", "OWN_CODE", "STREAMS", "bytes_part", "hunt_part", "own_code_part"]

Json = dict[str, Any]
STREAMS = Path(__file__).with_name("streams.json")
OWN_CODE = Path(__file__).with_name("own_code.json")
HUNT = Path(__file__).with_name("hunt.json")
LEARNT = (
    "An event over the limit was discarded or not by how its bytes were split, and a comment over it took the next event along.",
    "Adding each piece of a call to what was there, and looking for the name that stands twice, took time in the square.",
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
        "two dozen answers of one thing over and over, up to 16 MiB, and `tests/test_matrix_hostile.py` judges targets that flood, trickle, bomb or\n"
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


def hunt_part(found: Json) -> Iterator[str]:
    """What faults that were devised without a look at the catalogue showed."""
    yield "## Faults that the suite had not met\n"
    yield (
        f"The catalogue is ours, so it says little of faults that nobody here thought of. For a hunt ({found['when']}) {found['devised']} faults were\n"
        f"listed from the documents and from what servers get wrong, before a look at the catalogue, and {found['judged']} of them judged at full depth,\n"
        f"each in one dialect, by the suite as it was then: {found['must']} broke a MUST row, {found['other']} other rows alone, and **{found['missed']} broke none**.\n"
        f"Most of those are faults of fields together, of awkward texts, of the next request, or of numbers past the usual. The checks of\n"
        f"`{found['checks']}` and others came of it, and {found['added']} faults of the catalogue. Of the {found['missed']}, {found['again']} were tried again: "
        f"{found['now']} were\nfound; the others were not tried again.\n"
    )
    second = found["second"]
    yield (
        f"A second hunt, led by what had been left and by crossing simple faults with conditions (only with n, only in JSON, only streamed), had {second['judged']}\n"
        f"that act at all: **{second['missed']} broke no row** in the dialect in which they were tried. {second['added']} faults and a few checks came of it; of {second['again']} that were missed "
        f"{second['now']} are\nfound when tried again, the others were left or not tried.\n"
    )
    third = found["third"]
    yield (
        f"A third, by forms that no fault had, brought {third['added']} faults more. So a figure near 100 % above is of known faults. What is known to be missed:\n"
    )
    yield "\n".join(f"- {line}" for line in found["gaps"]) + "\n"
    yield (
        f"For the other side, some {found['servers']} correct servers were written from the documents, with choices other than ours wherever one is open, and\n"
        f"some {found['hostile']} hostile ones. They showed {found['alarms']} causes of false alarms, {found['must_alarms']} of them in MUST rows, all mended; and no crash. A second such server,\n"
        f"with {second['switches']} switches in all six dialects, was judged {second['judgings']} times: {second['alarms']} causes more, {second['must_alarms']} of them in MUST rows "
        f"(some found in reading the checks beside it), all mended. A third, with {third['switches']} switches, was judged {third['judgings']} times:\n"
        f"{third['alarms']} causes, {third['must_alarms']} in a MUST row, mended.\n"
    )
