"""python -m reference_server.engine.sglang_cpu.setup --venv DIR: SGLang and this package on a machine without an accelerator.

Makes the virtual environment if it is not there, installs the recipe with pip from whatever index pip is configured for,
puts the kernel stand-in in its place and shows that everything imports. Running it again changes nothing and takes seconds.
`--check` only says whether this machine and pip's indexes have what it needs.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from reference_server.engine.sglang_cpu.recipe import DISK, MEMORY, STEPS, TORCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reference_server.engine.sglang_cpu.recipe import Step

__all__ = ["SetupError", "install", "obstacle", "place_stand_in"]

HERE = Path(__file__).parent
PROJECT = HERE.parents[2]
CONSTRAINTS = HERE / "constraints.txt"
BOOT = "sglang_cpu_boot"
PTH = f"import {BOOT}; {BOOT}.install()\n"
PROVE = "import torch, torchvision, sgl_kernel, sglang, reference_server; print('sglang', sglang.__version__, 'torch', torch.__version__)"


class SetupError(RuntimeError):
    """A step failed; says which one and what the command was."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 when the environment is ready, 1 when something is lacking or a step failed."""
    parser = argparse.ArgumentParser(prog="python -m reference_server.engine.sglang_cpu.setup", description=__doc__)
    parser.add_argument("--venv", type=Path, required=True, metavar="DIR", help="made if it is not there")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit status 1 when it could not work here"
    )
    options = parser.parse_args(arguments)
    venv = options.venv.absolute()
    lacking = obstacle(venv)
    try:
        if not lacking and not options.check:
            install(venv)
            sys.stdout.write(f"ready: {venv / 'bin' / 'python'}\n")
    except SetupError as error:
        lacking = str(error)
    if lacking:
        sys.stderr.write(f"setup: {lacking}\n")
    return 1 if lacking else 0


def obstacle(venv: Path) -> str | None:
    """What this machine lacks, in words that say what to do about it; None when nothing does."""
    if sys.platform != "linux":
        return f"SGLang serves on Linux only, and this is {sys.platform}"
    if (memory := _available_memory()) < MEMORY:
        return f"{memory >> 20} MiB of memory are free; a server needs {MEMORY >> 20}"
    if _has(venv, TORCH):
        return None
    if (free := shutil.disk_usage(_existing(venv)).free) < DISK:
        return f"{free >> 20} MiB are free where {venv} would lie; it needs {DISK >> 20}"
    offered = subprocess.run(_offers("torch"), capture_output=True, text=True, check=False).stdout  # noqa: S603 - our own command
    if not re.search(rf"(?<![\w.+]){re.escape(TORCH)}(?![\w.+])", offered):
        return (
            f"pip's indexes offer no torch {TORCH} for this Python, and any other brings gigabytes of CUDA; give pip an index or a "
            "folder that has it (extra-index-url or find-links in its configuration)"
        )
    return None


def _available_memory() -> int:
    """Bytes that a new process could have without swapping."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1]) * 1024 if found else MEMORY


def _has(venv: Path, torch: str) -> bool:
    """Whether the environment holds this build of torch already."""
    return any(venv.glob(f"lib/python*/site-packages/torch-{torch}.dist-info"))


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(each for each in (path, *path.parents) if each.exists())


def _offers(name: str) -> list[str]:
    """The command that prints which versions of a package this Python could install; nothing is downloaded."""
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", "index", "versions", name]


def install(venv: Path) -> None:
    """Everything, in order; each step leaves alone what is already as it should be."""
    python = venv / "bin" / "python"
    if not python.exists():
        _run("make the environment", [sys.executable, "-m", "venv", str(venv)])
    for number, step in enumerate(STEPS, start=1):
        _pip(f"install step {number} of {len(STEPS)}", python, *_arguments(step))
    _pip("install chat-conformance", python, "--constraint", str(CONSTRAINTS), *_ourselves())
    place_stand_in(_site_packages(python))
    _run("import it all", [str(python), "-c", PROVE], environment=_quiet())


def place_stand_in(site_packages: Path) -> None:
    """Copy the stand-in and the boot hook where the environment's interpreter finds them."""
    if any(site_packages.glob("sg*kernel-*.dist-info")):
        raise SetupError(f"{site_packages}: a real kernel package is installed there; the stand-in would hide it")
    package = site_packages / "sgl_kernel"
    package.mkdir(exist_ok=True)
    shutil.copyfile(HERE / "stand_in.py", package / "__init__.py")
    shutil.copyfile(HERE / "boot.py", site_packages / f"{BOOT}.py")
    (site_packages / f"{BOOT}.pth").write_text(PTH, encoding="utf-8")


def _arguments(step: Step) -> list[str]:
    alone = [] if step.dependencies else ["--no-deps"]
    return ["--constraint", str(CONSTRAINTS), *alone, *step.requirements]


def _ourselves() -> list[str]:
    """The checkout, editable; where there is none, the released version that is running."""
    if (PROJECT / "pyproject.toml").exists():
        return ["--editable", str(PROJECT)]
    return [f"chat-conformance=={version('chat-conformance')}"]


def _site_packages(python: Path) -> Path:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter
    return Path(found.stdout.strip())


def _pip(what: str, python: Path, *arguments: str) -> None:
    _run(what, [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments])


def _run(what: str, command: list[str], environment: dict[str, str] | None = None) -> None:
    sys.stdout.write(f"setup: {what}\n")
    sys.stdout.flush()
    if subprocess.run(command, check=False, env=environment).returncode:  # noqa: S603 - our own commands
        raise SetupError(f"could not {what}; the command was: {' '.join(command)}")


def _quiet() -> dict[str, str]:
    """The environment of a machine without an accelerator, which SGLang otherwise warns about."""
    return {**os.environ, "SGLANG_USE_CPU_ENGINE": "1"}


if __name__ == "__main__":
    sys.exit(main())
