"""One keep-alive connection: what is needed now is done now (stamp the bytes), all else waits until the response ended.

A read costs one recvmsg and one tuple. Whether the response has ended is looked at only where it may have (a read that
closes with an empty line, a very short one, or an answer that is not chunked), and decided by the HTTP parser, except for
the one tail that cannot mean anything else: [DONE] followed by the last chunk. TLS is fed through memory BIOs, because
only recvmsg on the socket itself sees the kernel's stamps.

    Fault = (class, message)     closed, reset, cut, malformed_http, tls: what the transport saw; the class is counted
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from time import time_ns
from typing import TYPE_CHECKING, Any, Protocol

from loadtest.clock import ANCILLARY_BYTES, stamp_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

__all__ = ["Busy", "Connection", "Parser", "Response", "TlsConnection"]

BUFFER = 16384
SHORT = 48
LAST_CHUNK = b"\r\n0\r\n\r\n"
Fault = tuple[str, str]
Read = tuple[list[tuple[int, int, bytes]], int, int, bytes]


class Parser(Protocol):
    """What the connection needs of an HTTP/1.1 response parser."""

    complete: bool
    head_done: bool
    chunked: bool
    closing: bool
    headers: dict[str, str]

    @property
    def status(self) -> int:
        """The response's status."""

    def feed(self, data: bytes) -> None:
        """Take bytes. Raises ValueError for what is no HTTP."""

    def take(self) -> bytes:
        """The body bytes since the last call."""

    def ends_at_eof(self) -> bool:
        """Whether the end of the connection is the end of the body."""


@dataclass(slots=True)
class Busy:
    """How long the event loop worked before it last waited, in ns; shared by all connections of a loop."""

    before: int = 0


@dataclass(slots=True)
class Response:
    """The raw reads of one response; `fault` is None when the parser saw its end."""

    reads: list[Read]
    bodies: list[bytes]
    parser: Parser
    fault: Fault | None = None
    stamped: bool = True
    _lags: list[int] = field(default_factory=list)

    def readings(self, start: int, end: int) -> list[tuple[int, int, bytes]]:
        """(stamp, busy before, body) of reads start..end; parses what was left unparsed, and collects the lags."""
        out = []
        for index in range(start, min(end, len(self.reads))):
            ancillary, seen, busy, data = self.reads[index]
            if index >= len(self.bodies):
                self._parse(data)
            at = stamp_of(ancillary) if ancillary else None
            if at is None:
                at = seen
                self.stamped = False
            else:
                self._lags.append((seen - at) // 1000)
            out.append((at, busy, self.bodies[index]))
        return out

    def take_lags(self) -> list[int]:
        """How long after the kernel's stamp each read was seen, in us."""
        lags, self._lags = self._lags, []
        return lags

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed(data)
        except ValueError as error:
            self.fault = self.fault or ("malformed_http", str(error))
        self.bodies.append(self.parser.take())


class Connection:
    """A connected non-blocking socket. `begin` opens one exchange; `done` is called once with its Response."""

    def __init__(self, sock: socket.socket, parser: Callable[[], Parser], busy: Busy) -> None:
        self.sock = sock
        self.dead = False
        self.used = 0
        self.connect_ms: float | None = None
        self._recvmsg = sock.recvmsg
        self._new_parser = parser
        self._busy = busy
        self._done: Callable[[Response], None] | None = None
        self._reads: list[Read] = []
        self._bodies: list[bytes] = []
        self._parser = parser()
        self._careful = True

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self.sock.fileno()

    @property
    def last_seen(self) -> int | None:
        """When bytes of the response under way were last seen (ns, wall clock); None before the first."""
        return self._reads[-1][1] if self._reads else None

    @property
    def waiting(self) -> bool:
        """Whether a response is under way."""
        return self._done is not None

    def begin(self, done: Callable[[Response], None]) -> None:
        """Expect one response."""
        self._done = done
        self._reads = []
        self._bodies = []
        self._careful = True
        if self.used:
            self._parser = self._new_parser()
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
        self._reads.append((ancillary, time_ns(), self._busy.before, data))
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
            self._reads = []
        elif not data:
            self._reads.pop()
            self._eof()
        elif not self._careful and self._surely_over(data):
            self._end(None)
        else:
            self._parse()

    def _surely_over(self, data: bytes) -> bool:
        """Whether the last bytes are [DONE], at most some line ends, and the last chunk: the end of any event stream."""
        if not data.endswith(LAST_CHUNK[2:]):
            return False
        tail = data if len(data) >= SHORT else b"".join(read[3][-SHORT:] for read in self._reads[-2:])
        return tail.endswith(LAST_CHUNK) and tail[: -len(LAST_CHUNK)].rstrip(b"\r\n").endswith(b"[DONE]")

    def _parse(self) -> None:
        try:
            for read in self._reads[len(self._bodies) :]:
                self._parser.feed(read[3])
                self._bodies.append(self._parser.take())
        except ValueError as error:
            self._end(("malformed_http", str(error)))
            return
        if self._parser.complete:
            self._end(None)
        elif self._parser.head_done:
            self._careful = not self._parser.chunked

    def _eof(self) -> None:
        if not self._reads:
            self._end(("closed", "the connection was closed before any byte of the answer"))
            return
        self._parse()
        if self._done is None:
            self.dead = True
        elif self._parser.ends_at_eof():
            self.dead = True
            self._end(None)
        else:
            self._end(("cut", "the connection ended inside the answer"))

    def _end(self, fault: Fault | None) -> None:
        done, self._done = self._done, None
        if fault is not None or self._parser.closing:
            self.dead = True
        self._careful = True
        response = Response(self._reads, self._bodies, self._parser, fault)
        self._reads, self._bodies = [], []
        if done is not None:
            done(response)


class TlsConnection(Connection):
    """The same over TLS: ciphertext comes by recvmsg with its stamp and goes through a memory BIO."""

    def __init__(
        self, sock: socket.socket, parser: Callable[[], Parser], busy: Busy, context: ssl.SSLContext, host: str
    ) -> None:
        super().__init__(sock, parser, busy)
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
            self._reads.append((ancillary, seen, self._busy.before, plain))
            if self._careful or over or plain[-4:] == b"\r\n\r\n" or len(plain) < SHORT:
                self._progress(plain)
            if over and plain and self._done is not None:
                self._reads.append((ancillary, seen, self._busy.before, b""))
                self._progress(b"")

    def _plain(self, *, over: bool) -> tuple[bytes, bool]:
        """(what can be decrypted, whether the peer has ended the stream)."""
        parts = []
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
