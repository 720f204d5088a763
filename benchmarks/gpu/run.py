"""On the machine with the GPU: unpack, install without a network, judge six dialects, compare with SGLang's own server.

    python run.py --out results.json [--work DIR]        (beside the pieces that pack.py made; nothing else is needed)

results.json holds the machine, the suite's table and the comparison; commit it as benchmarks/gpu/results-NAME.json.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main() -> int:
    """Exit status: 0 when everything ran and held, 1 otherwise; the results are written either way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("gpu-work"))
    parser.add_argument("--depth", default="smoke", choices=["smoke", "full"])
    options = parser.parse_args()
    work = options.work.absolute()
    root = unpack(HERE, work)
    python = install(root, work / "venv")
    steps = [
        _run("judge", [python, "benchmarks/sglang/judge.py", *_common(root), "--depth", options.depth, "--report", str(work / "report")], root),
        _run("compare", [python, "benchmarks/sglang/compare.py", *_common(root), "--length", "256", "--out", str(work / "compare.json")], root),
    ]  # fmt: skip
    results = {"machine": _machine(python), "steps": steps, "compare": _read(work / "compare.json")}
    options.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return 0 if not any(step["exit"] for step in steps) else 1


def unpack(pieces: Path, work: Path) -> Path:
    """Join the pieces and unpack them; the folder of their content."""
    work.mkdir(parents=True, exist_ok=True)
    archive = work / "bundle.tar.xz"
    with archive.open("wb") as whole:
        for piece in sorted(pieces.glob("bundle.tar.xz.*")):
            with piece.open("rb") as part:
                shutil.copyfileobj(part, whole)
    with tarfile.open(archive) as tar:
        tar.extractall(work, filter="data")
    return work / "bundle"


def install(root: Path, venv: Path) -> str:
    """An environment above the machine's own packages, so that its torch is used; its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", str(venv)], check=True)
    python = str(venv / "bin" / "python")
    wheels = sorted(map(str, (root / "wheels").glob("*.whl")))
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", *wheels], check=True)
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip())
    shutil.copytree(root / "kernel", site, dirs_exist_ok=True)
    (site / "chat_conformance.pth").write_text(f"{root / 'repository'}\n", encoding="utf-8")
    return python


def _common(root: Path) -> list[str]:
    sys.path.insert(0, str(root / "repository" / "benchmarks" / "gpu"))
    import bundle

    return [
        "--model",
        str(root / "model"),
        *(part for each in bundle.ENGINE_ARGUMENTS for part in ("--engine-arg", each)),
    ]


def _run(name: str, command: list[str], root: Path) -> dict[str, Any]:
    start = time.monotonic()
    done = subprocess.run(command, cwd=root / "repository", capture_output=True, text=True, check=False)
    print(f"== {name}: exit {done.returncode}\n{done.stdout}\n{done.stderr[-4000:]}", flush=True)
    return {"name": name, "exit": done.returncode, "seconds": round(time.monotonic() - start, 1), "output": done.stdout}


def _machine(python: str) -> dict[str, str]:
    code = "import torch, sglang; print(torch.cuda.get_device_name(0), torch.__version__, sglang.__version__, sep='|')"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    gpu, torch, sglang = (*done.stdout.strip().split("|"), "unknown", "unknown", "unknown")[:3]
    return {"gpu": gpu, "torch": torch, "sglang": sglang}


def _read(path: Path) -> Any:  # noqa: ANN401 - any JSON value
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
