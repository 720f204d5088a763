"""Where the body of an HTTP/1.1 response begins, continues and ends (RFC 9112 section 6), without a socket.

The head goes to a parser that the owner brings (llhttp); the body is ours, because the commonest read of all, exactly one
whole chunk, is recognised in a third of the time that a general parser takes.

    FramingError (ValueError)      the bytes are no HTTP/1.1 response
"""

from __future__ import annotations

import re
from http.client import HTTPException
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Framing", "FramingError", "HeadParser", "lead_of"]

SIZE_LINE = re.compile(rb"[0-9a-fA-F]{1,15}").fullmatch
HEAD_LIMIT = 64 * 1024
LINE_LIMIT = 4096
LEAD_LIMIT = 18
LEADS = 4096
NO_BODY = {204, 304}
FINAL = 200
LINE_END = b"\r\n"


class FramingError(ValueError):
    """What came is not what HTTP/1.1 allows there."""


class HeadParser(Protocol):
    """What is needed of the parser of heads: feed it one whole head, then read its status and headers."""

    headers: dict[str, str]

    @property
    def status(self) -> int:
        """The status code."""

    def feed(self, data: bytes) -> None:
        """Take the head. Raises http.client.HTTPException for what is no HTTP."""


def lead_of(data: bytes) -> bytes | None:
    """How this piece begins when it is exactly one whole chunk: the line with its size."""
    line = data[: data.find(LINE_END, 0, LEAD_LIMIT) + 2]
    digits = line[:-2]
    if not SIZE_LINE(digits) or int(digits, 16) != len(data) - len(line) - 2 or not data.endswith(LINE_END):
        return None
    return line


class Framing:
    """Takes the bytes of one response in any pieces; `feed` gives the body bytes that each piece holds."""

    __slots__ = (
        "_buffer",
        "_left",
        "_new_parser",
        "_step",
        "closing",
        "complete",
        "headers",
        "leads",
        "mode",
        "status",
    )

    def __init__(self, parser: Callable[[], HeadParser], leads: dict[int, bytes] | None = None) -> None:
        """`leads` may be shared by all responses of a process: how a piece of a length begins when it is one whole chunk."""
        self._new_parser = parser
        self.leads = {} if leads is None else leads
        self._buffer = b""
        self._left = 0
        self._step = self._head
        self.mode = "head"
        self.status = 0
        self.headers: dict[str, str] = {}
        self.closing = False
        self.complete = False

    @property
    def between_chunks(self) -> bool:
        """Whether the next byte begins a chunk."""
        return self.mode == "chunk" and not self._buffer

    def feed_all(self, pieces: Sequence[bytes | int]) -> list[bytes]:
        """`feed` for many pieces. A piece that is one whole chunk of a length seen before is only cut.

        A number stands for a whole chunk that was recognised as it came, and gives nothing.
        """
        out, leads = [], self.leads
        between = self.between_chunks
        for data in pieces:
            if isinstance(data, int):
                self.pass_over()
                out.append(b"")
                continue
            lead = leads.get(len(data)) if between else None
            if lead is not None and data.startswith(lead) and data.endswith(LINE_END):
                out.append(data[len(lead) : -2])
            else:
                out.append(self.feed(data))
                between = self.between_chunks
        return out

    def pass_over(self) -> None:
        """A whole chunk comes that needs no parsing. Raises FramingError where none can come."""
        if not self.between_chunks:
            raise FramingError("a chunk begins where none can")

    def feed(self, data: bytes) -> bytes:
        """The body bytes in this piece. Raises FramingError."""
        whole = self.mode == "chunk" and not self._buffer
        self._buffer += data
        parts = []
        while self._buffer and not self.complete:
            part = self._step()
            if part is None:
                break
            parts.append(part)
        if self.complete and self._buffer:
            raise FramingError("bytes after the end of the answer")
        body = b"".join(parts)
        if whole and self.mode == "chunk" and not self._buffer and len(self.leads) < LEADS:
            self._learn(data, len(body))
        return body

    def _learn(self, data: bytes, size: int) -> None:
        """Remember how a piece of this length begins when it is one whole chunk."""
        line = data[: data.find(b"\r\n") + 2]
        if len(data) == len(line) + size + 2:
            self.leads[len(data)] = line

    def end(self) -> bool:
        """The connection ended: whether that is the end of the body too."""
        if self.mode == "until_eof":
            self.complete = True
        return self.complete

    def _head(self) -> bytes | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_LIMIT:
                raise FramingError(f"a head of more than {HEAD_LIMIT} bytes")
            if not b"HTTP/1.1 ".startswith(self._buffer[:9]) and not b"HTTP/1.0 ".startswith(self._buffer[:9]):
                raise FramingError(f"no HTTP/1.1 response: {self._buffer[:20]!r}")
            return None
        head, self._buffer = self._buffer[: end + 4], self._buffer[end + 4 :]
        parser = self._new_parser()
        try:
            parser.feed(head)
        except HTTPException as error:
            raise FramingError(str(error)) from error
        self.status, self.headers = parser.status, parser.headers
        if self.status >= FINAL:
            self._begin_body(old=head.startswith(b"HTTP/1.0"))
        return b""

    def _begin_body(self, *, old: bool) -> None:
        connection = self.headers.get("connection", "").lower()
        self.closing = "close" in connection or (old and "keep-alive" not in connection)
        coding, length = self.headers.get("transfer-encoding", "").lower(), self.headers.get("content-length")
        if self.status in NO_BODY:
            self.complete = True
        elif coding.endswith("chunked"):
            self.mode, self._step = "chunk", self._chunk
        elif length is not None:
            if not length.isascii() or not length.isdigit():
                raise FramingError(f"content-length is {length!r}")
            self.mode, self._step, self._left = "length", self._counted, int(length)
            self.complete = self._left == 0
        else:
            self.mode, self._step, self.closing = "until_eof", self._rest, True

    def _counted(self) -> bytes:
        part, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
        self._left -= len(part)
        self.complete = self._left == 0
        return part

    def _rest(self) -> bytes:
        part, self._buffer = self._buffer, b""
        return part

    def _chunk(self) -> bytes | None:
        line = self._line()
        if line is None:
            return None
        size = self._size(line)
        if size == 0:
            self.mode, self._step = "trailer", self._trailer
            return b""
        self.mode, self._step, self._left = "chunk_data", self._chunk_data, size
        return b""

    def _size(self, line: bytes) -> int:
        digits = line.partition(b";")[0].rstrip(b" \t")
        if not SIZE_LINE(digits):
            raise FramingError(f"a chunk size is {line[:20]!r}")
        return int(digits, 16)

    def _chunk_data(self) -> bytes:
        part, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
        self._left -= len(part)
        if not self._left:
            self.mode, self._step = "chunk_end", self._chunk_end
        return part

    def _chunk_end(self) -> bytes | None:
        if len(self._buffer) < len(LINE_END):
            if self._buffer != b"\r":
                raise FramingError(f"a chunk is followed by {self._buffer!r}")
            return None
        if self._buffer[:2] != b"\r\n":
            raise FramingError(f"a chunk is followed by {self._buffer[:2]!r}")
        self._buffer = self._buffer[2:]
        self.mode, self._step = "chunk", self._chunk
        return b""

    def _trailer(self) -> bytes | None:
        line = self._line()
        if line is None:
            return None
        self.complete = not line
        return b""

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > LINE_LIMIT:
                raise FramingError(f"a line of more than {LINE_LIMIT} bytes in the chunked framing")
            return None
        line, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
        return line
