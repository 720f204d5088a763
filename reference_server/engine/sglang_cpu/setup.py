"""python -m reference_server.engine.sglang_cpu.setup --venv DIR: SGLang and this package on a machine without an accelerator.

Makes the virtual environment if it is not there, installs the recipe with pip from whatever index pip is configured for,
puts the kernel stand-in in its place and shows that everything imports. Running it again changes nothing and takes seconds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from reference_server.engine.sglang_cpu.recipe import STEPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reference_server.engine.sglang_cpu.recipe import Step

__all__ = ["SetupError", "install", "place_stand_in"]

HERE = Path(__file__).parent
PROJECT = HERE.parents[2]
CONSTRAINTS = HERE / "constraints.txt"
BOOT = "sglang_cpu_boot"
PTH = f"import {BOOT}; {BOOT}.install()\n"
PROVE = "import torch, torchvision, sgl_kernel, sglang, reference_server; print('sglang', sglang.__version__, 'torch', torch.__version__)"


class SetupError(RuntimeError):
    """A step failed; says which one and what the command was."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 when the environment is ready, 1 when a step failed."""
    parser = argparse.ArgumentParser(prog="python -m reference_server.engine.sglang_cpu.setup", description=__doc__)
    parser.add_argument("--venv", type=Path, required=True, metavar="DIR", help="made if it is not there")
    options = parser.parse_args(arguments)
    try:
        install(options.venv.absolute())
    except SetupError as error:
        sys.stderr.write(f"setup: {error}\n")
        return 1
    sys.stdout.write(f"ready: {options.venv.absolute() / 'bin' / 'python'}\n")
    return 0


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
