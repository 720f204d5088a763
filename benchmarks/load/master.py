"""What a master can take: the CPU of merging workers' reports, ours and locust's together.

    python benchmarks/load/master.py [--streams 1024] [--workers 8,32,128,512]

Makes the report that a worker with that many streams sends every 3 seconds (64 tokens a stream, 0.68 s each), the way it travels
(msgpack), and takes it in as the master does. Prints CPU per report, the share of a core for that many workers, and the bytes.
"""

from __future__ import annotations

import argparse
import time
from random import Random
from statistics import median

import msgpack
import rig  # noqa: F401 - puts nothing on the path, but its folder is where this is run from
from locust.env import Environment
from locust.event import Events
from locust.stats import setup_distributed_stats_event_listeners

import loadtest.metrics
from loadtest.sample import FIRSTS, Outcome, Sample

REPORT_S = 3.0
STREAM_S = 0.68
START = 1_700_000_000_000_000_000


def outcome(rng: Random, number: int, count: int) -> Outcome:
    """One request with noisy latencies, as a real server would give."""
    ttft = rng.lognormvariate(4, 0.4)
    gaps = [round(rng.lognormvariate(9.2, 0.15)) for _ in range(63)]
    planned = START + round(number * REPORT_S / count * 1e9)
    firsts = dict.fromkeys(FIRSTS) | {"first_byte": ttft, "first_event": ttft, "role": ttft, "content": ttft}
    sample = Sample(
        number=number,
        part="chat",
        planned_ns=planned,
        outcome="ok",
        message="",
        status=200,
        streamed=True,
        queue_ms=0.1,
        connect_ms=None,
        resent=False,
        ttft_ms=firsts,
        e2e_ms=ttft + sum(gaps) / 1000,
        tpot_ms=sum(gaps) / 63_000,
        longest_gap_ms=max(gaps) / 1000,
        chunks=64,
        tokens=64,
        tokens_from="usage",
        prompt_tokens=100,
        cached_tokens=None,
        finish_reason="length",
        reads=64,
        merged=0,
        bursts=0,
        usage_remark="",
    )
    return Outcome(sample, gaps, gaps, planned + round(ttft * 1e6) + sum(gaps) * 1000)


def packed(streams: int, seed: int) -> bytes:
    """One worker's report on the wire."""
    rng = Random(seed)  # noqa: S311 - repeatable on purpose
    count = round(streams / STREAM_S * REPORT_S)
    tally = loadtest.metrics.Tally()
    environment = Environment(events=Events())
    setup_distributed_stats_event_listeners(environment.events, environment.stats)
    for number in range(count):
        each = outcome(rng, number, count)
        tally.add(each, START, 250.0, lambda _: True)
        environment.stats.log_request("POST", "chat", each.sample.e2e_ms, 64)
        environment.stats.log_request("TTFT", "chat", each.sample.ttft_ms["content"], 0)
    for name in ("lag_read", "lag_busy"):
        tally.histogram(name).add([round(rng.lognormvariate(5, 0.8)) for _ in range(count * 64)])
    data: dict[str, object] = {}
    environment.events.report_to_master.fire(client_id="w", data=data)
    data["load"] = {"tally": tally.to_wire()}
    return bytes(msgpack.packb(data))


def taken(reports: list[bytes], rounds: int) -> float:
    """CPU seconds to take in one report, the median of some rounds."""
    environment = Environment(events=Events())
    setup_distributed_stats_event_listeners(environment.events, environment.stats)
    tally = loadtest.metrics.Tally()
    costs = []
    for _ in range(rounds):
        began = time.process_time()
        for report in reports:
            data = msgpack.unpackb(report, strict_map_key=False)
            tally.merge(loadtest.metrics.Tally.from_wire(data["load"]["tally"]))
            environment.events.worker_report.fire(client_id="w", data=data)
        costs.append((time.process_time() - began) / len(reports))
    return median(costs)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--streams", type=int, default=1024)
    parser.add_argument("--workers", default="8,32,128,512")
    asked = parser.parse_args()
    reports = [packed(asked.streams, seed) for seed in range(4)]
    size = median(len(report) for report in reports)
    cost = taken(reports * 8, 5)
    print(
        f"a report of {asked.streams} streams ({asked.streams / STREAM_S * 64:,.0f} tokens/s): {size:,.0f} bytes, {cost * 1000:.2f} ms of the master's CPU"
    )
    for workers in map(int, asked.workers.split(",")):
        share = workers * cost / REPORT_S
        print(
            f"{workers:5} workers, {workers * asked.streams:9,} streams: {share:7.2%} of a core, {workers * size / REPORT_S / 1e6:6.2f} MB/s"
        )
    print(
        f"one core takes the reports of {REPORT_S / cost:,.0f} workers: {REPORT_S / cost * asked.streams:,.0f} streams"
    )


if __name__ == "__main__":
    main()
