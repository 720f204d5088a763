"""python -m tests [pytest arguments]: style, types and tests, each step run even when one before it failed.

A plain list of commands instead of tox, so that one virtual environment and one install are enough; `tox` runs the same
steps apart, and the tests on the built wheel. Exit status: 0 when every step passed, else 1.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
STEPS = {
    "style": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "types": ["mypy"],
    "tests": ["pytest", "tests"],
}


def main(arguments: list[str]) -> int:
    results = {}
    for name, command in STEPS.items():
        extra = arguments if name == "tests" else []
        print(f"== {name}: {' '.join([*command, *extra])}", flush=True)
        start = time.monotonic()
        code = subprocess.run([sys.executable, "-m", *command, *extra], cwd=ROOT, check=False).returncode
        results[name] = (code, time.monotonic() - start)
    print(
        "\n".join(
            f"{name:8} {'ok' if not code else f'FAILED ({code})':12} {s:6.1f} s" for name, (code, s) in results.items()
        )
    )
    return int(any(code for code, _ in results.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
