"""The product with a fault of its own: the generator's process is busy for BUSY_MS of every 100 ms."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import gevent
from locust import events

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
from loadtest.locustfile import *  # noqa: F403 - locust looks for users and listeners here

BUSY_S = float(os.environ.get("BUSY_MS", "20")) / 1000


@events.test_start.add_listener
def spoil(**_: object) -> None:
    """Begin to be busy."""
    gevent.spawn(_busy)


def _busy() -> None:
    while True:
        ends = time.perf_counter() + BUSY_S
        while time.perf_counter() < ends:
            pass
        gevent.sleep(0.1 - BUSY_S)
