"""How SGLang is started: our defaults, what `--engine-arg KEY=VALUE` adds, and the environment of a CPU.

EngineError    the engine cannot be started or has died; says what to do about it
"""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["EngineError", "arguments", "check_model", "on_cpu", "parse", "prepare_environment", "share_cores"]

BOOT_HOOK = "sglang_cpu_boot"  # there where the CPU recipe was installed
# llguidance refuses a schema that it cannot hold; xgrammar leaves out keywords that it does not know, without a word.
DEFAULTS: Mapping[str, Any] = {
    "grammar_backend": "llguidance",
    "constrained_json_disable_any_whitespace": True,  # small models pad JSON without end when they may
    "enable_custom_logit_processor": True,  # for seeds; only the server itself ever sends one
    "log_level": "error",
}
# With a reasoning parser SGLang 0.5.23 takes its grammars from xgrammar only: what waits for the end of the thought asks the
# backend for methods that its llguidance backend does not have.
REASONING_DEFAULTS: Mapping[str, Any] = {"grammar_backend": "xgrammar"}
CPU_DEFAULTS: Mapping[str, Any] = {
    "device": "cpu",
    "attention_backend": "torch_native",
    "max_total_tokens": 16_384,  # the cache; SGLang would reserve two gigabytes
    "max_running_requests": 32,
    "sleep_on_idle": True,  # a scheduler without work would keep one core busy
}
# Threads that spin while they wait make decoding twelve times slower; the compiler costs far more than it saves on a CPU.
CPU_ENVIRONMENT: Mapping[str, str] = {
    "SGLANG_USE_CPU_ENGINE": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
    "TORCHDYNAMO_DISABLE": "1",
}
RANKS = ("dp_size", "tp_size", "pp_size")
CORES = "SGLANG_CPU_OMP_THREADS_BIND"  # the cores of each rank, with | between them
OURS = frozenset(("model_path", "tokenizer_worker_num", "incremental_streaming_output", "skip_tokenizer_init"))


class EngineError(RuntimeError):
    """The engine cannot be started, or has died."""


def on_cpu() -> bool:
    """Whether this environment is the one without an accelerator that the recipe makes."""
    return find_spec(BOOT_HOOK) is not None


def parse(given: Iterable[str]) -> dict[str, Any]:
    """The values of KEY=VALUE texts: JSON where VALUE is JSON (2, true, null, [1]), else text. Raises EngineError."""
    values: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        key = key.strip().lstrip("-").replace("-", "_")
        if not equals or not key.isidentifier():
            raise EngineError(f"--engine-arg {text!r} is not KEY=VALUE, as in dp_size=2")
        if key in OURS:
            raise EngineError(f"--engine-arg {key}: the server sets it itself")
        values[key] = _value(value)
    return values


def _value(text: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads({"True": "true", "False": "false", "None": "null"}.get(text, text))
    except ValueError:
        return text


def arguments(model: str, given: Mapping[str, Any], *, cpu: bool) -> dict[str, Any]:
    """All of SGLang's server arguments; what is given wins over what we prefer."""
    reasoning = REASONING_DEFAULTS if given.get("reasoning_parser") else {}
    return {**DEFAULTS, **reasoning, **(CPU_DEFAULTS if cpu else {}), **given, "model_path": model}


def prepare_environment(*, cpu: bool) -> None:
    """Set what SGLang and its libraries read when they are loaded; variables that are set already stay."""
    for name, value in (CPU_ENVIRONMENT if cpu else {}).items():
        os.environ.setdefault(name, value)


def share_cores(given: Mapping[str, Any]) -> None:
    """Give each process that computes a share of the CPU's cores. SGLang wants one NUMA node for each unless it is told theirs.

    Raises EngineError where there are more processes than cores.
    """
    ranks = prod(int(given.get(name) or 1) for name in RANKS)
    cores = sorted(os.sched_getaffinity(0))
    if ranks > len(cores):
        raise EngineError(f"--engine-arg: {' x '.join(RANKS)} is {ranks}, and there are {len(cores)} cores")
    if ranks > 1:
        shares = [cores[at * len(cores) // ranks : (at + 1) * len(cores) // ranks] for at in range(ranks)]
        os.environ.setdefault(CORES, "|".join(",".join(map(str, share)) for share in shares))


def check_model(model: str) -> None:
    """Raise EngineError for a folder that is not there or holds no model; a hub's name passes, and goes offline at once."""
    path = Path(model)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise EngineError(f"--model {model}: the folder holds no config.json, so it is no model")
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    elif path.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
        raise EngineError(
            f"--model {model}: there is no such folder; give a model's folder or the OWNER/NAME that a hub knows it by "
            "(python -m reference_server.engine.sglang_cpu.models makes two without a hub)"
        )
