"""python -m benchmarks.own_code [MODULE]... : changes in our own code that no test notices, found by mutmut.

Needs mutmut 3 (`pip install mutmut`, where the suite and its tests are installed). The modules that decide are copied with
their tests into a folder of their own, so that nothing here is changed. Writes what became of each mutant to --json and
prints the survivors with what was changed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
# A module that decides, and the tests that are about it: quick ones, without a server.
MODULES = {
    "wire/sse": ("test_wire_sse",),
    "wire/strict_json": ("test_wire_strict_json",),
    "fields": ("test_core_fields",),
    "schema": ("test_core_schema",),
    "reply": ("test_core_reply",),
    "judge": ("test_core_judge", "test_core_oracles"),
}
NEEDED = ("conformance", "dialects", "reports", "reference_server", "benchmarks", "tests", "pyproject.toml")
UNTRIED = "not checked"
KILLED = ("killed", "timeout", "caught by type check", "segfault")


def main(arguments: Sequence[str] | None = None) -> int:
    """Copy, mutate, print, write."""
    options = _parser().parse_args(arguments)
    started = time.time()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="conformance-own-code-"))
    _prepare(folder, options.modules or list(MODULES))
    ran = _mutmut(folder, "run", "--max-children", str(options.processes), seconds=options.minutes * 60)
    found = dict(_fates(_mutmut(folder, "results", "--all", "true").stdout))
    if not found:
        print(ran.stdout[-3000:], ran.stderr[-3000:], file=sys.stderr)
        return 1
    fates = {name: fate for name, fate in found.items() if fate != UNTRIED}
    survivors = {name: _change(folder, name) for name, fate in fates.items() if fate not in KILLED}
    document = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m benchmarks.own_code", *sys.argv[1:]]),
        "seconds": round(time.time() - started),
        "untried": len(found) - len(fates),
        "modules": _table(fates),
        "survivors": survivors,
    }
    if options.json:
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")
    for name, change in survivors.items():
        print(f"{name}: {fates[name]}\n{change}\n")
    for module, counts in document["modules"].items():
        print(f"{module}: {counts}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_code", description=__doc__)
    parser.add_argument("modules", nargs="*", choices=[*MODULES, []], help="these only; default: all that decide")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="end then, with what was tried; again with --folder goes on"
    )
    parser.add_argument("--folder", type=Path, help="work here; what was done there already is not done again")
    parser.add_argument("--json", type=Path, help="write what was found")
    return parser


def _prepare(folder: Path, modules: list[str]) -> None:
    """A copy of the repository that mutmut may change, with its configuration."""
    folder.mkdir(exist_ok=True)
    for name in NEEDED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    tests = dict.fromkeys(f"tests/{test}.py" for module in modules for test in MODULES[module])
    lists = {
        "source_paths": ["conformance"],
        "only_mutate": [f"conformance/{module}.py" for module in modules],
        "also_copy": [name for name in NEEDED if name not in ("conformance", "tests")],
        "pytest_add_cli_args_test_selection": list(tests),
        "pytest_add_cli_args": ["-p", "no:cacheprovider"],
    }
    lines = ["[mutmut]", *(f"{name}=\n    " + "\n    ".join(values) for name, values in lists.items())]
    (folder / "setup.cfg").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _mutmut(folder: Path, *arguments: str, seconds: float | None = None) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(each for each in sys.path if each and Path(each) != ROOT)
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-m", "mutmut", *arguments]
    try:
        return subprocess.run(
            command, cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 0, "", "the time is over")


def _fates(printed: str) -> list[tuple[str, str]]:
    """(mutant, what became of it), from a list in lines."""
    lines = [line.strip().rpartition(": ") for line in printed.splitlines() if "__mutmut_" in line]
    return [(name, fate) for name, _, fate in lines]


def _change(folder: Path, mutant: str) -> str:
    shown = _mutmut(folder, "show", mutant).stdout.splitlines()
    return "\n".join(line for line in shown if line[:1] in "+-" and line[:3] not in ("+++", "---"))


def _table(fates: dict[str, str]) -> dict[str, Any]:
    counts: dict[str, Counter[str]] = {}
    for name, fate in fates.items():
        module = name.partition("__mutmut_")[0].rpartition(".")[0]
        module = module.partition(".xǁ")[0]
        counts.setdefault(module, Counter())["killed" if fate in KILLED else fate] += 1
    return {module: dict(sorted(found.items())) for module, found in sorted(counts.items())}


if __name__ == "__main__":
    sys.exit(main())
