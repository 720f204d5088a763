"""python -m loadtest list | show SCENARIO | options: the scenarios, one of them as TOML, the locustfile's own options.

Load is made by locust -f loadtest/locustfile.py, whose --help shows locust's options alone.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn

from loadtest import UsageError, scenarios
from loadtest.options import add_options
from loadtest.scenarios import toml_value
from loadtest.schedule import expected

USAGE = 4


def main(arguments: list[str] | None = None) -> int:
    """Print the scenarios, or one of them; 0, or 4 for a wrong call."""
    options = _options(arguments)
    if options.what == "show":
        return _show(options.scenario)
    if options.what == "options":
        ours = argparse.ArgumentParser(prog="locust -f loadtest/locustfile.py", add_help=False)
        add_options(ours)
        print(ours.format_help(), end="")
        return 0
    for name in scenarios.known():
        row = scenarios.load(name)
        print(f"{name:14} {row.seconds:6g} s {expected(row.stages):7.0f} requests  {row.title}")
    return 0


class _Parser(argparse.ArgumentParser):
    """Ends with the exit code that every usage error here has."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="python -m loadtest", description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True, metavar="list | show | options")
    commands.add_parser("list", help="every scenario in a line")
    commands.add_parser("show", help="what a scenario sends").add_argument("scenario")
    commands.add_parser("options", help="what the locustfile adds to locust's options")
    return parser.parse_args(arguments)


def _show(name: str) -> int:
    try:
        row = scenarios.load(name)
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return USAGE
    for field, value in row.table().items():
        if value is not None:
            print(f"{field} = {toml_value(value)}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # whoever reads the list has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
