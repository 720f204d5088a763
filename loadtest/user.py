"""The generator: sockets in gevent's hub, requests at their planned times, everything else when nothing is due.

How reads happen is in `loadtest/reader.py`. The garbage collector is off while a run lasts (its pauses are whole token
intervals), and what a run allocates is freed by reference counting.
"""

from __future__ import annotations

import gc
import os
import resource
import ssl
import time
from collections import deque
from time import monotonic_ns, time_ns
from typing import TYPE_CHECKING, Any

import gevent
import gevent.socket
from gevent import monkey
from gevent.event import Event
from locust import User, constant, task

from loadtest import slo
from loadtest.clock import ClockWatch, Deadline, ask_for_stamps
from loadtest.connection import Connection, Reads, Response, TlsConnection
from loadtest.head import new_framing
from loadtest.metrics import Tally
from loadtest.reader import Reader
from loadtest.sample import Analysis, Attempt
from loadtest.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loadtest.plan import Plan, Request
    from loadtest.sample import Outcome, Sample
    from loadtest.samples import SampleFile

NATIVE_SOCKET: Any = monkey.get_original("socket", "socket")
AHEAD = 512
SLICE = 256
PREPARE_NS = 300_000
LEAD_NS = 50_000_000
SPAWN_NS = 500_000  # what locust takes to spawn a user, all in one go
CONNECT_S = 10.0
SPARE = 8
FIRST_CONNECTIONS = 16


class StreamFailure(Exception):
    """How locust's own statistics see a request that was no answer: its class and what happened."""


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
        self.environment = environment
        self.samples = samples
        self.tally = Tally()
        self.finished = Event()
        self.stamped = True
        self.fault: str | None = None
        self.start_wall = self.start_mono = 0
        self.cpu_share: float | None = None
        self.sending = False
        self._objectives = plan.objectives
        self._telemetry = Telemetry(plan) if getattr(environment.parsed_options, "otel", False) else None
        self._reader = Reader()
        self._idle: deque[Connection] = deque()
        self._flying: dict[Connection, tuple[Attempt, int]] = {}
        self._ended: deque[tuple[Attempt, Response]] = deque()
        self._reader.chore = self._chore
        self._ready: deque[tuple[int, Request]] = deque()
        self._planned: Iterator[tuple[int, float]] = iter(())
        self._numbers = iter(range(self.shard, plan.requests or 1 << 62, self.shards))
        self._opening = 0
        self._limit = max(resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 128, 16)
        self._tls = _tls_context(plan.insecure) if plan.origin.tls else None
        self._deadline = Deadline() if Deadline.available() else None
        self._greenlets: list[Any] = []

    # -- the run ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Open connections, then begin the schedule."""
        gc.collect()
        gc.freeze()
        gc.disable()
        lead = LEAD_NS
        if self.plan.closed:
            lead += self.users * SPAWN_NS
            self._open_ahead(self.users)
        else:
            self._open_ahead(FIRST_CONNECTIONS)
            self._planned = ((n, t) for n, t in enumerate(self.plan.times()) if n % self.shards == self.shard)
            self._prepare(monotonic_ns() + 1_000_000_000)
        self.start_wall, self.start_mono = time_ns() + lead, monotonic_ns() + lead
        self._cpu = time.process_time()
        self.sending = True
        work = [self._analyse, self._watch] + ([] if self.plan.closed else [self._pace])
        self._greenlets = [gevent.spawn(run) for run in work]

    def stop(self) -> None:
        """End now: what is still under way is counted as unfinished."""
        if self.finished.is_set() or not self.start_wall:
            return
        self.sending = False
        self.tally.counts["unfinished"] += len(self._flying)
        gevent.killall(self._greenlets, block=False)
        while self._ended:
            self._conclude(*self._ended.popleft())
        self._finish()

    def take(self) -> Tally:
        """What was counted since the last call."""
        tally, self.tally = self.tally, Tally()
        return tally

    def ask(self, number: int) -> Response | None:
        """Send the number-th request now and wait for its answer: a closed loop's step. None when no connection came."""
        request = self.plan.request(number)
        planned = time_ns()
        answered = Event()
        self._count("planned", planned)
        connection = self._take() or self._connect_or_count(request, planned)
        if connection is not None:
            self._send(connection, request, planned, answered)
            answered.wait()
        return None

    def next_number(self) -> int | None:
        """The next request of this worker in a closed loop; None when all were sent or the time is over."""
        if not self.sending or time_ns() > self.start_wall + self.plan.seconds * 1e9:
            return None
        number = next(self._numbers, None)
        self.sending = number is not None
        return number

    # -- sending ---------------------------------------------------------------------------------

    def _pace(self) -> None:
        """Send each request when it is due, from a timer that does not round."""
        fired = Event()
        if self._deadline is not None:
            self._reader.next_due = self._next_due
            self._reader.add(self._deadline.fileno(), self._due)
        while self._ready or self._prepare(0):
            self._prepare(monotonic_ns() + PREPARE_NS)
            if self._deadline is not None:
                self._deadline.arm(self._next_due())
                fired.wait(0.02)
            else:
                gevent.sleep(max((self._next_due() - monotonic_ns()) / 1e9, 0))
                self._due()
        if self._deadline is not None:
            self._reader.next_due = lambda: 1 << 62
            self._reader.remove(self._deadline.fileno())
        self.sending = False

    def _next_due(self) -> int:
        return self.start_mono + self._ready[0][0] if self._ready else 1 << 62

    def _due(self) -> None:
        """Everything whose time has come; runs in the hub, so it never waits."""
        if self._deadline is not None:
            self._deadline.drain()
        now = monotonic_ns() - self.start_mono
        while self._ready and self._ready[0][0] <= now:
            offset, request = self._ready.popleft()
            planned = self.start_wall + offset
            self._count("planned", planned)
            connection = self._take()
            if connection is not None:
                self._send(connection, request, planned, None)
            else:
                gevent.spawn(self._send_on_new, request, planned)
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

    def _send_on_new(self, request: Request, planned: int) -> None:
        connection = self._connect_or_count(request, planned)
        if connection is not None:
            self._send(connection, request, planned, None)

    def _send(
        self, connection: Connection, request: Request, planned: int, answered: Event | None, *, resent: bool = False
    ) -> None:
        reused = connection.used > 0
        connected = None if reused else connection.connect_ms
        done = self.plan.dialect.stream.done
        self._flying[connection] = (_NOBODY, planned)
        self._reader.streams += 1

        def over(response: Response) -> None:
            attempt, _ = self._flying.pop(connection)
            self._reader.streams -= 1
            if (
                response.fault is not None
                and response.fault[0] in {"closed", "reset"}
                and reused
                and not response.reads
            ):
                gevent.spawn(self._again, connection, request, planned, answered)
                return
            self._ended.append((attempt, response))
            self._give_back(connection)
            if answered is not None:
                answered.set()

        connection.begin(over)
        sent = time_ns()
        attempt = Attempt(
            request.number,
            request.part,
            planned,
            sent,
            request.stream,
            done,
            request.echo,
            self.plan.foreign,
            connected,
            resent,
        )
        self._flying[connection] = (attempt, monotonic_ns())
        try:
            left = connection.send(request.data)
        except OSError as error:
            connection.give_up("reset", str(error))
            return
        self._count("sent", sent)
        if left:
            gevent.spawn(self._send_rest, connection, left)
        self._reader.glance()

    def _again(self, connection: Connection, request: Request, planned: int, answered: Event | None) -> None:
        """An idle connection that the server had closed: the request goes out once more, on a new one."""
        self._drop(connection)
        fresh = self._connect_or_count(request, planned)
        if fresh is not None:
            self._send(fresh, request, planned, answered, resent=True)
        elif answered is not None:
            answered.set()

    def _send_rest(self, connection: Connection, left: bytes) -> None:
        try:
            while left and not connection.dead:
                gevent.socket.wait_write(connection.fileno(), timeout=60)
                left = connection.send_raw(left)
        except OSError as error:
            connection.give_up("reset", str(error))

    # -- connections -----------------------------------------------------------------------------

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.popleft()
            if not connection.dead:
                if len(self._idle) + self._opening < SPARE and not self.plan.closed:
                    self._opening += 1
                    gevent.spawn(self._open_spare)
                return connection
            self._drop(connection)
        return None

    def _give_back(self, connection: Connection) -> None:
        if connection.dead:
            self._drop(connection)
        else:
            self._idle.append(connection)

    def _drop(self, connection: Connection) -> None:
        self._reader.remove(connection.fileno())
        connection.close()

    def _open_ahead(self, count: int) -> None:
        self._opening += count
        gevent.joinall([gevent.spawn(self._open_spare) for _ in range(count)])

    def _open_spare(self) -> None:
        try:
            self._idle.append(self._connect())
        except (OSError, ssl.SSLError):
            return  # the request that needs it will say why
        finally:
            self._opening -= 1

    def _connect_or_count(self, request: Request, planned: int) -> Connection | None:
        try:
            return self._connect()
        except (OSError, ssl.SSLError) as error:
            attempt = Attempt(request.number, request.part, planned, time_ns(), request.stream)
            self._ended.append((attempt, Response(Reads(), [], new_framing(), _connect_fault(error))))
            return None

    def _connect(self) -> Connection:
        if len(self._flying) + len(self._idle) >= self._limit:
            raise OSError(24, f"the limit of {self._limit} open connections is reached; raise it with ulimit -n")
        began = monotonic_ns()
        to = self.plan.origin
        greenlet_socket = gevent.socket.create_connection((to.host, to.port), timeout=CONNECT_S)
        sock = NATIVE_SOCKET(
            greenlet_socket.family, greenlet_socket.type, greenlet_socket.proto, greenlet_socket.detach()
        )
        sock.setblocking(False)
        sock.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
        self.stamped = ask_for_stamps(sock) and self.stamped
        self._reader.napping = self.stamped
        if self._tls is None:
            connection = Connection(sock, new_framing, self._reader.busy)
        else:
            connection = TlsConnection(sock, new_framing, self._reader.busy, self._tls, to.host)
            _shake_hands(connection, sock)
        connection.connect_ms = round((monotonic_ns() - began) / 1e6, 3)
        self.tally.counts["connections"] += 1
        self._reader.add(sock.fileno(), connection.on_readable)
        return connection

    # -- after the answer ------------------------------------------------------------------------

    def _analyse(self) -> None:
        """Parse, judge, record and write whatever the chores between two reads leave."""
        while True:
            if not self._ended:
                gevent.sleep(0.01)
                continue
            attempt, response = self._ended.popleft()
            self._conclude(attempt, response, gevent.idle if len(response.reads) > SLICE else None)
            gevent.idle()

    def _chore(self) -> bool:
        """One response's worth of work in the hub, a tenth of a ms, in place of a rest; whether there was one."""
        if not self._ended or len(self._ended[0][1].reads) > SLICE:
            return False
        self._conclude(*self._ended.popleft())
        return True

    def _conclude(self, attempt: Attempt, response: Response, breathe: Callable[[], None] | None = None) -> None:
        analysis = Analysis(attempt)
        for start in range(0, len(response.reads), SLICE):
            readings, lags = response.readings(start, start + SLICE)
            if start == 0:
                analysis.begin(readings[0][0], response.framing.status, response.framing.headers)
            analysis.feed(readings)
            self.tally.histogram("lag_read").add(lags)
            self.tally.histogram("lag_busy").record(max([reading[1] for reading in readings]) // 1000)
            if breathe is not None:
                breathe()
        outcome = analysis.finish(response.fault, response.framing.headers.get("retry-after"))
        self.stamped = self.stamped and response.stamped
        self._record(outcome)

    def _record(self, outcome: Outcome) -> None:
        sample = outcome.sample
        good = lambda s: slo.meets(self._objectives, s)  # noqa: E731 - bound to this plan's objectives
        self.tally.add(outcome, self.start_wall, self.plan.scenario.freeze_ms, good)
        if not self.plan.closed:
            self.tally.histogram("lag_send").record(round(sample.queue_ms * 1000))
        try:
            self.samples.write(sample)
        except OSError as error:
            self.fault = self.fault or f"{self.samples.path}: cannot be written: {error.strerror}"
        if self._telemetry is not None:
            self._telemetry.record(sample)
        self._tell_locust(sample)

    def _tell_locust(self, sample: Sample) -> None:
        fire = self.environment.events.request.fire
        failure = None if sample.ok else StreamFailure(f"{sample.outcome}: {sample.message}")
        ttft = sample.ttft_ms["content"]
        if sample.ok and ttft is not None:
            fire(
                request_type="TTFT", name=sample.part, response_time=ttft, response_length=0, exception=None, context={}
            )
        fire(
            request_type="POST",
            name=sample.part,
            response_time=sample.e2e_ms or 0.0,
            response_length=sample.tokens,
            exception=failure,
            context={},
        )

    def _watch(self) -> None:
        """Once in a while: time-outs, clock steps, the disk, and whether the run is over."""
        clock, scenario = ClockWatch(), self.plan.scenario
        ends = self.start_wall + round(self.plan.seconds * 1e9)
        while True:
            gevent.sleep(0.2)
            self.tally.histogram("clock_step").record(clock.step_us())
            self._time_out(time_ns())
            self._flush()
            if self.plan.closed and time_ns() > ends:
                self.sending = False
            drained = not self._flying and not self._ended
            late = time_ns() > ends + scenario.drain_s * 1e9
            if self.fault is not None or (not self.sending and (drained or late)):
                self.tally.counts["unfinished"] += len(self._flying)
                self._finish()
                return

    def _time_out(self, now: int) -> None:
        scenario = self.plan.scenario
        for connection, (attempt, _) in list(self._flying.items()):
            seen, whole = connection.last_seen, (now - attempt.sent) / 1e9
            if seen is None and whole > scenario.answer_s:
                connection.give_up("no_answer", f"no byte within {scenario.answer_s:g} s")
            elif seen is not None and (now - seen) / 1e9 > scenario.stall_s:
                connection.give_up("stalled", f"no byte for {scenario.stall_s:g} s inside the answer")
            elif whole > scenario.total_s:
                connection.give_up("too_slow", f"not over after {scenario.total_s:g} s")

    def _flush(self) -> None:
        try:
            self.samples.flush()
        except OSError as error:
            self.fault = self.fault or f"{self.samples.path}: cannot be written: {error.strerror}"

    def _finish(self) -> None:
        elapsed = (monotonic_ns() - self.start_mono) / 1e9
        self.cpu_share = round((time.process_time() - self._cpu) / elapsed, 4) if elapsed > 0 else None
        self.sending = False
        self._flush()
        for connection in [*self._idle, *self._flying]:
            self._drop(connection)
        self._idle.clear()
        self._reader.close()
        gc.enable()
        gc.unfreeze()
        self.finished.set()

    def _count(self, name: str, at: int) -> None:
        self.tally.at(max(at - self.start_wall, 0) // 1_000_000_000)[name] += 1


class StreamUser(User):
    """A locust user. In a closed loop it asks, waits for the answer and asks again; in an open loop it only stands for it."""

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


_NOBODY = Attempt(-1, "", 0, 0)


def _tls_context(insecure: bool) -> ssl.SSLContext:  # noqa: FBT001 - a flag of the plan
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _shake_hands(connection: TlsConnection, sock: Any) -> None:  # noqa: ANN401 - a native socket under monkey patching
    more = True
    while more:
        out, more = connection.handshake()
        while out:
            gevent.socket.wait_write(sock.fileno(), timeout=CONNECT_S)
            out = connection.send_raw(out)
        if more:
            gevent.socket.wait_read(sock.fileno(), timeout=CONNECT_S)
            connection.received(sock.recv(16384))


def _connect_fault(error: OSError) -> tuple[str, str]:
    if isinstance(error, ssl.SSLError):
        return "tls", str(error)
    if isinstance(error, gevent.socket.gaierror):
        return "dns", str(error)
    if isinstance(error, TimeoutError):
        return "connect_timeout", f"no connection within {CONNECT_S:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "refused", "the connection was refused"
    return "connect", os.strerror(error.errno) if error.errno else str(error)
