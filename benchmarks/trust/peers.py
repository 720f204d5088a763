"""python -m benchmarks.trust.peers [FILE] [--write docs/trust.md]: what other testers find, as a part of the page.

Without --write the part is printed; with it the part of that heading in the page is replaced, or put at its end. FILE is
what `benchmarks.peers --json` wrote; the newest is kept beside this module.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["HEADING", "KEPT", "replaced", "section"]

Json = dict[str, Any]
HEADING = "## Other testers"
KEPT = Path(__file__).with_name("peers.json")
OURS = "this suite"
VARIED = " Legal variations flagged |"
PLACES = {
    "answers": "whole answers",
    "chat": "answers of either kind",
    "chunks": "chunks",
    "errors": "refusals",
    "fields": "fields of a request",
    "frames": "events of a stream",
    "keys": "keys and limits",
    "models": "the list of models",
    "request": "reading a request",
    "service": "the service",
    "stream": "the course of a stream",
    "text": "the text",
    "tools": "tool calls",
    "transport": "HTTP",
    "usage": "usage",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Read, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trust.peers", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=KEPT)
    parser.add_argument("--write", type=Path, metavar="PAGE")
    options = parser.parse_args(arguments)
    text = "\n".join(section(json.loads(options.file.read_text(encoding="utf-8")))).rstrip("\n") + "\n"
    if options.write:
        options.write.write_text(replaced(options.write.read_text(encoding="utf-8"), text), encoding="utf-8")
    else:
        print(text, end="")
    return 0


def replaced(page: str, part: str) -> str:
    """The page with this part in place of the one of its heading."""
    before, found, rest = page.partition(HEADING)
    after = rest.partition("\n## ") if found else ("", "", "")
    return before.rstrip("\n") + "\n\n" + part.rstrip("\n") + "\n" + "".join(after[1:])


def section(document: Json) -> Iterator[str]:
    """The part, line by line."""
    testers, faults = document["testers"], document["faults"]
    yield f"{HEADING}\n"
    yield (
        f"{len(faults)} of the {document['applicable']} faults that break a row of the OpenAI document, drawn by chance and as many as the time given\n"
        "allowed, put through testers that others publish, the official Python client and Schemathesis, in one run on one machine. Each was\n"
        "given a URL, a key and a model, this suite too. A fault is found when what a tester says is worse than in every run on the correct server: another exit code, or a\n"
        "test that had always passed and does not. (Of this suite failed checks count alone.) The engine behind the server obeys the two\n"
        "sentences that apiwells and trustedrouter-provider-check say to a model; Schemathesis reads a description made of the dialect's facts.\n"
        "These faults are our own, and each is in the catalogue because a check of ours finds it: that this suite finds them says that it needs\n"
        "no more than a URL and a key to do so, and not that it would find as many of somebody else's.\n"
    )
    yield f"`{_command(document)}`, {document['when'][:10]}, {document['seconds']} s.\n"
    tried = any(entry["varied"] for entry in testers)
    yield f"| Tester | Faults found | Tests that fail on the correct server |{VARIED if tried else ''} Seconds a fault, beside other work |"
    yield f"|---|---|---|{'---|' if tried else ''}---|"
    for entry in testers:
        yield _row(entry, len(faults), tried=tried)
    yield ""
    yield from _together(testers, len(faults))
    yield from _by_place(testers, faults)
    for name, why in document["refused"].items():
        yield f"{name} could not be installed: {why}\n"


def _row(entry: Json, faults: int, *, tried: bool) -> str:
    hit = sum(map(bool, entry["found"].values()))
    alarms = str(len(entry["false_alarms"])) + (", now and then" if entry["unstable"] and entry["false_alarms"] else "")
    flagged = f" {sum(map(bool, entry['varied'].values()))} of {len(entry['varied'])} |" if tried else ""
    name = f"{entry['name']} {entry['version']}".strip()
    return (
        f"| {name}: {entry['about']} | {hit} ({hit / faults:.0%}) | {alarms} |{flagged} {entry['seconds_per_fault']} |"
    )


def _together(testers: list[Json], faults: int) -> Iterator[str]:
    found = {entry["name"]: {fault for fault, tests in entry["found"].items() if tests} for entry in testers}
    others = set().union(*(hits for name, hits in found.items() if name != OURS))
    ours = found.get(OURS, set())
    missed = sorted({fault for entry in testers for fault in entry["found"]} - ours)
    yield f"All others together find {len(others)} ({len(others) / faults:.0%}); {len(ours - others)} are found by this suite alone.\n"
    if missed:
        seen = "; ".join(f"`{fault}`" + (" (found by another)" if fault in others else "") for fault in missed)
        yield f"This suite missed {len(missed)}: {seen}.\n"
    flagged = {entry["name"]: [name for name, tests in entry["varied"].items() if tests] for entry in testers}
    said = [f"{name}: {', '.join(names)}" for name, names in flagged.items() if names]
    if any(entry["varied"] for entry in testers):
        yield f"Legal variations that were flagged: {'; '.join(said) or 'none'}.\n"


def _by_place(testers: list[Json], faults: dict[str, str]) -> Iterator[str]:
    total = Counter(faults.values())
    yield "| Where the fault is | Faults | " + " | ".join(entry["name"] for entry in testers) + " |"
    yield "|---|---|" + "---|" * len(testers)
    for place, count in sorted(total.items()):
        hits = [sum(bool(entry["found"][fault]) for fault, at in faults.items() if at == place) for entry in testers]
        yield f"| {PLACES.get(place, place)} | {count} | " + " | ".join(map(str, hits)) + " |"
    yield ""


def _command(document: Json) -> str:
    """The command that wrote the file, without this machine's folders."""
    return re.sub(r"(--homes) \S+", r"\1 DIR", re.sub(r" --json \S+", "", document["command"]))


if __name__ == "__main__":
    sys.exit(main())
