"""What every load benchmark needs: the calibrated server on one core, a client on the other, and the CPU the client used.

Server: core 0, real-time priority where the system allows it. Client: core 1. The client's CPU is that of its whole process
tree between the server's first arrival and last response, read from /proc every 20 ms. Both cores belong to one machine,
so whoever else runs there disturbs every client alike: compare within one run, and repeat.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from bisect import bisect_right
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BUILD = Path(tempfile.gettempdir()) / "chat-conformance-load"
TTFT_MS, ITL_MS, TOKENS = 50.0, 10.0, 64
STREAM_S = (TTFT_MS + (TOKENS - 1) * ITL_MS) / 1000


def build(name: str) -> Path:
    """The Rust program of that name, compiled when its source is newer."""
    source, program = HERE / f"{name}.rs", BUILD / name
    BUILD.mkdir(exist_ok=True)
    if shutil.which("rustc") is None:
        raise SystemExit("rustc is needed for the calibrated server and the yardstick client")
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        command = ["rustc", "-O", "-C", "target-cpu=native", str(source), "-o", str(program)]
        subprocess.run(command, check=True)
    return program


def pinned(core: int, *, real_time: bool) -> list[str]:
    """The prefix that pins a command to a core, in real time where allowed: the server above the clients (`real_time`).

    The kernel stops real-time processes that want a whole core for 50 ms in every second: a client above nine tenths of its
    core shows those pauses, which are the rig's and not its own (its certificate tells).
    """
    words = ["taskset", "-c", str(core)]
    if os.geteuid() != 0:
        return words
    return [*words, "chrt", "-f", "20"] if real_time else [*words, "chrt", "-r", "5"]


@dataclass(frozen=True)
class Server:
    """A running calibrated server."""

    port: int

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """A JSON document of its control paths."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=30) as answer:  # noqa: S310 - our own server
            return json.load(answer)


@contextmanager
def server(port: int | None = None, **options: float) -> Iterator[Server]:
    """The calibrated server, pinned to core 0, on a port that nobody has."""
    port = port or free_port()
    words = [f for name, value in options.items() for f in (f"--{name.replace('_', '-')}", str(value))]
    pace = ["--ttft-ms", str(TTFT_MS), "--itl-ms", str(ITL_MS), "--tokens", str(TOKENS)]
    process = subprocess.Popen([*pinned(0, real_time=True), str(build("paced")), "--port", str(port), *pace, *words])
    try:
        found = Server(port)
        _await(found, process)
        yield found
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(found: Server, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            found.get("/reset")
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit("the calibrated server did not start")


class CpuWatch:
    """(monotonic ns, CPU ns) of a process tree, every 20 ms."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.points: list[tuple[int, int]] = []
        self._dead = 0
        self._last: dict[int, int] = {}
        self._running = True
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._running = False
        self._thread.join()

    def between(self, start: int, end: int) -> float:
        """CPU seconds used between two moments (ns, monotonic)."""
        times = [at for at, _ in self.points]

        def used(at: int) -> float:
            place = min(max(bisect_right(times, at), 1), len(times) - 1)
            (a, x), (b, y) = self.points[place - 1], self.points[place]
            return x + (y - x) * min(max((at - a) / max(b - a, 1), 0), 1)

        return (used(end) - used(start)) / 1e9

    def _run(self) -> None:
        while self._running:
            self.points.append((time.monotonic_ns(), self._total()))
            time.sleep(0.02)

    def _total(self) -> int:
        now = {pid: _cpu(pid) for pid in _tree(self.pid)}
        self._dead += sum(used for pid, used in self._last.items() if pid not in now)
        self._last = now
        return self._dead + sum(now.values())


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _tree(int(child))


def _cpu(pid: int) -> int:
    total = 0
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            total += int(task.read_text().split()[0])
        except OSError:
            continue
    return total


def run(
    found: Server, command: list[str], *, streams: int, timeout: float = 240, **environment: str
) -> tuple[dict[str, Any], str]:
    """Run a client pinned to core 1: what the server and /proc say of it, and what it printed."""
    found.get("/reset")
    everything = {**os.environ, "CHAT_API_KEY": "k", "PYTHONPATH": str(ROOT), "OPENAI_API_KEY": "k", **environment}
    process = subprocess.Popen(
        [*pinned(1, real_time=False), *command],
        cwd=ROOT,
        env=everything,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watch = CpuWatch(process.pid)
    try:
        said, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
    watch.stop()
    stats = found.get("/stats")
    arrivals = sorted(stats["arrivals"])
    if len(arrivals) < 2:
        return {"requests": len(arrivals)}, said
    span = (stats["last_done"] - arrivals[0]) / 1e9
    cpu = watch.between(arrivals[0], stats["last_done"])
    facts = {
        "requests": stats["done"],
        "of_ideal": stats["done"] / span / (streams / STREAM_S),
        "cpu_ms_per_1000": cpu * 1e6 / max(stats["done"] * TOKENS, 1),
        "server_late_p99": stats["late_p99_ms"],
        "connections": stats["connections"],
    }
    return facts, said


def product(url: str, folder: Path, *options: str, locustfile: str = "loadtest/locustfile.py") -> list[str]:
    """The product's command line."""
    own = ["--host", url, "--dialect", "openai", "--report", str(folder), "--headless", "--only-summary"]
    return [sys.executable, "-m", "locust", "-f", locustfile, *own, *options]


def product_result(folder: Path) -> dict[str, Any]:
    """The figures of a product's run under the names that the peers use."""
    document = json.loads((folder / "load.json").read_text())
    metrics = {row["metric"]: row for row in document["metrics"]}
    return {
        "ttft_p50": metrics["ttft_content"]["p50"],
        "ttft_p99": metrics["ttft_content"]["p99"],
        "itl_p50": metrics["itl"]["p50"],
        "itl_p99": metrics["itl"]["p99"],
        "verdict": document["certificate"]["verdict"],
        "document": document,
    }


def middle(rows: list[dict[str, Any]], key: str) -> float:
    """The median of a figure over repeated runs; NaN where no run has it."""
    values = [row[key] for row in rows if isinstance(row.get(key), (int, float))]
    return median(values) if values else float("nan")
