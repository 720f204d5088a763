"""Where the process that serves HTTP spends its CPU time while it streams: ours and SGLang's own, by whose code runs.

    python benchmarks/sglang/where.py --model DIR [--streams 8] [--length 200] [--seconds 15] [--engine-arg KEY=VALUE]...

py-spy, which SGLang's recipe brings, looks at the process 200 times a second; a sample belongs to the deepest frame that is known
to be somebody's. Multiplied with what the kernel counted for the process, and divided by the tokens that came out.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import load
import rig

from reference_server.engine.sglang_options import on_cpu

# Who owns a frame, by a part of it as py-spy writes it; what is in none of them is the frame's caller's.
OWNERS = {
    "reference_server/engine/": "ours: outputs to events",
    "reference_server/wire/": "ours: events to chunks",
    "Chat.dumps": "ours: chunks to JSON",
    "reference_server/sse.py": "ours: JSON to frames",
    "reference_server/__main__.py": "event loop",
    "reference_server/": "ours: the rest of a request",
    "uvicorn/_compat.py": "event loop",
    "uvicorn/server.py": "event loop",
    "uvicorn/": "uvicorn and the socket",
    "h11/": "uvicorn and the socket",
    "starlette/": "starlette",
    "fastapi/": "fastapi",
    "watchdog.py": "SGLang",
    "tokenizer_manager": "SGLang",
    "sglang/": "SGLang",
    "entrypoints/": "SGLang",
    "openai/": "SGLang",
    "zmq/": "SGLang",
    "msgspec/": "SGLang",
}
WAITING = ("Condition.wait", "_worker (concurrent")  # threads that have nothing to do and are sampled all the same


def main() -> None:
    """Print a table for each of the two servers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--length", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--engine-arg", action="append", default=[], metavar="KEY=VALUE", help="for both")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "server.log"
        with rig.ours(options.model, options.engine_arg, log) as server:
            _tell(server, options, Path(scratch) / "samples")
        with rig.theirs(options.model, options.engine_arg, log, cpu=on_cpu()) as server:
            _tell(server, options, Path(scratch) / "samples")


def _tell(server: rig.Server, options: argparse.Namespace, samples: Path) -> None:
    load.run(server.chat, server.model, rig.KEY, options.streams, options.streams, 8)  # not counted
    watch = Path(sys.executable).with_name("py-spy")
    command = [
        watch,
        "record",
        "-p",
        str(server.process.pid),
        "-d",
        str(options.seconds),
        "-r",
        "200",
        "-f",
        "raw",
        "-o",
        samples,
    ]
    before, tokens = server.cost()["http"], 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as watching:
        while watching.poll() is None:
            tokens += load.run(
                server.chat, server.model, rig.KEY, options.streams, options.streams, options.length
            ).tokens
    spent = (server.cost()["http"] - before) * 1e6 / tokens
    print(f"{server.name}: {spent:.0f} us of CPU time per token, {tokens} tokens")
    for owner, share in shares(samples.read_text(encoding="utf-8")).items():
        print(f"    {share * spent:6.1f}  {owner}")


def shares(samples: str) -> dict[str, float]:
    """Whose code ran in which share of the samples; `samples` are lines of frames with `;` between them and a count."""
    counted: Counter[str] = Counter()
    for line in samples.splitlines():
        stack, _, count = line.rpartition(" ")
        counted[_owner(stack.split(";"))] += int(count)
    counted.pop("waiting", None)
    total = sum(counted.values())
    return {owner: count / total for owner, count in counted.most_common()}


def _owner(frames: list[str]) -> str:
    if any(part in frames[-1] for part in WAITING):
        return "waiting"
    for frame in reversed(frames):
        for part, owner in OWNERS.items():
            if part in frame:
                return owner
    return "event loop"


if __name__ == "__main__":
    main()
