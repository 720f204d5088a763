"""Installs each tester at its version into a folder of its own, so that none can disturb another, or this project."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import dialects
from benchmarks.peers.openapi import describe

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.peers.testers import Tester

__all__ = ["install"]


def install(tester: Tester, homes: Path) -> str | None:
    """None, or why it could not be installed. One that is there already is left alone."""
    home = homes / tester.name
    if not tester.install:
        return None
    home.mkdir(parents=True, exist_ok=True)
    if tester.name == "schemathesis":
        _describe(home)
    if (home / "installed").exists():
        return None
    for command in _commands(tester, home):
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
        if done.returncode:
            return (done.stderr or done.stdout).strip().splitlines()[-1][:300]
    (home / "installed").touch()
    return None


def _commands(tester: Tester, home: Path) -> list[list[str]]:
    kind, package = tester.install
    if kind == "npm":
        return [["npm", "install", "--silent", "--prefix", str(home), package]]
    pip = [str(home / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]
    return [[sys.executable, "-m", "venv", str(home)], pip]


def _describe(home: Path) -> None:
    """The two descriptions that Schemathesis reads."""
    facts = dialects.load("openai")
    for mode in ("positive", "negative"):
        document = describe(facts, narrow=mode == "positive")
        (home / f"openai-{mode}.json").write_text(json.dumps(document), encoding="utf-8")
