"""Accuracy, rate and CPU against the calibrated server, the product and its peers in one run.

    python benchmarks/load/compare.py [--streams 512] [--rounds 20] [--repeat 3] [--clients product,rust,HttpUser,...]

Needs rustc, two cores, root for real-time priority (works without, with more noise). Peers that are not there are left out.
Where they are is told by the environment, so that each may live in an environment of its own:

    PEER_PYTHON    the interpreter that has openai, httpx and aiohttp (default: this one)
    VLLM_FILE      vllm's endpoint_request_func.py, run by PEER_PYTHON
    SGLANG_PYTHON  an interpreter that has sglang
    GUIDELLM, AIPERF, PEER_TOKENIZER   the programs, and a folder with a tokenizer

Each client runs --repeat times, in turn; the medians are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import rig

PEERS = rig.HERE / "peers"
SLOW_ROUNDS = {"openai": 2, "httpx": 2, "guidellm": 3, "aiperf": 3}
COLUMNS = ("ttft_p50", "ttft_p99", "itl_p50", "itl_p99", "of_ideal", "cpu_ms_per_1000", "server_late_p99")


def available() -> dict[str, list[str]]:
    """Each client's command, {placeholders} left open; those that cannot run here are absent."""
    asked = os.environ.get
    interpreter = asked("PEER_PYTHON", sys.executable)
    library, tools = [interpreter, str(PEERS / "library.py")], [sys.executable, str(PEERS / "tools.py")]
    users = [sys.executable, "-m", "locust", "-f", str(PEERS / "locust_users.py"), "--headless", "--only-summary"]
    found = {
        "product": [],
        "rust": [str(rig.build("client")), "{port}", "{streams}", "{requests}"],
        "HttpUser": [*users, "-u", "{streams}", "-r", "{streams}"],
        "FastHttpUser": [*users, "-u", "{streams}", "-r", "{streams}"],
    }
    found |= {name: library for name in ("openai", "httpx", "aiohttp") if has(interpreter, name)}
    if "aiohttp" in found and asked("VLLM_FILE"):
        found["vllm"] = library
    if asked("SGLANG_PYTHON"):
        found["sglang"] = [os.environ["SGLANG_PYTHON"], str(PEERS / "library.py")]
    if asked("PEER_TOKENIZER"):
        found |= {name: tools for name in ("guidellm", "aiperf") if asked(name.upper())}
    return found


def has(interpreter: str, package: str) -> bool:
    """Whether that interpreter can import that package."""
    words = [interpreter, "-c", f"import importlib.util as u, sys; sys.exit(u.find_spec({package!r}) is None)"]
    return subprocess.run(words, check=False).returncode == 0


def once(name: str, command: list[str], found: rig.Server, streams: int, rounds: int) -> dict[str, Any]:
    """One run of one client."""
    requests = streams * min(rounds, SLOW_ROUNDS.get(name, rounds))
    if name == "product":
        folder = Path(tempfile.mkdtemp())
        loop = ["--closed-loop", "-u", str(streams), "-r", str(streams), "--requests", str(requests), "-t", "300s"]
        facts, said = rig.run(found, rig.product(found.url, folder, *loop), streams=streams)
        try:
            row = facts | rig.product_result(folder)
        except (OSError, ValueError):
            print(said[-2000:])
            raise
        row.pop("document")
        shutil.rmtree(folder)
        return row
    words = [word.format(port=found.port, streams=streams, requests=requests) for word in command]
    facts, said = rig.run(
        found,
        words,
        streams=streams,
        TARGET=found.url,
        STREAMS=str(streams),
        REQUESTS=str(requests),
        PEER=name,
        TOOL=os.environ.get(name.upper(), ""),
    )
    lines = [line for line in said.splitlines() if line.startswith("{") and "ttft_p50" in line]
    if not lines:
        print(f"{name}: no result: {said[-400:]}")
        return facts
    own = json.loads(lines[-1])
    return own | facts


def main() -> None:
    """Run every client and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--streams", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--clients", default="")
    asked = parser.parse_args()
    clients = available()
    chosen = [name for name in (asked.clients.split(",") if asked.clients else clients) if name in clients]
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
    with rig.server() as found:
        for _ in range(asked.repeat):
            for name in chosen:
                rows[name].append(once(name, clients[name], found, asked.streams, asked.rounds))
    print(
        f"{asked.streams} streams, true TTFT {rig.TTFT_MS} ms, true ITL {rig.ITL_MS} ms, medians of {asked.repeat}; load {os.getloadavg()}"
    )
    print(f"{'client':14}" + "".join(f"{column:>16}" for column in COLUMNS) + "  verdicts")
    for name in chosen:
        figures = "".join(f"{rig.middle(rows[name], column):16.3f}" for column in COLUMNS)
        print(f"{name:14}{figures}  {' '.join(row['verdict'] for row in rows[name] if 'verdict' in row)}")


if __name__ == "__main__":
    main()
