"""`python -m loadtest list`: the scenarios, one a line."""

from __future__ import annotations

import sys

from loadtest import UsageError, scenarios
from loadtest.schedule import expected

USAGE = "usage: python -m loadtest list | show SCENARIO"


def main(arguments: list[str]) -> int:
    """Print the scenarios, or one of them as JSON; 0, or 4 for a wrong call."""
    if arguments == ["list"]:
        for name in scenarios.known():
            row = scenarios.load(name)
            print(f"{name:14} {row.seconds:6g} s {expected(row.stages):7.0f} requests  {row.title}")
        return 0
    if arguments[:1] == ["show"] and len(arguments[1:]) == 1:
        return _show(arguments[1])
    sys.stderr.write(USAGE + "\n")
    return 4


def _show(name: str) -> int:
    try:
        row = scenarios.load(name)
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return 4
    for field, value in row.table().items():
        print(f"{field} = {value!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
