"""What one run will do, decided before it starts: the n-th request of a run is a function of (plan, n) alone.

So any worker can build any request, and a run can be repeated. A Plan travels from master to workers as plain values,
without the key: each worker reads that from its own environment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from time import time_ns
from typing import TYPE_CHECKING, Any

from loadtest import UsageError, scenarios, traces
from loadtest.body import Origin, check_needs, headers, message_body, origin, request_bytes
from loadtest.prompts import pick, prompt
from loadtest.schedule import arrivals
from loadtest.slo import Objective, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dialects import Dialect
    from loadtest.scenarios import Scenario

__all__ = ["Plan", "Request"]

TIMER_NS = 2_000_000_000
NONCE = re.compile(r"\b(?:[bcdfghjkmnpqrstvwxz][aeiou]){5}\d+\b")


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to send: `data` is the whole of it."""

    number: int
    part: str
    data: bytes
    stream: bool
    echo: str | None


@dataclass(frozen=True)
class Plan:
    """A scenario against a target. `requests` stops a run after that many; `closed` waits for answers instead of pacing."""

    url: str
    dialect: Dialect
    scenario: Scenario
    model: str
    seed: int = 0
    closed: bool = False
    requests: int | None = None
    slo: tuple[str, ...] = ()
    key: str | None = field(default=None, repr=False)
    key_env: str = "CHAT_API_KEY"
    insecure: bool = False

    def __post_init__(self) -> None:
        for part in self.parts:
            check_needs(part.needs, self.dialect)
        headers(self.dialect, self.key, self.key_env)
        if self.origin.host and self.requests is not None and self.requests < 1:
            raise UsageError(f"--requests: {self.requests} must be 1 or more")

    @cached_property
    def origin(self) -> Origin:
        """Where requests go."""
        return origin(self.url, self.dialect)

    @cached_property
    def parts(self) -> tuple[Scenario, ...]:
        """The scenarios of a mix, or the scenario itself."""
        return tuple(scenarios.load(p.scenario) for p in self.scenario.mix) or (self.scenario,)

    @cached_property
    def objectives(self) -> tuple[Objective, ...]:
        """The parsed objectives."""
        return parse(self.slo) if self.slo else ()

    @cached_property
    def trace(self) -> tuple[traces.Row, ...]:
        """The rows of the scenario's trace, if it has one, up to where it is cut."""
        if not self.scenario.trace:
            return ()
        rows = traces.read(self.scenario.trace)
        last = rows[0].time + self.scenario.trace_s * self.scenario.trace_speed if self.scenario.trace_s else inf
        return tuple(row for row in rows if row.time <= last)

    @cached_property
    def _headers(self) -> dict[str, str]:
        return headers(self.dialect, self.key, self.key_env)

    @cached_property
    def _weights(self) -> list[float]:
        return [p.weight for p in self.scenario.mix]

    def times(self) -> Iterator[float]:
        """The planned send times in seconds from the start."""
        if self.trace:
            first = self.trace[0].time
            times: Iterator[float] = ((row.time - first) / self.scenario.trace_speed for row in self.trace)
        else:
            times = arrivals(self.scenario.stages, self.scenario.process, seed=self.seed, cv=self.scenario.cv)
        for number, time in enumerate(times):
            if self.requests is not None and number >= self.requests:
                return
            yield time

    @property
    def seconds(self) -> float:
        """How long requests are sent."""
        if self.trace:
            return (self.trace[-1].time - self.trace[0].time) / self.scenario.trace_speed
        return self.scenario.seconds

    def ends_now(self, start: int) -> bool:
        """Whether the last request of a run from that moment on (ns, wall clock) is due about now.

        The web UI's timer stops a run then, whose answers are still to come.
        """
        return abs(time_ns() - start - self.seconds * 1e9) < TIMER_NS

    @property
    def asked_rate(self) -> float | None:
        """The mean planned rate; None in a closed loop."""
        if self.closed:
            return None
        if self.trace:
            span = (self.trace[-1].time - self.trace[0].time) / self.scenario.trace_speed
            return len(self.trace) / span if span > 0 else None
        return sum(s.arrivals for s in self.scenario.stages) / self.scenario.seconds

    def request(self, number: int) -> Request:
        """The number-th request of the run."""
        part = self.parts[pick(self._weights, self.seed, number)] if self.scenario.mix else self.scenario
        row = self.trace[number % len(self.trace)] if self.trace else None
        asked = prompt(part, self.seed, number, words=row.words if row else None, answer=row.answer if row else None)
        body = message_body(asked, self.dialect, self.model, part.extra)
        return Request(number, part.name, request_bytes(self.origin, body, self._headers), asked.stream, asked.echo)

    @property
    def foreign(self) -> re.Pattern[str] | None:
        """What another request's echo word looks like, where answers are checked for cross-talk."""
        return NONCE if any(part.echo for part in self.parts) else None

    def to_wire(self) -> dict[str, Any]:
        """Plain values for workers; never the key."""
        return {
            "url": self.url,
            "scenario": self.scenario.table(),
            "model": self.model,
            "seed": self.seed,
            "closed": self.closed,
            "requests": self.requests,
            "slo": list(self.slo),
            "key_env": self.key_env,
            "insecure": self.insecure,
        }

    @classmethod
    def from_wire(cls, data: Mapping[str, Any], dialect: Dialect, key: str | None) -> Plan:
        """The Plan that `to_wire` wrote."""
        values = dict(data) | {"scenario": scenarios.from_table(dict(data["scenario"])), "slo": tuple(data["slo"])}
        return cls(dialect=dialect, key=key, **values)
