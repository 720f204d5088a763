"""Starts a third-party server as a child, waits until it answers, prints `ready URL`, and ends it on SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "127.0.0.1"
SECONDS = 600  # a cold import of torch on a busy machine takes minutes
GRACE = 15


def options(
    description: str | None, more: Callable[[argparse.ArgumentParser], object] | None = None
) -> argparse.Namespace:
    """`port` (a free one when none is given) and `key` (from the environment, or None), and what `more` adds."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if more is not None:
        more(parser)
    parser.add_argument("--port", type=int, default=0, help="0 (the default): a free one")
    parser.add_argument("--key-env", default="CHAT_API_KEY", metavar="NAME", help="environment variable with the key")
    given = parser.parse_args()
    given.port = given.port or free_port()
    given.key = os.environ.get(given.key_env) or None
    return given


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def serve(command: list[str], port: int, path: str, **environment: str) -> NoReturn:
    """Run the command until a signal comes; `path` is one that answers as soon as the server can."""
    child = subprocess.Popen(command, env={**os.environ, **environment})
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        _wait(child, f"http://{HOST}:{port}{path}")
        print(f"ready http://{HOST}:{port}", flush=True)
        sys.exit(child.wait())
    finally:
        _end(child)


def _wait(child: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise SystemExit(f"the server ended with exit code {child.returncode} before it answered")
        if _answers(url):
            return
        time.sleep(0.5)
    raise SystemExit(f"{url} did not answer within {SECONDS} s")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - http and 127.0.0.1, see serve
            return answer.status == 200
    except urllib.error.HTTPError as error:
        return error.code in (401, 403)  # it answers, and guards the path
    except OSError:
        return False


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
    try:
        child.wait(GRACE)
    except subprocess.TimeoutExpired:
        child.kill()
