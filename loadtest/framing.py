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
MORE = -1


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
        self._step: Callable[[bytes, int, list[bytes]], int] = self._head
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
        whole = self.between_chunks
        buffer = self._buffer + data if self._buffer else data
        parts: list[bytes] = []
        at, size = 0, len(buffer)
        while at < size and not self.complete:
            after = self._step(buffer, at, parts)
            if after < 0:
                break
            at = after
        self._buffer = buffer[at:]
        if self.complete and self._buffer:
            raise FramingError("bytes after the end of the answer")
        body = b"".join(parts)
        if whole and self.between_chunks and len(self.leads) < LEADS:
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

    # Each step takes what it can of the buffer from a place on, appends body bytes to the parts, and gives the place after
    # it; -1 where it needs more bytes.

    def _head(self, buffer: bytes, at: int, _parts: list[bytes]) -> int:
        end = buffer.find(b"\r\n\r\n", at)
        if end < 0:
            begin = buffer[at : at + 9]
            if len(buffer) - at > HEAD_LIMIT:
                raise FramingError(f"a head of more than {HEAD_LIMIT} bytes")
            if not b"HTTP/1.1 ".startswith(begin) and not b"HTTP/1.0 ".startswith(begin):
                raise FramingError(f"no HTTP/1.1 response: {buffer[at : at + 20]!r}")
            return MORE
        head = buffer[at : end + 4]
        parser = self._new_parser()
        try:
            parser.feed(head)
        except HTTPException as error:
            raise FramingError(str(error)) from error
        self.status, self.headers = parser.status, parser.headers
        if self.status >= FINAL:
            self._begin_body(old=head.startswith(b"HTTP/1.0"))
        return end + 4

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

    def _counted(self, buffer: bytes, at: int, parts: list[bytes]) -> int:
        at = self._take(buffer, at, parts)
        self.complete = self._left == 0
        return at

    def _take(self, buffer: bytes, at: int, parts: list[bytes]) -> int:
        part = buffer[at : at + self._left]
        parts.append(part)
        self._left -= len(part)
        return at + len(part)

    def _rest(self, buffer: bytes, at: int, parts: list[bytes]) -> int:
        parts.append(buffer[at:])
        return len(buffer)

    def _chunk(self, buffer: bytes, at: int, parts: list[bytes]) -> int:
        end = _line_end(buffer, at)
        if end < 0:
            return MORE
        size = _size(buffer[at:end])
        begin, stop = end + 2, end + 2 + size
        if size == 0:
            self.mode, self._step = "trailer", self._trailer
            return begin
        if buffer[stop : stop + 2] == LINE_END:  # the whole chunk is there
            parts.append(buffer[begin:stop])
            return stop + 2
        self.mode, self._step, self._left = "chunk_data", self._chunk_data, size
        return begin

    def _chunk_data(self, buffer: bytes, at: int, parts: list[bytes]) -> int:
        at = self._take(buffer, at, parts)
        if not self._left:
            self.mode, self._step = "chunk_end", self._chunk_end
        return at

    def _chunk_end(self, buffer: bytes, at: int, _parts: list[bytes]) -> int:
        found = buffer[at : at + 2]
        if found == LINE_END[:1]:
            return MORE
        if found != LINE_END:
            raise FramingError(f"a chunk is followed by {found!r}")
        self.mode, self._step = "chunk", self._chunk
        return at + 2

    def _trailer(self, buffer: bytes, at: int, _parts: list[bytes]) -> int:
        end = _line_end(buffer, at)
        if end < 0:
            return MORE
        self.complete = end == at
        return end + 2


def _line_end(buffer: bytes, at: int) -> int:
    end = buffer.find(LINE_END, at)
    if end < 0 and len(buffer) - at > LINE_LIMIT:
        raise FramingError(f"a line of more than {LINE_LIMIT} bytes in the chunked framing")
    return end


def _size(line: bytes) -> int:
    digits = line if SIZE_LINE(line) else line.partition(b";")[0].rstrip(b" \t")
    if not SIZE_LINE(digits):
        raise FramingError(f"a chunk size is {line[:20]!r}")
    return int(digits, 16)
