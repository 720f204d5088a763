"""Starting and ending the servers that are compared, and reading what their processes cost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import dialects
from reference_server.engine.sglang_options import CPU_ENVIRONMENT, on_cpu

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
KEY = "sk-conformance-valid"  # the server's built-in key; SGLang's own server is started without one
START = 600.0  # seconds until a server must answer; loading takes minutes on a busy machine
TICKS = os.sysconf("SC_CLK_TCK")
CPU_FLAGS = [
    "--device",
    "cpu",
    "--attention-backend",
    "torch_native",
    "--max-total-tokens",
    "16384",
    "--max-running-requests",
    "32",
    "--sleep-on-idle",
    "--grammar-backend",
    "llguidance",
    "--constrained-json-disable-any-whitespace",
    "--log-level",
    "error",
]


@dataclass(frozen=True)
class Server:
    """A running server: where its chat lies, the model to ask for, its process."""

    name: str
    chat: str
    model: str
    process: subprocess.Popen[bytes]

    def cost(self) -> dict[str, float]:
        """CPU seconds so far by role: the process that serves HTTP, SGLang's scheduler, SGLang's detokenizer."""
        spent: dict[str, float] = {}
        for process in (self.process.pid, *descendants(self.process.pid)):
            role = _role(process, self.process.pid)
            spent[role] = spent.get(role, 0.0) + _seconds(process)
        return spent


@contextmanager
def ours(model: Path, arguments: Sequence[str], log: Path) -> Iterator[Server]:
    """The reference server on SGLang."""
    port = _free_port()
    extra = [part for argument in arguments for part in ("--engine-arg", argument)]
    command = ["-m", "reference_server", "--engine", "sglang", "--model", str(model), "--port", str(port), *extra]
    with _started(command, f"http://127.0.0.1:{port}/health", log) as process:
        yield Server(
            "reference_server",
            f"http://127.0.0.1:{port}/v1/chat/completions",
            dialects.load("openai").models.example,
            process,
        )


@contextmanager
def theirs(model: Path, arguments: Sequence[str], log: Path, *, cpu: bool) -> Iterator[Server]:
    """SGLang's own HTTP server with the same engine settings."""
    port = _free_port()
    given = [f"--{key.replace('_', '-')}={value}" for key, _, value in (each.partition("=") for each in arguments)]
    command = ["-m", "sglang.launch_server", "--model-path", str(model), "--port", str(port), *given]
    command += CPU_FLAGS if cpu else []
    with _started(command, f"http://127.0.0.1:{port}/health", log) as process:
        yield Server("sglang.launch_server", f"http://127.0.0.1:{port}/v1/chat/completions", str(model), process)


@contextmanager
def _started(command: Sequence[str], health: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, stdout=output, stderr=output, env=_environment()
        )
        try:
            _wait(process, health, log)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                for each in (*descendants(process.pid), process.pid):
                    os.kill(each, signal.SIGKILL)
                process.wait()


def _environment() -> dict[str, str]:
    """The same for both; on a CPU what our engine sets for itself."""
    return {**os.environ, "HF_HUB_OFFLINE": "1", **(CPU_ENVIRONMENT if on_cpu() else {})}


def _wait(process: subprocess.Popen[bytes], health: str, log: Path) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the server ended with {process.returncode}; its words are in {log}")
        try:
            with urllib.request.urlopen(health, timeout=5) as answer:  # noqa: S310 - our own server
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise SystemExit(f"no answer from {health} within {START:.0f} s; see {log}")


def descendants(process: int) -> list[int]:
    """The processes that descend from one."""
    try:
        of_threads = [each.read_text() for each in Path(f"/proc/{process}/task").glob("*/children")]
    except OSError:
        return []
    own = [int(text) for text in " ".join(of_threads).split()]
    return own + [deeper for child in own for deeper in descendants(child)]


def _role(process: int, root: int) -> str:
    try:
        line = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return "gone"
    known = [name for name in ("scheduler", "detokenizer") if f"sglang::{name}" in line]
    return known[0] if known else "http" if process == root else "other"


def _seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
