"""One keep-alive connection: what is needed now is done now (stamp the bytes), all else waits until the response ended.

A read costs one recvmsg and one tuple. Whether the response has ended is looked at only where it may have (a read that
closes with an empty line, a very short one, or an answer that is not chunked), and decided by the HTTP parser, except for
the one tail that cannot mean anything else: [DONE] followed by the last chunk. TLS is fed through memory BIOs, because
only recvmsg on the socket itself sees the kernel's stamps.

    Fault = (class, message)     closed, reset, cut, malformed_http, tls: what the transport saw; the class is counted
"""

from __future__ import annotations

import ssl
import struct
from dataclasses import dataclass, field
from time import time_ns
from typing import TYPE_CHECKING, Any

from loadtest.clock import ANCILLARY_BYTES
from loadtest.framing import FramingError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from loadtest.framing import Framing

__all__ = ["Busy", "Connection", "Response", "TlsConnection"]

BUFFER = 16384
TIMESPEC_BYTES = 16
NO_STAMP = b""
SHORT = 48
LAST_CHUNK = b"\r\n0\r\n\r\n"
Fault = tuple[str, str]


@dataclass(slots=True)
class Busy:
    """How long the event loop worked before it last waited, in ns; shared by all connections of a loop."""

    before: int = 0


@dataclass(slots=True)
class Reads:
    """The raw reads of one response, a list a column: what is appended for each read must cost next to nothing.

    `stamps` holds the kernel's timespec as it came (empty where there was none), `seen` ns of the wall clock, `busy` how long
    the loop had worked before (ns), `data` the bytes.
    """

    stamps: list[bytes] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    busy: list[int] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.data)

    def add(self, stamp: bytes, seen: int, busy: int, data: bytes) -> None:
        """One more read; the hot path appends by itself."""
        self.stamps.append(stamp)
        self.seen.append(seen)
        self.busy.append(busy)
        self.data.append(data)


@dataclass(slots=True)
class Response:
    """What came of one response; `fault` is None when its framing ended as HTTP wants. `bodies` are parsed so far."""

    reads: Reads
    bodies: list[bytes]
    framing: Framing
    fault: Fault | None = None
    stamped: bool = True

    def readings(self, start: int, end: int) -> tuple[list[tuple[int, int, bytes]], list[int]]:
        """((stamp, busy before, body) of reads start..end, how many us after its stamp each was seen).

        Parses what was left unparsed. Without kernel stamps a read's stamp is when it was seen, and there are no lags.
        """
        end = min(end, len(self.reads))
        if len(self.bodies) < end:
            self._parse(end)
        seen, busy, bodies = self.reads.seen[start:end], self.reads.busy[start:end], self.bodies[start:end]
        packed = b"".join(self.reads.stamps[start:end])
        if len(packed) != TIMESPEC_BYTES * len(seen):
            self.stamped = False
            return list(zip(seen, busy, bodies, strict=True)), []
        words = struct.unpack(f"{2 * len(seen)}q", packed)
        stamps = [second * 1_000_000_000 + ns for second, ns in zip(words[::2], words[1::2], strict=True)]
        lags = [(after - at) // 1000 for after, at in zip(seen, stamps, strict=True)]
        return list(zip(stamps, busy, bodies, strict=True)), lags

    def _parse(self, end: int) -> None:
        try:
            self.bodies += self.framing.feed_all(self.reads.data[len(self.bodies) : end])
        except FramingError as error:
            self.fault = self.fault or ("malformed_http", str(error))
        self.bodies += [b""] * (end - len(self.bodies))


class Connection:
    """A connected non-blocking socket. `begin` opens one exchange; `done` is called once with its Response."""

    def __init__(self, sock: socket.socket, framing: Callable[[], Framing], busy: Busy) -> None:
        self.sock = sock
        self.dead = False
        self.used = 0
        self.connect_ms: float | None = None
        self._recvmsg = sock.recvmsg
        self._new_framing = framing
        self._busy = busy
        self._done: Callable[[Response], None] | None = None
        self._reads = Reads()
        self._bodies: list[bytes] = []
        self._point()
        self._framing = framing()
        self._careful = True

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self.sock.fileno()

    @property
    def last_seen(self) -> int | None:
        """When bytes of the response under way were last seen (ns, wall clock); None before the first."""
        return self._reads.seen[-1] if self._reads.seen else None

    @property
    def waiting(self) -> bool:
        """Whether a response is under way."""
        return self._done is not None

    def begin(self, done: Callable[[Response], None]) -> None:
        """Expect one response."""
        self._done = done
        self._reads = Reads()
        self._bodies = []
        self._point()
        self._careful = True
        if self.used:
            self._framing = self._new_framing()
        self.used += 1

    def send(self, data: bytes) -> bytes:
        """Send what can be sent at once; what is left, to be sent by `send_raw` when the socket is writable."""
        return self.send_raw(data)

    def send_raw(self, data: bytes) -> bytes:
        """Hand bytes to the kernel; the rest. Raises OSError."""
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            return data
        return data[sent:]

    def on_readable(self) -> None:
        """Take what came. This is the hot path: one tuple, one comparison."""
        try:
            data, ancillary, _, _ = self._recvmsg(BUFFER, ANCILLARY_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(("reset", str(error)))
            return
        self._stamp(ancillary[0][2] if ancillary else NO_STAMP)
        self._saw(time_ns())
        self._was_busy(self._busy.before)
        self._got(data)
        if self._careful or data[-4:] == b"\r\n\r\n" or len(data) < SHORT:
            self._progress(data)

    def give_up(self, kind: str, message: str) -> None:
        """End the exchange under way from our side."""
        self._end((kind, message))

    def close(self) -> None:
        """Close the socket; an exchange under way is not told."""
        self.dead = True
        self.sock.close()

    def _progress(self, data: bytes) -> None:
        if self._done is None:
            self.dead = True
        elif not data:
            for column in (self._reads.stamps, self._reads.seen, self._reads.busy, self._reads.data):
                column.pop()
            self._eof()
        elif not self._careful and self._surely_over(data):
            self._end(None)
        else:
            self._parse()

    def _surely_over(self, data: bytes) -> bool:
        """Whether the last bytes are [DONE], at most some line ends, and the last chunk: the end of any event stream."""
        if not data.endswith(LAST_CHUNK[2:]):
            return False
        tail = data if len(data) >= SHORT else b"".join(read[-SHORT:] for read in self._reads.data[-2:])
        return tail.endswith(LAST_CHUNK) and tail[: -len(LAST_CHUNK)].rstrip(b"\r\n").endswith(b"[DONE]")

    def _parse(self) -> None:
        try:
            self._bodies += self._framing.feed_all(self._reads.data[len(self._bodies) :])
        except FramingError as error:
            self._end(("malformed_http", str(error)))
            return
        if self._framing.complete:
            self._end(None)
        else:
            self._careful = not self._framing.mode.startswith("chunk")

    def _eof(self) -> None:
        if not self._reads.data:
            self._end(("closed", "the connection was closed before any byte of the answer"))
            return
        self._parse()
        if self._done is None:
            self.dead = True
        elif self._framing.end():
            self.dead = True
            self._end(None)
        else:
            self._end(("cut", "the connection ended inside the answer"))

    def _end(self, fault: Fault | None) -> None:
        done, self._done = self._done, None
        if fault is not None or self._framing.closing:
            self.dead = True
        self._careful = True
        response = Response(self._reads, self._bodies, self._framing, fault)
        self._reads, self._bodies = Reads(), []
        self._point()
        if done is not None:
            done(response)

    def _point(self) -> None:
        """Bind the columns' appends, which the hot path calls."""
        reads = self._reads
        self._stamp, self._saw = reads.stamps.append, reads.seen.append
        self._was_busy, self._got = reads.busy.append, reads.data.append


class TlsConnection(Connection):
    """The same over TLS: ciphertext comes by recvmsg with its stamp and goes through a memory BIO."""

    def __init__(
        self, sock: socket.socket, framing: Callable[[], Framing], busy: Busy, context: ssl.SSLContext, host: str
    ) -> None:
        super().__init__(sock, framing, busy)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: Any = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def handshake(self) -> tuple[bytes, bool]:
        """(bytes to send now, whether more must be read). Raises ssl.SSLError for a certificate that is not trusted."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return self._outgoing.read(), True
        return self._outgoing.read(), False

    def received(self, data: bytes) -> None:
        """Ciphertext of the handshake."""
        self._incoming.write(data) if data else self._incoming.write_eof()

    def send(self, data: bytes) -> bytes:
        """Encrypt and send; the ciphertext that is left."""
        self._tls.write(data)
        return self.send_raw(self._outgoing.read())

    def on_readable(self) -> None:
        """Take ciphertext with its stamp; a read whose records hold no application data adds nothing."""
        try:
            data, ancillary, _, _ = self._recvmsg(BUFFER, ANCILLARY_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(("reset", str(error)))
            return
        seen = time_ns()
        self._incoming.write(data) if data else self._incoming.write_eof()
        try:
            plain, over = self._plain(over=not data)
        except ssl.SSLError as error:
            self._end(("tls", str(error)))
            return
        if plain or over:
            stamp = ancillary[0][2] if ancillary else NO_STAMP
            self._reads.add(stamp, seen, self._busy.before, plain)
            if self._careful or over or plain[-4:] == b"\r\n\r\n" or len(plain) < SHORT:
                self._progress(plain)
            if over and plain and self._done is not None:
                self._reads.add(stamp, seen, self._busy.before, b"")
                self._progress(b"")

    def _plain(self, *, over: bool) -> tuple[bytes, bool]:
        """(what can be decrypted, whether the peer has ended the stream)."""
        parts: list[bytes] = []
        while True:
            try:
                part = self._tls.read(BUFFER)
            except ssl.SSLWantReadError:
                return b"".join(parts), over
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b"".join(parts), True
            if not part:
                return b"".join(parts), True
            parts.append(part)
