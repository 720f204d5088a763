"""One keep-alive connection: what is needed now is done now (stamp the bytes), all else waits until the response ended.

A plain connection whose bytes the kernel stamps is read by the Reader itself, one recvmsg and three appends a
read; every other one by `on_readable`. Whether the response has ended is looked at only where it may have (a read that
closes with an empty line, a very short one, or an answer that is not chunked), and decided by the HTTP parser, except for
the one tail that cannot mean anything else: [DONE] followed by the last chunk. TLS is fed through memory BIOs, because
only recvmsg on the socket itself sees the kernel's stamps. The Reader tells of a change once, so a read that fills the
buffer, or comes with the news of an end, is followed by others until nothing is left.

    Fault = (class, message)     closed, reset, cut, malformed_http, tls: what the transport saw; the class is counted
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from time import time_ns
from typing import TYPE_CHECKING, Any

from loadtest.clock import ANCILLARY_BYTES
from loadtest.framing import FramingError, lead_of
from loadtest.response import Reads, Response

if TYPE_CHECKING:
    import socket

    from loadtest.framing import Framing
    from loadtest.response import Fault
    from loadtest.shape import Shape

__all__ = ["BUFFER", "ENDING", "NO_STAMP", "SHORT", "Busy", "Connection", "TlsConnection"]

BUFFER = 16384
NO_STAMP = b""
SHORT = 48
ENDING = b"\r\n\r\n"
LAST_CHUNK = b"\r\n0\r\n\r\n"
Taste = Callable[[bytes], "Shape | None"]
# Of chunks of one length: how they open and close, where their text begins and ends.
Alike = tuple[bytes, bytes, int, int]
LESSONS = 5


@dataclass(slots=True)
class Busy:
    """How long the event loop worked before it last waited, in ns; shared by all connections of a loop."""

    before: int = 0


class Connection:
    """A connected non-blocking socket. `begin` opens one exchange; `done` is called once with its Response."""

    def __init__(self, sock: socket.socket, framing: Callable[[], Framing], busy: Busy) -> None:
        self.sock = sock
        self.dead = False
        self.used = 0
        self.connect_ms: float | None = None
        self.careful = True
        self.reads = Reads()
        self.alike: dict[int, Alike] = {}
        self.lessons = 0
        self._shape: Shape | None = None
        self._taste: Taste | None = None
        self.recvmsg = sock.recvmsg
        self._new_framing = framing
        self._busy = busy
        self._done: Callable[[Response], None] | None = None
        self._bodies: list[bytes] = []
        self._framing = framing()

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self.sock.fileno()

    @property
    def last_seen(self) -> int | None:
        """When bytes of the response under way were last seen (ns, wall clock); None before the first."""
        return self.reads.looks[-1][0] if self.reads.looks else None

    @property
    def waiting(self) -> bool:
        """Whether a response is under way."""
        return self._done is not None

    def begin(self, done: Callable[[Response], None], taste: Taste | None = None) -> None:
        """Expect one response. With `taste` chunks that differ in their text alone are recognised as they come, and not kept."""
        self._done = done
        self._taste, self._shape = taste, None
        self.alike.clear()
        self.lessons = 0 if taste is None else LESSONS
        self.reads.taken()
        self._bodies = []
        self.careful = True
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

    def on_readable(self, *, to_the_end: bool) -> None:
        """Take what came: one read unless it fills the buffer, or all that there is."""
        while (size := self._read_once()) and (to_the_end or size == BUFFER):
            pass

    def failed(self, error: OSError) -> None:
        """A read raised this."""
        if not isinstance(error, (BlockingIOError, InterruptedError)):
            self._end(("reset", str(error)))

    def learn(self, data: bytes) -> Alike | None:
        """What a chunk of this length has if it is like those before; called while lessons are left and that is not known."""
        lead = lead_of(data)
        if lead is None or self._taste is None:
            self.lessons -= 1
            return None
        if self._shape is not None:
            return self._expect(lead, data)
        self.lessons -= 1
        self._shape = self._taste(data[len(lead) : -2])
        self._expect(lead, data)
        return None  # the chunk that taught is kept: it may be the first of its kind

    def _expect(self, lead: bytes, data: bytes) -> Alike | None:
        if self._shape is None:
            return None
        opening, closing = lead + self._shape[0], self._shape[1] + data[-2:]
        begin, end = len(opening), len(data) - len(closing)
        if begin >= end:
            return None
        alike = self.alike[len(data)] = (opening, closing, begin, end)
        return alike

    def give_up(self, kind: str, message: str) -> None:
        """End the exchange under way from our side."""
        self._end((kind, message))

    def close(self) -> None:
        """Close the socket; an exchange under way is not told."""
        self.dead = True
        self.sock.close()

    def _read_once(self) -> int:
        """How many bytes came; 0 where nothing can follow."""
        try:
            data, ancillary, _, _ = self.recvmsg(BUFFER, ANCILLARY_BYTES)
        except OSError as error:
            self.failed(error)
            return 0
        self.reads.add(ancillary[0][2] if ancillary else NO_STAMP, [time_ns(), self._busy.before], data)
        if self.careful or data[-4:] == ENDING or len(data) < SHORT:
            self.progress(data)
        return 0 if self.dead else len(data)

    def progress(self, data: bytes) -> None:
        """After a read, which is the last of `reads`, that may have ended the response."""
        if self._done is None:
            self.dead = True
        elif not data:
            self.reads.drop_last()
            self._eof()
        elif not self.careful and self._surely_over(data):
            self._end(None)
        else:
            self._parse()

    def _surely_over(self, data: bytes) -> bool:
        """Whether the last bytes are [DONE], at most some line ends, and the last chunk: the end of any event stream."""
        if not data.endswith(LAST_CHUNK[2:]):
            return False
        tail = (
            data
            if len(data) >= SHORT
            else b"".join(read[-SHORT:] for read in self.reads.data[-2:] if isinstance(read, bytes))
        )
        return tail.endswith(LAST_CHUNK) and tail[: -len(LAST_CHUNK)].rstrip(b"\r\n").endswith(b"[DONE]")

    def _parse(self) -> None:
        try:
            self._bodies += self._framing.feed_all(self.reads.data[len(self._bodies) :])
        except FramingError as error:
            self._end(("malformed_http", str(error)))
            return
        if self._framing.complete:
            self._end(None)
        else:
            self.careful = not self._framing.mode.startswith("chunk")

    def _eof(self) -> None:
        if not self.reads.data:
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
        self.careful = True
        response = Response(self.reads.taken(), self._bodies, self._framing, fault, self._shape)
        self._bodies = []
        if done is not None:
            done(response)


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

    def _read_once(self) -> int:
        """Take ciphertext with its stamp; a read whose records hold no application data adds nothing."""
        try:
            data, ancillary, _, _ = self.recvmsg(BUFFER, ANCILLARY_BYTES)
        except OSError as error:
            self.failed(error)
            return 0
        look = [time_ns(), self._busy.before]
        self._incoming.write(data) if data else self._incoming.write_eof()
        try:
            plain, over = self._plain(over=not data)
        except ssl.SSLError as error:
            self._end(("tls", str(error)))
            return 0
        if plain or over:
            stamp = ancillary[0][2] if ancillary else NO_STAMP
            self.reads.add(stamp, look, plain)
            if self.careful or over or plain[-4:] == ENDING or len(plain) < SHORT:
                self.progress(plain)
            if over and plain and self._done is not None:
                self.reads.add(stamp, look, b"")
                self.progress(b"")
        return 0 if over or self.dead else len(data)

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
