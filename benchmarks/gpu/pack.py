"""Packs everything that `run.py` needs on a machine with a GPU and no network, in pieces of at most 60 MB. Run it with a network.

    python benchmarks/gpu/pack.py --out DIR [--model DIR]

DIR receives `run.py` and `bundle.tar.xz.00`, `.01`, ...; carry all of it. The model defaults to tiny-qwen3 out of the cache of
`reference_server.engine.sglang_cpu.models`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import bundle

ROOT = Path(__file__).parents[2]
MODEL = Path.home() / ".cache" / "chat-conformance" / "models" / "tiny-qwen3"


def main() -> None:
    """Download, trim, compress, cut."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=MODEL)
    options = parser.parse_args()
    if not (options.model / "config.json").is_file():
        raise SystemExit(
            f"{options.model}: no model there; python -m reference_server.engine.sglang_cpu.models tiny makes one"
        )
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        content = Path(scratch) / "bundle"
        (content / "wheels").mkdir(parents=True)
        download(bundle.WHEELS, content / "wheels")
        trim_kernel(Path(scratch) / "kernel", content / "kernel")
        checkout(content / "repository")
        shutil.copytree(options.model, content / "model")
        archive = Path(scratch) / "bundle.tar.xz"
        with tarfile.open(archive, "w:xz") as tar:
            tar.add(content, "bundle")
        pieces = cut(archive, options.out, bundle.PART)
    shutil.copy(Path(__file__).with_name("run.py"), options.out)
    print(f"{len(pieces)} pieces, {sum(piece.stat().st_size for piece in pieces) / 1e6:.0f} MB in {options.out}")


def download(requirements: tuple[str, ...], folder: Path) -> None:
    """Wheels for the machine's Python, without their dependencies: what it has already must not be replaced."""
    platforms = [part for platform in bundle.PLATFORMS for part in ("--platform", platform)]
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        str(folder),
    ]
    subprocess.run([*command, "--python-version", bundle.PYTHON, *platforms, *requirements], check=True)


def trim_kernel(folder: Path, place: Path) -> None:
    """The kernel wheel without the operators of other architectures and other attention backends."""
    folder.mkdir()
    download((bundle.KERNEL,), folder)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith((".py", bundle.KERNEL_OPERATORS)) or ".dist-info/" in name:
                archive.extract(name, place)


def checkout(place: Path) -> None:
    """The committed files of this repository."""
    archive = place.with_suffix(".tar")
    subprocess.run(["git", "archive", "--output", str(archive), "HEAD"], cwd=ROOT, check=True)  # noqa: S607 - git, wherever it is
    with tarfile.open(archive) as tar:
        tar.extractall(place, filter="data")
    archive.unlink()


def cut(archive: Path, folder: Path, size: int) -> list[Path]:
    """The archive in numbered pieces of that size."""
    for old in folder.glob("bundle.tar.xz.*"):
        old.unlink()
    pieces = []
    with archive.open("rb") as whole:
        while data := whole.read(size):
            pieces.append(folder / f"bundle.tar.xz.{len(pieces):02}")
            pieces[-1].write_bytes(data)
    return pieces


if __name__ == "__main__":
    main()
