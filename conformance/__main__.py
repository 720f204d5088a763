"""python -m conformance: list the checks, write the traceability pages, replay a report. Judging is `pytest --target URL`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from conformance.catalogue import checks, page, summary
from dialects import DialectError, known, load


def main() -> int:
    """Exit status: 0, or 2 with one sentence."""
    options = _options()
    if options.what == "checks":
        for entry in checks().values():
            print(f"{entry.id:40} {'oracle' if entry.oracle else 'check ':6} {entry.says}")
        return 0
    if options.what == "replay":
        return _replay(options)
    try:
        pages = {name: page(load(name)) for name in options.dialect or known()}
    except DialectError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    if options.write and not options.dialect:
        pages["README"] = summary(map(load, known()))
    for name, text in pages.items():
        if options.write:
            target = Path(options.write) / f"{Path(name).name}.md"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        else:
            print(text)
    return 0


def _replay(options: argparse.Namespace) -> int:
    from conformance.offline import told
    from reports.model import ReportError

    try:
        lines, code = told(options.report, options.id, options.dialect, options.profile)
    except ReportError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    encoding = sys.stdout.encoding or "ascii"
    for line in lines:
        print(line.encode(encoding, "backslashreplace").decode(encoding))
    return code


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m conformance", description="What is judged, and by which checks.")
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("checks", help="the list of checks")
    requirements = commands.add_parser("requirements", help="the traceability page of each dialect")
    requirements.add_argument("dialect", nargs="*", help=f"{', '.join(known())} or a folder (default: all)")
    requirements.add_argument("--write", metavar="DIR", help="write a file for each dialect instead of printing")
    replay = commands.add_parser("replay", help="run the checks again on the exchanges of a report, without a target")
    replay.add_argument("report", metavar="REPORT", help="report.json, or the folder that holds it")
    replay.add_argument("id", metavar="ID", nargs="?", help="a requirement or a check (default: all)")
    replay.add_argument("--dialect", metavar="NAME|PATH", help="whose document decides (default: the run's)")
    replay.add_argument(
        "--profile", metavar="FILE", help="the target's profile (default: the run's, where it still is)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # whoever reads has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
