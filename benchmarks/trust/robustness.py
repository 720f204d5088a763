"""python -m benchmarks.trust.robustness --write docs/trust.md: the newest figures on the faults, and on the suite itself.

What `benchmarks.matrix`, `benchmarks.streams` and `benchmarks.own_code` wrote with --json is kept beside this module. Each part
is put in the place of the one of its heading, or before the other testers.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["OWN_CODE", "STREAMS", "bytes_part", "own_code_part"]

Json = dict[str, Any]
STREAMS = Path(__file__).with_name("streams.json")
OWN_CODE = Path(__file__).with_name("own_code.json")
NEWEST = Path(__file__).with_name("matrix.json")
BEFORE = "\n## Other testers"
LEARNT = (
    "An event over the limit was discarded or not by how its bytes were split, and a comment over it took the next event along.",
    "Adding each piece of a call to what was there, and looking for the name that stands twice, took time in the square.",
    "A body in a million pieces of one byte was read to its end; 200,000 pieces are the limit now.",
)
LEARNT_OF_CODE = (
    "The JSON reader: no test asked which name stands twice, where a text stops being JSON, or that the list of departures ends.",
    "The decoder: `retry` and the case of names were in no test, and two assignments did nothing and are gone.",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Put the parts in."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trust.robustness", description=__doc__)
    parser.add_argument("--write", type=Path, metavar="PAGE", required=True)
    page = parser.parse_args(arguments).write
    text = page.read_text(encoding="utf-8")
    for path, part in ((NEWEST, newest_part), (STREAMS, bytes_part), (OWN_CODE, own_code_part)):
        if path.exists():
            text = _put(text, "\n".join(part(json.loads(path.read_text(encoding="utf-8")))))
    page.write_text(text, encoding="utf-8")
    return 0


def _put(page: str, part: str) -> str:
    """The page with this part in the place of the one of its heading, or before the other testers, or at the end."""
    heading = "\n" + part.partition("\n")[0] + "\n"
    before, found, rest = page.partition(heading)
    if found:
        _, follows, after = rest.partition("\n## ")
    else:
        before, follows, after = page.partition(BEFORE)
    return before.rstrip("\n") + "\n\n" + part.rstrip("\n") + "\n" + (f"{follows}{after}" if follows else "")


def newest_part(found: Json) -> Iterator[str]:
    """The newest run of the matrix, which may have ended at its time."""
    yield "## The newest run of the faults\n"
    quick = (
        " `--quick` leaves out the checks that try every field's values, where a fault is not one of reading requests."
    )
    yield (
        f"{found['when'][:10]}, on a machine with two cores that had other work ({found['seconds']} s, of which {found['processor_seconds']} s of a processor): "
        f"{found['faults']} of the\n{found['in_all']} faults that there are now, {found['runs']} runs, {found['applies']} with something to find: "
        f"{found['detected']} found, {found['exact']} runs with exactly the declared\nchecks red, {found['crashes']} crashes."
        f"{quick if '--quick' in found['command'] else ''}\n"
    )
    if found["different"]:
        yield "| Fault | Dialect | Not red | Red besides |\n|---|---|---|---|"
    for entry in found["different"]:
        missing, extra = (", ".join(entry[key]) or "-" for key in ("missing", "extra"))
        yield f"| {entry['fault']} | {entry['dialect']} | {missing} | {extra} |"
    yield ""


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


if __name__ == "__main__":
    sys.exit(main())
