"""python -m benchmarks.peers.ours URL MODEL: this suite at full depth, given what the others are given: no profile, no levers.

The checks, oracles and judge of `pytest --target`, in one process without pytest around them (`benchmarks/matrix/suite.py`;
`tests/test_matrix_faults.py` compares the two). Prints the verdict of every check as one JSON object.
"""

from __future__ import annotations

import json
import sys

from benchmarks.matrix.suite import Suite
from conformance.profile import Profile

DIALECT = "openai"


def main() -> int:
    """Judge and print. Exit status 1 when a check failed."""
    url, model = sys.argv[1:]
    report = Suite(DIALECT, Profile(models={"chat": model})).run(url)
    verdicts = {check.id: check.verdict for check in report.checks}
    print(json.dumps(verdicts))
    return int("fail" in verdicts.values())


if __name__ == "__main__":
    sys.exit(main())
