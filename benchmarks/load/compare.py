"""Accuracy, rate and CPU against the calibrated server, the product and its peers in one run.

    python benchmarks/load/compare.py [--streams 512] [--rounds 20] [--repeat 3] [--clients product,rust,HttpUser,...]

Needs rustc, two cores, root for real-time priority (works without, with more noise). Peers that are not installed are left out:
aiohttp and the file of VLLM_FILE for vllm. PEER_PYTHON may name the interpreter of another environment that holds them. Each client runs --repeat times, in turn; the medians are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import rig

PEERS = rig.HERE / "peers"
SLOW_ROUNDS = {"openai": 2, "httpx": 2}
COLUMNS = ("ttft_p50", "ttft_p99", "itl_p50", "itl_p99", "of_ideal", "cpu_ms_per_1000", "server_late_p99")


def available() -> dict[str, list[str]]:
    """Each client's command, {placeholders} left open; those that cannot run here are absent."""
    python, library = sys.executable, [os.environ.get("PEER_PYTHON", sys.executable), str(PEERS / "library.py")]
    found = {
        "product": [],
        "rust": [str(rig.build("client")), "{port}", "{streams}", "{requests}"],
        "HttpUser": [
            python,
            "-m",
            "locust",
            "-f",
            str(PEERS / "locust_users.py"),
            "--headless",
            "--only-summary",
            "-u",
            "{streams}",
            "-r",
            "{streams}",
        ],
        "FastHttpUser": [],
        "openai": library,
        "httpx": library,
    }
    found["FastHttpUser"] = found["HttpUser"]
    if find_spec("aiohttp") or "PEER_PYTHON" in os.environ:
        found["aiohttp"] = found["httpx"]
        if os.environ.get("VLLM_FILE"):
            found["vllm"] = found["httpx"]
    return found


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
        found, words, streams=streams, TARGET=found.url, STREAMS=str(streams), REQUESTS=str(requests), PEER=name
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
