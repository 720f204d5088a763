"""HTTP messages on raw sockets, as a proxy needs them: read whole, written back in whatever broken form a mutant wants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

__all__ = ["Answer", "Closed", "Question", "read_answer", "read_question"]

PIECE = 65536


class Closed(ConnectionError):
    """The peer closed the connection before the message was complete."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request as it was read, body without chunk framing."""

    method: str
    path: str
    raw: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as it will be written.

    `length` replaces the announced Content-Length. `cut` writes that many bytes of the body and closes; `early` is
    written before the head, `late` after the body; `close` ends the connection after a complete answer.
    """

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    version: str = "HTTP/1.1"
    length: str | None = None
    cut: int | None = None
    early: bytes = b""
    late: bytes = b""
    close: bool = False
    raw_headers: tuple[bytes, ...] = ()

    @property
    def media_type(self) -> str:
        """The media type without parameters."""
        return self.header("content-type").partition(";")[0].strip().lower()

    def header(self, name: str) -> str:
        """The value of a header, or nothing."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    def encode(self) -> bytes:
        """The bytes on the wire: framed by Content-Length, so that a stream too is one piece."""
        framing = [] if self.length == "" else [("content-length", self.length or str(len(self.body)))]
        kept = [(k, v) for k, v in self.headers if k.lower() not in ("content-length", "transfer-encoding")]
        lines = [f"{self.version} {self.status} {self.reason}", *(f"{k}: {v}" for k, v in [*kept, *framing])]
        head = b"\r\n".join([*(line.encode("latin-1", "replace") for line in lines), *self.raw_headers])
        body = self.body if self.cut is None else self.body[: self.cut]
        return self.early + head + b"\r\n\r\n" + body + self.late


class _Reader:
    def __init__(self, peer: socket.socket) -> None:
        self._peer, self._kept = peer, b""

    def until(self, mark: bytes) -> bytes:
        while mark not in self._kept:
            self._more()
        found, _, self._kept = self._kept.partition(mark)
        return found

    def exactly(self, count: int) -> bytes:
        while len(self._kept) < count:
            self._more()
        found, self._kept = self._kept[:count], self._kept[count:]
        return found

    def rest(self) -> bytes:
        try:
            while True:
                self._more()
        except Closed:
            found, self._kept = self._kept, b""
            return found

    def chunked(self) -> bytes:
        parts = []
        while size := int(self.until(b"\r\n").partition(b";")[0], 16):
            parts.append(self.exactly(size))
            self.until(b"\r\n")
        while self.until(b"\r\n"):
            pass
        return b"".join(parts)

    def _more(self) -> None:
        data = self._peer.recv(PIECE)
        if not data:
            raise Closed
        self._kept += data


def read_question(peer: socket.socket) -> Question:
    """The next request on a connection. Raises Closed."""
    reader = _Reader(peer)
    head = reader.until(b"\r\n\r\n")
    method, path, _ = head.split(b"\r\n")[0].decode("latin-1").split(" ")
    headers = _headers(head)
    body = _body(reader, headers)
    kept = [f"{k}: {v}" for k, v in headers if k.lower() not in ("content-length", "transfer-encoding", "expect")]
    lines = [f"{method} {path} HTTP/1.1", *kept, f"content-length: {len(body)}"]
    return Question(method, path, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body, body)


def read_answer(peer: socket.socket, question: Question) -> Answer:
    """The answer of the server behind the proxy."""
    reader = _Reader(peer)
    head = reader.until(b"\r\n\r\n")
    _, status, reason = [*head.split(b"\r\n")[0].decode("latin-1").split(" ", 2), ""][:3]
    headers = _headers(head)
    empty = question.method == "HEAD" or status in ("204", "304")
    return Answer(int(status), reason, headers, b"" if empty else _body(reader, headers, closing=True))


def _headers(head: bytes) -> tuple[tuple[str, str], ...]:
    lines = (line.decode("latin-1").partition(":") for line in head.split(b"\r\n")[1:])
    return tuple((name, value.strip()) for name, _, value in lines)


def _body(reader: _Reader, headers: tuple[tuple[str, str], ...], *, closing: bool = False) -> bytes:
    told = {name.lower(): value for name, value in headers}
    if "chunked" in told.get("transfer-encoding", ""):
        return reader.chunked()
    if "content-length" in told:
        return reader.exactly(int(told["content-length"]))
    return reader.rest() if closing else b""
