"""The reference server and SGLang's own HTTP server side by side: same model, same machine, same load, in turns.

    python benchmarks/sglang/compare.py --model DIR [--rounds N] [--streams 1 8 32] [--out FILE.json]

Both run at once (their schedulers sleep when idle); each round loads the one and then the other, and the order changes from
round to round, so that a machine that gets busier hits both. A ratio is the median over rounds of the ratio within a round.
CPU time is what the kernel counted for each process during its own rounds, divided by the tokens that came out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import load
import rig

from reference_server.engine.sglang_options import on_cpu

AT_LEAST, AT_MOST = 0.97, 1.05  # of their output rate; of their time to the first token


def main() -> int:
    """Exit status: 0 when both bounds hold at every number of streams, 1 when one does not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--requests", type=int, default=4, help="per stream and round, at most 64 in all")
    parser.add_argument("--length", type=int, default=64, help="tokens of an answer")
    parser.add_argument("--engine-arg", action="append", default=[], metavar="KEY=VALUE", help="for both")
    parser.add_argument("--out", type=Path, default=Path("sglang-compare.json"))
    options = parser.parse_args()

    logs = Path(tempfile.mkdtemp(prefix="sglang-compare-"))
    with (
        rig.ours(options.model, options.engine_arg, logs / "ours.log") as ours,
        rig.theirs(options.model, options.engine_arg, logs / "theirs.log", cpu=on_cpu()) as theirs,
    ):
        rows = [_compare(ours, theirs, streams, options) for streams in options.streams]
    document = {"machine": _machine(), "options": {k: str(v) for k, v in vars(options).items()}, "rows": rows}
    options.out.write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(_table(rows))
    return 0 if all(row["holds"] for row in rows) else 1


def _compare(ours: rig.Server, theirs: rig.Server, streams: int, options: argparse.Namespace) -> dict[str, Any]:
    requests = min(64, streams * options.requests)
    rounds: list[dict[str, load.Result]] = []
    cost: dict[str, dict[str, float]] = {ours.name: {}, theirs.name: {}}
    for server in (ours, theirs):
        load.run(server.chat, server.model, rig.KEY, streams, streams, 8)  # not counted
    for number in range(options.rounds):
        order = (ours, theirs) if number % 2 == 0 else (theirs, ours)
        results = {
            server.name: _round(server, streams, requests, options.length, cost[server.name]) for server in order
        }
        rounds.append(results)
        print(f"{streams} streams, round {number + 1}: " + ", ".join(f"{n} {r.rate:.1f} tok/s, TTFT {r.ttft_p50 * 1e3:.0f} ms" for n, r in results.items()), flush=True)  # fmt: skip
    rate = median(r[ours.name].rate / r[theirs.name].rate for r in rounds)
    ttft = median(r[ours.name].ttft_p50 / r[theirs.name].ttft_p50 for r in rounds)
    failed = sum(result.failed for r in rounds for result in r.values())
    return {
        "streams": streams,
        "rate_ratio": rate,
        "ttft_ratio": ttft,
        "holds": rate >= AT_LEAST and ttft <= AT_MOST and not failed,
        "failed": failed,
        "rounds": [{name: asdict(result) for name, result in r.items()} for r in rounds],
        "cpu_ms_per_token": {name: _per_token(cost[name], name, rounds) for name in cost},
    }


def _round(server: rig.Server, streams: int, requests: int, length: int, cost: dict[str, float]) -> load.Result:
    before = server.cost()
    result = load.run(server.chat, server.model, rig.KEY, streams, requests, length)
    for role, seconds in server.cost().items():
        cost[role] = cost.get(role, 0.0) + seconds - before.get(role, 0.0)
    return result


def _per_token(cost: dict[str, float], name: str, rounds: list[dict[str, load.Result]]) -> dict[str, float]:
    tokens = sum(r[name].tokens for r in rounds)
    return {role: round(seconds * 1e3 / tokens, 3) for role, seconds in cost.items()} if tokens else {}


def _machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "load": os.getloadavg(),
    }


def _table(rows: list[dict[str, Any]]) -> str:
    lines = ["| streams | output rate, ours/theirs | TTFT p50, ours/theirs | HTTP process, CPU ms per token, ours / theirs | bounds hold |", "|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        ours, theirs = (cost.get("http", float("nan")) for cost in row["cpu_ms_per_token"].values())
        lines.append(f"| {row['streams']} | {row['rate_ratio']:.3f} | {row['ttft_ratio']:.3f} | {ours:.2f} / {theirs:.2f} | {'yes' if row['holds'] else 'no'} |")  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
