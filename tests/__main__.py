"""python -m tests [pytest arguments]: style, types, tests and the real engine, each step run even when one before it failed.

A plain list of commands instead of tox, so that one virtual environment and one install are enough; `tox` runs the same
steps apart, and the tests on the built wheel. The last step is `tox -e sglang`: the server on SGLang, in an environment of its
own of 2.8 GB. It is left out, with the reason, where pytest arguments are given and where the machine cannot run it.
Exit status: 0 when every step passed, else 1.
"""

from __future__ import annotations

import signal
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
    "sglang": ["tox", "-q", "-e", "sglang"],
}
LIMIT = 20 * 60.0  # seconds that the real engine may take, its installation included
MOMENT = 60.0  # seconds to end what it started


def main(arguments: list[str]) -> int:
    results: dict[str, tuple[int, str, float]] = {}
    for name, command in STEPS.items():
        start = time.monotonic()
        if name == "sglang" and (reason := why_not_sglang(arguments)):
            results[name] = (0, f"left out: {reason}", 0.0)
            continue
        extra = arguments if name == "tests" else []
        print(f"== {name}: {' '.join([*command, *extra])}", flush=True)
        code = run([sys.executable, "-m", *command, *extra], LIMIT if name == "sglang" else None)
        results[name] = (code, f"FAILED ({code})" if code else "ok", time.monotonic() - start)
    print("\n".join(f"{name:8} {said:12} {seconds:6.1f} s" for name, (_, said, seconds) in results.items()))
    return int(any(code for code, _, _ in results.values()))


def why_not_sglang(arguments: list[str]) -> str | None:
    """Why the real engine is left out, None when it is not."""
    if arguments:
        return "the arguments choose among the other tests"
    where = [sys.executable, "-m", "reference_server.engine.sglang_cpu.setup", "--venv", ".tox/sglang", "--check"]
    check = subprocess.run(where, cwd=ROOT, capture_output=True, text=True, check=False)
    return (
        check.stderr.removeprefix("setup: ").strip() or f"its check ended with {check.returncode}"
        if check.returncode
        else None
    )


def run(command: list[str], limit: float | None) -> int:
    """The exit status of a command; one that takes longer than the limit is interrupted, as Ctrl-C would, and has failed."""
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            print(f"interrupted after {limit} s", flush=True)
            process.send_signal(signal.SIGINT)
        try:
            return process.wait(MOMENT) or 1
        except subprocess.TimeoutExpired:
            process.kill()
            return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
