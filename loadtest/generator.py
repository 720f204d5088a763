"""The generator: requests at their planned times, on connections of the pool, and their ends handed to the recorder.

How reads happen is in `loadtest/reader.py`, what becomes of an answer in `loadtest/recorder.py`. The garbage collector is off
while a run lasts (its pauses are whole token intervals), and what a run allocates is freed by reference counting.
"""

from __future__ import annotations

import gc
import ssl
import time
from collections import deque
from time import monotonic_ns, time_ns
from typing import TYPE_CHECKING, Any

import gevent
import gevent.socket
from gevent.event import Event
from gevent.pool import Group

from loadtest.analysis import taste
from loadtest.clock import ClockWatch, Deadline
from loadtest.head import new_framing
from loadtest.pool import Pool, connect_fault
from loadtest.reader import Reader
from loadtest.recorder import Recorder
from loadtest.response import Reads, Response
from loadtest.sample import Attempt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.connection import Connection
    from loadtest.metrics import Tally
    from loadtest.plan import Plan, Request
    from loadtest.samples import SampleFile

__all__ = ["Generator"]

AHEAD = 512
PREPARE_NS = 300_000
LEAD_NS = 50_000_000
SPAWN_NS = 500_000  # what locust takes to spawn a user, all in one go
FIRST_CONNECTIONS = 16
SPARE = 8
SPARE_S = 0.05  # so long may opening connections take before a request has to wait for one
FAR = 1 << 62


class Generator:
    """One worker's share of a run: request numbers shard, shard + shards, ... of the plan."""

    def __init__(
        self,
        plan: Plan,
        share: tuple[int, int],
        users: int,
        samples: SampleFile,
        environment: Any,  # noqa: ANN401 - locust's Environment
    ) -> None:
        """`share` is (which, of how many); `users` how many ask in a closed loop."""
        self.plan = plan
        self.users = users
        self.shard, self.shards = share
        self.samples = samples
        self.recorder = Recorder(plan, samples, environment)
        self.finished = Event()
        self.start_wall = self.start_mono = 0
        self.cpu_share: float | None = None
        self.sending = False
        self._reader = Reader()
        self._reader.chore = self._chore
        self._pool = Pool(plan.origin, self._reader, self._connected, insecure=plan.insecure)
        self._flying: dict[Connection, Attempt] = {}
        self._connecting = Group()  # requests that wait for a connection of their own
        self._ready: deque[tuple[int, Request]] = deque()
        self._planned: Iterator[tuple[int, float]] = iter(())
        self._numbers = iter(range(self.shard, plan.requests or FAR, self.shards))
        self._deadline = Deadline() if Deadline.available() else None
        self._greenlets: list[Any] = []

    @property
    def stamped(self) -> bool:
        """Whether the kernel stamped everything so far."""
        return self._pool.stamped and self.recorder.stamped

    @property
    def under_way(self) -> int:
        """How many requests are due and not answered: those that wait for a connection are not in flight yet."""
        return len(self._flying) + sum(not waiting.dead for waiting in self._connecting)

    @property
    def fault(self) -> str | None:
        """Why the run cannot go on."""
        return self.recorder.fault

    # -- the run ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Open connections, then begin the schedule."""
        gc.collect()
        gc.freeze()
        gc.disable()
        lead = LEAD_NS
        if self.plan.closed:
            lead += self.users * SPAWN_NS
            self._pool.open_ahead(self.users)
        else:
            rate = max((max(s.rate, s.end) for s in self.plan.scenario.stages), default=0.0) / self.shards
            self._pool.spare = max(SPARE, round(rate * SPARE_S))
            self._pool.open_ahead(FIRST_CONNECTIONS + self._pool.spare)
            self._planned = ((n, t) for n, t in enumerate(self.plan.times()) if n % self.shards == self.shard)
            self._prepare(monotonic_ns() + 1_000_000_000)
        self.start_wall, self.start_mono = time_ns() + lead, monotonic_ns() + lead
        self.recorder.start = self.start_wall
        self._cpu = time.process_time()
        self.sending = True
        work = [self.recorder.run, self._watch] + ([] if self.plan.closed else [self._pace])
        self._greenlets = [gevent.spawn(run) for run in work]

    def stop(self) -> None:
        """End now: what is still under way is counted as unfinished."""
        if self.finished.is_set() or not self.start_wall:
            return
        self.sending = False
        self.recorder.tally.counts["unfinished"] += self.under_way
        gevent.killall(self._greenlets, block=False)
        self.recorder.drain()
        self._finish()

    def take(self) -> Tally:
        """What was counted since the last call."""
        return self.recorder.take()

    def ask(self, number: int) -> None:
        """Send the number-th request now and wait for its answer: a closed loop's step."""
        request = self.plan.request(number)
        planned = time_ns()
        answered = Event()
        self.recorder.count("planned", planned)
        connection = self._pool.take()
        if connection is not None:
            self._send(connection, request, planned, answered)
        else:
            self._connecting.spawn(self._send_on_new, request, planned, answered)
        answered.wait()

    def next_number(self) -> int | None:
        """The next request of this worker in a closed loop; None when all were sent or the time is over."""
        if not self.sending or time_ns() > self.start_wall + self.plan.seconds * 1e9:
            return None
        number = next(self._numbers, None)
        self.sending = number is not None
        return number

    def _watch(self) -> None:
        """Once in a while: time-outs, clock steps, the disk, and whether the run is over."""
        clock, scenario = ClockWatch(), self.plan.scenario
        ends = self.start_wall + round(self.plan.seconds * 1e9)
        while True:
            gevent.sleep(0.2)
            self.recorder.tally.histogram("clock_step").record(clock.step_us())
            self._time_out(time_ns())
            self.recorder.flush()
            if self.plan.closed and time_ns() > ends:
                self.sending = False
            drained = not self.under_way and not self.recorder.waiting
            late = time_ns() > ends + scenario.drain_s * 1e9
            if self.fault is not None or (not self.sending and (drained or late)):
                self.recorder.tally.counts["unfinished"] += self.under_way
                self._finish()
                return

    def _time_out(self, now: int) -> None:
        scenario = self.plan.scenario
        for connection, attempt in list(self._flying.items()):
            seen, whole = connection.last_seen, (now - attempt.sent) / 1e9
            if seen is None and whole > scenario.answer_s:
                connection.give_up("no_answer", f"no byte within {scenario.answer_s:g} s")
            elif seen is not None and (now - seen) / 1e9 > scenario.stall_s:
                connection.give_up("stalled", f"no byte for {scenario.stall_s:g} s inside the answer")
            elif whole > scenario.total_s:
                connection.give_up("too_slow", f"not over after {scenario.total_s:g} s")

    def _finish(self) -> None:
        elapsed = (monotonic_ns() - self.start_mono) / 1e9
        self.cpu_share = round((time.process_time() - self._cpu) / elapsed, 4) if elapsed > 0 else None
        self.sending = False
        self.recorder.flush()
        self._connecting.kill(block=False)
        self._pool.close()
        self._reader.close()
        gc.enable()
        gc.unfreeze()
        self.finished.set()

    # -- the schedule ----------------------------------------------------------------------------

    def _pace(self) -> None:
        """Send each request when it is due, from a timer that does not round."""
        fired = Event()
        if self._deadline is not None:
            self._reader.next_due = self._next_due
            self._reader.add_timer(self._deadline.fileno(), self._due)
        while self._ready or self._prepare(0):
            self._prepare(monotonic_ns() + PREPARE_NS)
            if self._deadline is not None:
                self._deadline.arm(self._next_due())
                fired.wait(0.02 if len(self._ready) >= AHEAD // 2 else 0.001)
            else:
                gevent.sleep(max((self._next_due() - monotonic_ns()) / 1e9, 0))
                self._due()
        if self._deadline is not None:
            self._reader.next_due = lambda: FAR
            self._reader.remove(self._deadline.fileno())
        self.sending = False

    def _next_due(self) -> int:
        return self.start_mono + self._ready[0][0] if self._ready else FAR

    def _due(self) -> None:
        """Everything whose time has come; runs in the hub, so it never waits."""
        if self._deadline is not None:
            self._deadline.drain()
        now = monotonic_ns() - self.start_mono
        while self._ready and self._ready[0][0] <= now:
            offset, request = self._ready.popleft()
            planned = self.start_wall + offset
            self.recorder.count("planned", planned)
            connection = self._pool.take()
            if connection is not None:
                self._send(connection, request, planned, None)
            else:
                self._reader.hurry = True
                self._connecting.spawn(self._send_on_new, request, planned)
        if self._ready and self._deadline is not None:
            self._deadline.arm(self._next_due())

    def _prepare(self, until: int) -> bool:
        """Build the next requests, up to AHEAD of them and until that moment; whether there is any to send."""
        while len(self._ready) < AHEAD and (planned := next(self._planned, None)) is not None:
            number, offset = planned
            self._ready.append((round(offset * 1e9), self.plan.request(number)))
            if monotonic_ns() > until:
                break
        return bool(self._ready)

    def _chore(self) -> bool:
        """Something useful between two looks: requests while few are ready, else an answer's record."""
        if len(self._ready) < AHEAD // 2 and not self.plan.closed:
            before = len(self._ready)
            self._prepare(monotonic_ns() + PREPARE_NS)
            if len(self._ready) > before:
                return True
        return self.recorder.chore()

    # -- one request -----------------------------------------------------------------------------

    def _send_on_new(
        self, request: Request, planned: int, answered: Event | None = None, *, resent: bool = False
    ) -> None:
        connection = self._connect_or_count(request, planned)
        if connection is not None:
            self._send(connection, request, planned, answered, resent=resent)
        elif answered is not None:
            answered.set()

    def _send(
        self, connection: Connection, request: Request, planned: int, answered: Event | None, *, resent: bool = False
    ) -> None:
        """Send it; `_over` hears of its end."""
        reused = connection.used > 0
        attempt = Attempt(
            request.number,
            request.part,
            planned,
            time_ns(),
            request.stream,
            self.plan.dialect.stream.done,
            request.echo,
            self.plan.foreign,
            None if reused else connection.connect_ms,
            resent,
        )
        self._flying[connection] = attempt
        self._reader.streams += 1
        connection.begin(
            lambda response: self._over(connection, request, response, answered, reused=reused),
            taste if request.stream and request.echo is None else None,
        )
        attempt.sent = time_ns()
        try:
            left = connection.send(request.data)
        except OSError as error:
            connection.give_up("reset", str(error))
            return
        self.recorder.count("sent", attempt.sent)
        if left:
            gevent.spawn(self._send_rest, connection, left)
        self._reader.glance()

    def _over(
        self, connection: Connection, request: Request, response: Response, answered: Event | None, *, reused: bool
    ) -> None:
        """The answer has ended; or the server had closed an idle connection, and the request goes out once more."""
        attempt = self._flying.pop(connection)
        self._reader.streams -= 1
        closed_before = response.fault is not None and response.fault[0] in {"closed", "reset"}
        if closed_before and reused and not response.reads:
            self._pool.drop(connection)
            self._connecting.spawn(self._send_on_new, request, attempt.planned, answered, resent=True)
            return
        self.recorder.add(attempt, response)
        self._pool.give_back(connection)
        if answered is not None:
            answered.set()
            self._reader.hurry = True

    def _send_rest(self, connection: Connection, left: bytes) -> None:
        try:
            while left and not connection.dead:
                gevent.socket.wait_write(connection.fileno(), timeout=60)
                left = connection.send_raw(left)
        except OSError as error:
            connection.give_up("reset", str(error))

    def _connect_or_count(self, request: Request, planned: int) -> Connection | None:
        try:
            return self._pool.connect()
        except (OSError, ssl.SSLError) as error:
            attempt = Attempt(request.number, request.part, planned, time_ns(), request.stream)
            self.recorder.add(attempt, Response(Reads(), [], new_framing(), connect_fault(error)))
            return None

    def _connected(self) -> None:
        self.recorder.tally.counts["connections"] += 1
