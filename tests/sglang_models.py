"""Models for the tests of the live engine, made by the command that users have, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def prepared(name: str, cache: Path) -> str:
    """The folder of a model."""
    command = [sys.executable, "-m", "reference_server.engine.sglang_cpu.models", name, "--cache", str(cache)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1]
