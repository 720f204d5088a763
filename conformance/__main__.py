"""python -m conformance: list the checks, or write the traceability pages. Judging is `pytest --target URL`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from conformance.catalogue import checks, page
from dialects import DialectError, known, load


def main() -> int:
    """Exit status: 0, or 2 with one sentence."""
    options = _options()
    if options.what == "checks":
        for entry in checks().values():
            print(f"{entry.id:40} {'oracle' if entry.oracle else 'check ':6} {entry.says}")
        return 0
    try:
        pages = {name: page(load(name)) for name in options.dialect or known()}
    except DialectError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    for name, text in pages.items():
        if options.write:
            target = Path(options.write) / f"{Path(name).name}.md"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        else:
            print(text)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m conformance", description="What is judged, and by which checks.")
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("checks", help="the list of checks")
    requirements = commands.add_parser("requirements", help="the traceability page of each dialect")
    requirements.add_argument("dialect", nargs="*", help=f"{', '.join(known())} or a folder (default: all)")
    requirements.add_argument("--write", metavar="DIR", help="write a file for each dialect instead of printing")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
