"""All sockets of a process in one epoll set, read in one callback of gevent's hub.

Reads come straight from epoll, without a greenlet switch and, for the plain connections that are nearly all there ever are,
without a call of ours a read. Changes are told once (EPOLLET), so a connection costs the kernel nothing while it is idle.

Because the kernel stamps what arrives, a busy generator need not hurry: with many streams open it rests NAP_S between looks,
so that each look finds more to read, and takes several looks before it gives the loop its turn. That costs no accuracy and
saves a third of its CPU (benchmarks/load/nap.py).
"""

from __future__ import annotations

import select
from time import monotonic_ns, time_ns
from typing import TYPE_CHECKING, Any

import gevent
from gevent import monkey

from loadtest.clock import ANCILLARY_BYTES
from loadtest.connection import BUFFER, ENDING, NO_STAMP, SHORT, Busy
from loadtest.shape import NOT_PLAIN_ASCII

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadtest.connection import Alike, Connection
    from loadtest.response import Look

__all__ = ["Reader"]

EPOLL: Any = monkey.get_original("select", "epoll")
rest: Any = monkey.get_original("time", "sleep")
READABLE = select.EPOLLIN
CHANGES = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
NAP_S = 0.0006
NAP_FROM = 48
NAP_CLEAR_NS = 1_000_000
CHORE_NS = 300_000
BATCH, BATCHES = 64, 16
GLANCE_NS = 500_000
LOOKS = 4


class Reader:
    """All connections of a process in one epoll set, read in one callback of the hub."""

    def __init__(self) -> None:
        self.busy = Busy()
        self.streams = 0
        self.hurry = False  # somebody waits for the loop's turn
        self.napping = True
        self.chore: Callable[[], bool] = lambda: False
        self.next_due: Callable[[], int] = lambda: 1 << 62
        self._plain: dict[int, tuple[Any, Any, Any, Any, dict[int, Alike], Connection]] = {}
        self._others: dict[int, Callable[..., None]] = {}
        self._epoll = EPOLL()
        loop = gevent.get_hub().loop
        self._woken = self._looked = monotonic_ns()
        self._watchers = [loop.io(self._epoll.fileno(), 1), loop.prepare(), loop.check()]
        for watcher, callback in zip(self._watchers, (self._ready, self._sleeps, self._wakes), strict=True):
            watcher.start(callback)

    def add(self, connection: Connection, *, bulk: bool) -> None:
        """Read from that connection from now on; `bulk` where its reads are plain bytes that the kernel stamps."""
        fd, reads = connection.fileno(), connection.reads
        if bulk:
            appends = (reads.stamps.append, reads.looks.append, reads.data.append)
            self._plain[fd] = (connection.recvmsg, *appends, connection.alike, connection)
        else:
            self._others[fd] = connection.on_readable
        self._epoll.register(fd, CHANGES)

    def add_timer(self, fd: int, callback: Callable[[], None]) -> None:
        """Call back whenever that timer's descriptor is readable."""
        self._others[fd] = lambda **_: callback()
        self._epoll.register(fd, READABLE)

    def remove(self, fd: int) -> None:
        """Forget a descriptor; call before closing it."""
        if self._plain.pop(fd, None) or self._others.pop(fd, None):
            self._epoll.unregister(fd)

    def close(self) -> None:
        """Stop watching."""
        for watcher in self._watchers:
            watcher.stop()
            watcher.close()
        self._epoll.close()

    def look(self) -> bool:
        """Read from every connection that has something, a few at a time: among them may be the timer of a send. Whether any had."""
        self._looked = monotonic_ns()
        found = False
        for _ in range(BATCHES):
            ready = self._epoll.poll(0, BATCH)
            if ready:
                found = True
                look = [0, self.busy.before]
                self._read(ready, look)
                look[0] = time_ns()
            if len(ready) < BATCH:
                break
        return found

    def glance(self, after_ns: int = GLANCE_NS) -> bool:
        """Look, if the last look was a while ago: for those who work in a row without giving the loop its turn."""
        since = monotonic_ns() - self._looked
        if since <= after_ns:
            return False
        self.busy.before = since
        return self.look()

    def _read(self, ready: list[tuple[int, int]], look: Look) -> None:  # noqa: C901 - a call a read would cost as much as all this
        """The hot path: a read of each of these."""
        get = self._plain.get
        for fd, events in ready:
            entry = get(fd)
            if entry is None:
                other = self._others.get(fd)
                if other is not None:
                    other(to_the_end=events != READABLE)
                continue
            receive, stamp, seen, got, known, connection = entry
            try:
                data, ancillary, _, _ = receive(BUFFER, ANCILLARY_BYTES)
            except OSError as error:
                connection.failed(error)
                continue
            stamp(ancillary[0][2] if ancillary else NO_STAMP)
            seen(look)
            alike = known.get(len(data))
            if alike is None and connection.lessons:
                alike = connection.learn(data)
            if alike is not None:
                opening, closing, begin, end = alike
                if data.startswith(opening) and data.endswith(closing) and not NOT_PLAIN_ASCII(data, begin, end):
                    got(end - begin)
                    if events != READABLE:
                        connection.on_readable(to_the_end=True)
                    continue
            got(data)
            if connection.careful or data[-4:] == ENDING or len(data) < SHORT:
                connection.progress(data)
            if (len(data) == BUFFER or events != READABLE) and data and not connection.dead:
                connection.on_readable(to_the_end=True)

    def _ready(self) -> None:
        """Look; where nobody waits for the loop's turn, work or rest a little and look again, a few times."""
        self.busy.before = max(self.busy.before, monotonic_ns() - self._woken)
        self.look()
        for _ in range(LOOKS):
            clear = self.next_due() - monotonic_ns()
            worked = clear > CHORE_NS and self.chore()
            if clear <= NAP_CLEAR_NS or self.streams < NAP_FROM or not self.napping:
                break
            if not worked:
                rest(NAP_S)
            if self.hurry or not self.glance(0):
                break
        self.hurry = False

    def _sleeps(self) -> None:
        self.busy.before = monotonic_ns() - max(self._woken, self._looked)

    def _wakes(self) -> None:
        self._woken = monotonic_ns()
