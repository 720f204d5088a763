"""The locust user. In a closed loop each asks, waits for its answer and asks again; in an open loop it only stands for it."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

import gevent
from locust import User, constant, task

if TYPE_CHECKING:
    from loadtest.generator import Generator

__all__ = ["StreamUser"]


class StreamUser(User):
    """Asks the environment's generator."""

    abstract = True
    wait_time = constant(0)

    @task
    def converse(self) -> None:
        """Ask until the run is over."""
        generator: Generator | None = getattr(self.environment, "load_generator", None)
        if generator is None or not generator.plan.closed:
            gevent.sleep(0.5)
            return
        gevent.sleep(max((generator.start_mono - monotonic_ns()) / 1e9, 0))
        think = generator.plan.scenario.think_s
        while (number := generator.next_number()) is not None:
            generator.ask(number)
            if think:
                gevent.sleep(think)
        gevent.sleep(0.5)
