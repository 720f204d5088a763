"""What happens to an answer once its last byte has come: parsed, judged, counted, written, and told to locust.

None of it is urgent, so it is done in the moments when nothing is to be read or sent: a chore between two looks at the
sockets, or the recorder's own greenlet where those do not suffice.
"""

from __future__ import annotations

from collections import deque
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import gevent

from loadtest import slo
from loadtest.analysis import Analysis
from loadtest.metrics import Tally
from loadtest.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadtest.plan import Plan
    from loadtest.response import Response
    from loadtest.sample import Attempt, Outcome, Sample
    from loadtest.samples import SampleFile

__all__ = ["Recorder", "StreamFailure"]

SLICE = 256
OLD_NS = 200_000_000


class StreamFailure(Exception):
    """How locust's own statistics see a request that was no answer: its class and what happened."""


class Recorder:
    """Takes what ended; `tally` holds what is new since the last `take`. `fault` ends the run: the disk takes no more."""

    def __init__(self, plan: Plan, samples: SampleFile, environment: Any) -> None:  # noqa: ANN401 - locust's Environment
        self.plan = plan
        self.samples = samples
        self.tally = Tally()
        self.start = 0
        self.stamped = True
        self.fault: str | None = None
        self._fire = environment.events.request.fire
        self._objectives = plan.objectives
        self._telemetry = Telemetry(plan) if getattr(environment.parsed_options, "otel", False) else None
        self._ended: deque[tuple[int, Attempt, Response]] = deque()
        self._halfway = False

    def add(self, attempt: Attempt, response: Response) -> None:
        """An answer has ended."""
        self._ended.append((monotonic_ns(), attempt, response))

    @property
    def waiting(self) -> bool:
        """Whether something that ended is not recorded yet: it waits, or is being taken apart with pauses."""
        return bool(self._ended) or self._halfway

    def take(self) -> Tally:
        """What was counted since the last call."""
        tally, self.tally = self.tally, Tally()
        return tally

    def count(self, name: str, at: int) -> None:
        """Count something of that moment (ns, wall clock) in the second it belongs to."""
        self.tally.at(max(at - self.start, 0) // 1_000_000_000)[name] += 1

    def chore(self) -> bool:
        """One response's worth of work in the hub, a tenth of a ms, in place of a rest; whether there was one."""
        if not self._ended or len(self._ended[0][2].reads) > SLICE:
            return False
        self._conclude(*self._ended.popleft()[1:])
        return True

    def run(self) -> None:
        """Record whatever the chores leave: long answers, and what has waited for a while."""
        while True:
            old = self._ended and monotonic_ns() - self._ended[0][0] > OLD_NS
            if not old and not (self._ended and len(self._ended[0][2].reads) > SLICE):
                gevent.sleep(0.02)
                continue
            self._halfway = True
            self._conclude(*self._ended.popleft()[1:], breathe=gevent.idle)
            self._halfway = False
            gevent.idle()

    def drain(self) -> None:
        """Record everything now."""
        while self._ended:
            self._conclude(*self._ended.popleft()[1:])

    def flush(self) -> None:
        """Hand the samples to the system."""
        try:
            self.samples.flush()
        except OSError as error:
            self._disk(error)

    def _conclude(self, attempt: Attempt, response: Response, breathe: Callable[[], None] | None = None) -> None:
        analysis = Analysis(attempt)
        for start in range(0, len(response.reads), SLICE):
            came = response.feed(analysis, start, min(start + SLICE, len(response.reads)))
            self.tally.histogram("lag_read").add(came.lags)
            self.tally.histogram("lag_busy").record(came.busy // 1000)
            if breathe is not None:
                breathe()
        outcome = analysis.finish(response.fault, response.framing.headers.get("retry-after"))
        self.stamped = self.stamped and response.stamped
        self._record(outcome)

    def _record(self, outcome: Outcome) -> None:
        sample = outcome.sample
        good = lambda s: slo.meets(self._objectives, s)  # noqa: E731 - bound to this plan's objectives
        self.tally.add(outcome, self.start, self.plan.scenario.freeze_ms, good)
        if not self.plan.closed:
            self.tally.histogram("lag_send").record(round(sample.queue_ms * 1000))
        try:
            self.samples.write(sample)
        except OSError as error:
            self._disk(error)
        if self._telemetry is not None:
            self._telemetry.record(sample)
        self._tell_locust(sample)

    def _tell_locust(self, sample: Sample) -> None:
        fire, failure = self._fire, None if sample.ok else StreamFailure(f"{sample.outcome}: {sample.message}")
        common = {"name": sample.part, "context": {}}
        ttft = sample.ttft_ms["content"]
        if sample.ok and ttft is not None:
            fire(request_type="TTFT", response_time=ttft, response_length=0, exception=None, **common)
        took = sample.e2e_ms or 0.0
        fire(request_type="POST", response_time=took, response_length=sample.tokens, exception=failure, **common)

    def _disk(self, error: OSError) -> None:
        self.fault = self.fault or f"{self.samples.path}: cannot be written: {error.strerror}"
