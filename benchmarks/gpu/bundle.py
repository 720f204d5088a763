"""What travels to a machine with a GPU and no network: which wheels, which part of the kernels, in which pieces. Facts only.

The machine is expected to have Python 3.12, torch 2.11 for CUDA 13, transformers and nvcc; the versions follow from that torch.
"""

from __future__ import annotations

PYTHON = "3.12"
# pip takes no platform for another that is newer, so each glibc up to the machine's stands here.
PLATFORMS = (
    *(f"manylinux_2_{minor}_x86_64" for minor in range(34, 4, -1)),
    "manylinux2014_x86_64",
    "manylinux2010_x86_64",
)
PART = 60 * 1024 * 1024  # bytes of one piece; a limit of 64 MiB a transfer is common
WHEELS = (
    "sglang==0.5.16",
    "flashinfer-python==0.6.14",
    "xgrammar==0.2.1",
    "apache-tvm-ffi==0.1.11",
    "compressed-tensors==0.18.0",
    "llguidance>=1.7.6,<2",
    "openai==2.6.1",
    "openai-harmony==0.0.4",
    "partial_json_parser",
    "interegular",
    "pybase64",
    "msgspec",
    "orjson",
    "pyzmq",
    "setproctitle",
    "uvloop",
    "uvicorn",
    "starlette",
    "fastapi",
    "python-multipart",
    "prometheus-client",
    "einops",
    "tiktoken",
    "dill",
    "watchfiles",
    "zstandard",
    "xxhash",
    "distro",
    "nvidia-ml-py",
    "py-spy",
    "gguf",
    "loguru",
    "opentelemetry-api",
    "sentencepiece",
    "soundfile",
    "pytest",
    "pytest-xdist",
    "hypothesis",
    "httpx",
    "httpcore",
    "h11",
    "jsonschema",
    "referencing",
    "rpds-py",
    "jsonschema-specifications",
    "rich",
    "pygments",
    "markdown-it-py",
    "mdurl",
    "iniconfig",
    "pluggy",
    "execnet",
    "sortedcontainers",
)
# Of the kernel wheel only the Python files and the operators of one architecture travel (13 MB of 1.1 GB as tar.xz); the rest
# serves the attention backend that is not used.
KERNEL = "sglang-kernel==0.4.5"
KERNEL_OPERATORS = "sm90/common_ops.abi3.so"
ENGINE_ARGUMENTS = ("attention_backend=triton", "sampling_backend=pytorch", "context_length=2048")
