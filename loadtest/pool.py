"""The connections of a worker: opened ahead of need, given out, taken back, and refused above the system's limit."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import ssl
from collections import deque
from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import gevent
import gevent.socket
from gevent import monkey
from gevent.pool import Group

from loadtest.clock import ask_for_stamps
from loadtest.connection import Connection, TlsConnection
from loadtest.head import new_framing

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadtest.body import Origin
    from loadtest.reader import Reader

__all__ = ["CONNECT_S", "Pool", "connect_fault"]

NATIVE_SOCKET: Any = monkey.get_original("socket", "socket")
CONNECT_S = 10.0
KEPT_FOR_OTHERS = 128
WIDE = 4096  # descriptors


class Pool:
    """Idle connections, the one that was used last longest ago first; `spare` of them are kept ready where possible."""

    def __init__(self, to: Origin, reader: Reader, opened: Callable[[], None], *, insecure: bool) -> None:
        """`opened` is told of every connection."""
        self.spare = 0
        self.stamped = True
        self._to = to
        self._reader = reader
        self._opened = opened
        self._idle: deque[Connection] = deque()
        self._all: set[Connection] = set()
        self._opening = Group()
        self._limit = max(resource.getrlimit(resource.RLIMIT_NOFILE)[0] - KEPT_FOR_OTHERS, 16)
        _widen_table(min(self._limit, WIDE))
        self._tls = _tls_context(insecure=insecure) if to.tls else None

    def take(self) -> Connection | None:
        """A connection that was idle; None where all are in use. Others are opened when few are left."""
        while self._idle:
            connection = self._idle.popleft()
            if not connection.dead:
                if len(self._idle) + len(self._opening) < self.spare:
                    self._reader.hurry = True
                    self._opening.spawn(self._open_spare)
                return connection
            self.drop(connection)
        return None

    def give_back(self, connection: Connection) -> None:
        """Whoever took it needs it no more."""
        if connection.dead:
            self.drop(connection)
        else:
            self._idle.append(connection)

    def drop(self, connection: Connection) -> None:
        """Close it."""
        self._all.discard(connection)
        self._reader.remove(connection.fileno())
        connection.close()

    def open_ahead(self, count: int) -> None:
        """Open so many, and wait until they are open or refused."""
        for _ in range(count):
            self._opening.spawn(self._open_spare)
        self._opening.join()

    def close(self) -> None:
        """Close every connection, those in use and those half open too."""
        self._opening.kill(block=False)
        for connection in list(self._all):
            self.drop(connection)
        self._idle.clear()

    def connect(self) -> Connection:
        """A new connection. Raises OSError or ssl.SSLError; `connect_fault` says what that means."""
        if len(self._all) >= self._limit:
            raise OSError(24, f"the limit of {self._limit} open connections is reached; raise it with ulimit -n")
        began = monotonic_ns()
        sock = self._socket()
        stamped = ask_for_stamps(sock)
        self.stamped = stamped and self.stamped
        self._reader.napping = self.stamped
        if self._tls is None:
            connection = Connection(sock, new_framing, self._reader.busy)
        else:
            connection = TlsConnection(sock, new_framing, self._reader.busy, self._tls, self._to.host)
            _shake_hands(connection, sock)
        connection.connect_ms = round((monotonic_ns() - began) / 1e6, 3)
        self._all.add(connection)
        self._opened()
        self._reader.add(connection, bulk=stamped and self._tls is None)
        return connection

    def _socket(self) -> Any:  # noqa: ANN401 - a native socket under monkey patching
        opened = gevent.socket.create_connection((self._to.host, self._to.port), timeout=CONNECT_S)
        sock = NATIVE_SOCKET(opened.family, opened.type, opened.proto, opened.detach())
        sock.setblocking(False)
        sock.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
        return sock

    def _open_spare(self) -> None:
        try:
            self._idle.append(self.connect())
        except (OSError, ssl.SSLError):
            return  # the request that needs it will say why


def connect_fault(error: OSError) -> tuple[str, str]:
    """(class, message) of a connection that did not come about."""
    if isinstance(error, ssl.SSLError):
        return "tls", str(error)
    if isinstance(error, gevent.socket.gaierror):
        return "dns", str(error)
    if isinstance(error, TimeoutError):
        return "connect_timeout", f"no connection within {CONNECT_S:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "refused", "the connection was refused"
    return "connect", os.strerror(error.errno) if error.errno else str(error)


def _widen_table(descriptors: int) -> None:
    """Make room for so many now: where a process with threads outgrows its table, the kernel holds it up for 10 ms or more."""
    with contextlib.suppress(OSError), Path(os.devnull).open("rb") as file:
        os.close(fcntl.fcntl(file, fcntl.F_DUPFD, descriptors - 1))


def _tls_context(*, insecure: bool) -> ssl.SSLContext:
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
