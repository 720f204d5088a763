"""python -m benchmarks.trust [--matrix F] [--mutants F] [--alarms F] [--write docs/trust.md]: what the suite finds, as a page.

The files are what `benchmarks.matrix`, `benchmarks.mutants` and `benchmarks.alarms` write with --json, by default those kept
here. Figures come from them alone; a file that is missing leaves its part out.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.trust import peers, robustness

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Json = dict[str, Any]
KEPT = Path(__file__).parent
WHOLE = KEPT / "whole.json"  # what `benchmarks.matrix --whole --json` wrote
HEAD = """# What the suite finds, and what it leaves alone

A verdict is worth what its judge is worth, so the judge is measured: with servers that are wrong on purpose, with correct answers
that were spoiled on their way, and with correct servers that differ in whatever a document leaves open. This page is made by
`python -m benchmarks.trust` from what the commands below wrote.
"""

# Faults that were tried and left out of the catalogue, as what else they turn red is chance.
MISSED = (
    ("every third whole answer has no text", "found wherever tokens are counted; which other checks meet it is chance"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read, write."""
    options = _parser().parse_args(arguments)
    matrix, mutants, alarms = (_read(path) for path in (options.matrix, options.mutants, options.alarms))
    parts = [HEAD, *_summary(matrix, mutants, alarms)]
    parts += [*_faults(matrix, _read(WHOLE))] if matrix else []
    parts += [*_mutants(mutants)] if mutants else []
    parts += [*_alarms(alarms)] if alarms else []
    for path, part in (
        (robustness.HUNT, robustness.hunt_part),
        (robustness.STREAMS, robustness.bytes_part),
        (robustness.OWN_CODE, robustness.own_code_part),
    ):
        parts += [*part(_read(path))] if path.exists() else []
    parts += [*peers.section(_read(options.peers))] if options.peers.exists() else []
    text = "\n".join(parts).rstrip("\n") + "\n"
    if options.write:
        options.write.write_text(text, encoding="utf-8")
    else:
        print(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trust", description=__doc__)
    for name in ("matrix", "mutants", "alarms"):
        kept = KEPT / f"{name}.json"
        parser.add_argument(
            f"--{name}", type=Path, metavar="FILE", default=kept, help=f"what `benchmarks.{name} --json FILE` wrote"
        )
    parser.add_argument(
        "--peers", type=Path, default=peers.KEPT, help="of `benchmarks.peers`; default: the one kept here"
    )
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the page instead of printing it")
    return parser


def _read(path: Path | None) -> Json:
    return json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else {}


def _summary(matrix: Json, mutants: Json, alarms: Json) -> Iterator[str]:
    yield "| What | Figure | Of | Command |\n|---|---|---|---|"
    if matrix:
        yield _row("Faults found by the checks that should", matrix["detected"], matrix["applies"], "matrix", matrix)
        yield _row(
            "Runs in which exactly the declared checks are red", matrix["exact"], matrix["runs"], "matrix", matrix
        )
    if mutants:
        yield _row("Spoiled answers noticed", mutants["killed"], mutants["killable"], "mutants", mutants)
    if alarms:
        yield _row("False alarms", len(alarms["alarms"]), f"{alarms['runs']} runs", "alarms", alarms)
    crashes = matrix.get("crashes", 0) + mutants.get("crashed", 0)
    yield f"| Crashes of the suite | {crashes} | the runs of both | |"
    yield ""


def _row(what: str, count: int, of: int | str, command: str, found: Json) -> str:
    share = f" ({count / of:.1%})" if isinstance(of, int) and of else ""
    return (
        f"| {what} | {count}{share} | {of} | `{_command(found, command)}`, {found['when'][:10]}, {found['seconds']} s |"
    )


def _command(found: Json, name: str) -> str:
    """The command that wrote a file, without where it wrote to."""
    return re.sub(r" --json \S+", "", found.get("command", f"python -m benchmarks.{name}"))


def _faults(matrix: Json, whole: Json) -> Iterator[str]:
    yield "## Faults on purpose\n"
    yield (
        f"The reference server had {matrix['faults']} faults then (`python -m reference_server --fault list`), each with the checks that it\n"
        f"turns red. Every fault was judged in every dialect: {matrix['runs']} runs, of which {matrix['applies']} have something to find.\n"
        f"{_reach(matrix, whole)}"
        f"{matrix['variation_runs']} more runs were of the legal variations ({', '.join(matrix['variations']) or 'none'}), in which no\n"
        f"verdict may change; {len(matrix['false_alarms'])} did.\n"
    )
    yield (
        "What a fault declares was written after a look at what it turned red and at the document. So these figures say that the red checks\n"
        "are the same each time and no others, not that somebody foretold them. Tried and left out, because the red checks are not the same each time:\n"
    )
    yield "\n".join(f"- {what}: {where}" for what, where in MISSED) + "\n"
    if matrix["different"]:
        yield "Where the red checks were not the declared ones:\n\n| Fault | Dialect | Not red | Red besides |\n|---|---|---|---|"
        for entry in matrix["different"]:
            missing, extra = (", ".join(entry[key]) or "-" for key in ("missing", "extra"))
            yield f"| {entry['fault']} | {entry['dialect']} | {missing} | {extra} |"
        yield ""


def _reach(matrix: Json, whole: Json) -> str:
    """Which checks judged a fault, and what all of them said."""
    if matrix.get("whole", True):
        return ""
    said = (
        "A fault is judged by the checks that would meet it: a server that watches tells in a sound run which faults would have changed\n"
        "an answer to which check (`reference_server/witness.py`); answers that stay as they are can turn nothing red. "
    )
    if not whole:
        return said + "\n"
    return said + (
        f"With every\ncheck in every run (`--whole`, {whole['when'][:10]}, {whole['faults']} faults then, {whole['seconds']} s) "
        f"{whole['exact']} of {whole['runs']} runs are exact and {whole['detected']} of {whole['applies']} found.\n"
    )


def _mutants(mutants: Json) -> Iterator[str]:
    yield "## Spoiled answers\n"
    yield (
        f"Between the suite and a correct server stands a proxy that spoils answers in one way at a time: members of their JSON, events\n"
        f"of their streams, bytes, status, headers, length, connection. Of {mutants['tried']} such mutants {mutants['effective']} changed an\n"
        f"answer, {mutants['equivalent']} of them to another correct one. {mutants['killed']} were noticed; "
        f"{mutants['killable'] - mutants['killed']} were not.\n"
    )
    yield "| Dialect | Noticed | Not noticed or correct | Without effect |\n|---|---|---|---|"
    for name, fates in sorted(mutants["by_dialect"].items()):
        yield f"| {name} | {fates.get('killed', 0)} | {fates.get('survived', 0)} | {fates.get('without effect', 0)} |"
    yield "\nWhat was not noticed:\n"
    for name, where in sorted(mutants["survivors"].items()):
        yield f"- `{name}` ({', '.join(where)})"
    yield "\nWhy the others are correct answers, as `benchmarks/mutants/equivalents.py` says, which was written after a look at each:\n"
    for reason, count in sorted(mutants["equivalents"].items(), key=lambda item: -item[1]):
        yield f"- {count}: {reason}"
    yield ""


def _alarms(alarms: Json) -> Iterator[str]:
    yield "## Correct servers\n"
    yield (
        f"{alarms['runs']} runs at depth {alarms['depth']} ({alarms['requests']} requests), each with a seed of its own and up to three legal\n"
        f"variations at once. A false alarm is any check whose verdict differs from the plain server's.\n"
    )
    times: dict[str, int] = defaultdict(int, alarms["by_variation"])
    yield "| Variation | Runs |\n|---|---|"
    for name in sorted(times):
        yield f"| {name} | {times[name]} |"
    if alarms["alarms"]:
        yield "\nFalse alarms:\n"
        for alarm in alarms["alarms"]:
            yield f"- {alarm['dialect']}, {'+'.join(alarm['vary']) or 'no variation'}: {alarm['says']}"
    yield ""


if __name__ == "__main__":
    sys.exit(main())
