"""A sans-I/O decoder of server-sent events: bytes in, events out, by the rules of the WHATWG HTML standard, section 9.2.

Bytes may be split anywhere. Lines end with CR, LF or CRLF; one BOM at the start is dropped; an event is dispatched by a
blank line; an event that is unfinished when the stream ends is dropped by the rules and reported as `Decoder.unfinished`.
Beyond the standard, each event knows the byte range it came from, and oddities that a strict reader may want to judge
(unknown fields, invalid UTF-8, a field line outside ASCII rules) are collected as facts, never raised.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Decoder", "Event"]

BOM = b"\xef\xbb\xbf"
CR, LF = 0x0D, 0x0A
KEPT_ODDITIES = 100  # a hostile stream may be nothing else


@dataclass(frozen=True, slots=True)
class Event:
    """One dispatched event: its type, data, last id, and the bytes [start, end) of the stream that made it."""

    type: str
    data: str
    id: str | None
    start: int
    end: int


@dataclass(slots=True)
class Decoder:
    """Feed it bytes, take events. `oddities` lists (offset, what) that browsers forgive and a careful reader reports.

    `limit` bounds the bytes of one event and of one line: past it `overflow` is set, and all is discarded up to the next
    blank line. That too depends on the bytes alone, not on how they are split.
    """

    limit: int = 16 * 1024 * 1024
    oddities: list[tuple[int, str]] = field(default_factory=list)
    comments: int = 0
    dataless: int = 0
    overflow: bool = False
    _buffer: bytearray = field(default_factory=bytearray)
    _scan: int = 0
    _offset: int = 0
    _started: bool = False
    _data: list[str] = field(default_factory=list)
    _type: str = ""
    _id: str | None = None
    _start: int | None = None
    _skipping: bool = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete, in order."""
        self._buffer += data
        if not self._started and not self._drop_bom():
            return []
        return self._lines(final=False)

    def close(self) -> list[Event]:
        """The event that a last lone CR completes, if any. Call once, at the end of the stream."""
        return self._lines(final=True)

    @property
    def unfinished(self) -> bool:
        """Whether bytes of an event that no blank line ended are pending: the standard drops them."""
        return self._start is not None or self._skipping or bool(self._buffer)

    def _drop_bom(self) -> bool:
        if len(self._buffer) < len(BOM) and BOM.startswith(self._buffer):
            return False
        self._started = True
        if self._buffer.startswith(BOM):
            del self._buffer[: len(BOM)]
            self._offset += len(BOM)
        return True

    def _lines(self, *, final: bool) -> list[Event]:
        """Take every complete line from the buffer; a CR at its end waits, as an LF may follow."""
        events: list[Event] = []
        position, buffer = 0, self._buffer
        while True:
            end = _line_end(buffer, max(position, self._scan))
            if end < 0 or (buffer[end] == CR and end + 1 == len(buffer) and not final):
                self._scan = len(buffer) if end < 0 else end
                break
            after = end + 2 if buffer[end : end + 2] == b"\r\n" else end + 1
            self._bound(self._offset + position, self._offset + end)
            event = self._line(bytes(buffer[position:end]), self._offset + position, self._offset + after)
            if event is not None:
                events.append(event)
            position = self._scan = after
        del buffer[:position]
        self._scan -= position
        self._offset += position
        self._cut_rest()
        return events

    def _bound(self, start: int, end: int) -> None:
        """Note that the line that begins at `start` makes itself or its event too long by reaching to `end`."""
        if not self._skipping and end - (start if self._start is None else self._start) > self.limit:
            self.overflow = self._skipping = True
            self._start = None
            self._data.clear()

    def _cut_rest(self) -> None:
        """Forget the begun line where it is too long already: what was cut goes on as a comment, as it is no line of its own."""
        begun = len(self._buffer) - self._buffer.endswith(b"\r")  # a CR may be the line's end, and no part of it
        self._bound(self._offset, self._offset + begun)
        if self._skipping and begun > 1:
            self._offset += begun - 1
            self._buffer[:begun] = b":"
            self._scan = max(1, self._scan - (begun - 1))

    def _line(self, line: bytes, start: int, end: int) -> Event | None:
        if not line:
            return self._dispatch(end)
        if self._skipping:
            return None
        if line.startswith(b":"):
            self.comments += 1
            return None
        if self._start is None:
            self._start = start
        name, _, value = line.partition(b":")
        self._field(self._text(name, start), self._text(value.removeprefix(b" "), start), start)
        return None

    def _text(self, raw: bytes, offset: int) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            self._odd(offset, "invalid UTF-8")
            return raw.decode("utf-8", "replace")

    def _field(self, name: str, value: str, offset: int) -> None:
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif name == "id":
            if "\0" not in value:
                self._id = value
        elif name != "retry":
            self._odd(offset, f"unknown field {name[:40]!r}")

    def _odd(self, offset: int, what: str) -> None:
        if len(self.oddities) < KEPT_ODDITIES:
            self.oddities.append((offset, what))

    def _dispatch(self, end: int) -> Event | None:
        start, self._start, self._skipping = self._start, None, False
        kind, self._type = self._type, ""
        data, self._data = self._data, []
        if start is None:
            return None
        if not data:
            self.dataless += bool(kind)
            return None
        return Event(kind or "message", "\n".join(data), self._id, start, end)


def _line_end(buffer: bytearray, start: int) -> int:
    """Index of the first CR or LF at or after start; -1 when there is none."""
    lf = buffer.find(b"\n", start)
    cr = buffer.find(b"\r", start, lf if lf >= 0 else len(buffer))
    return cr if cr >= 0 else lf
