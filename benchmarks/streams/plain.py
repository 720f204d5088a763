"""A second reading of event streams, whole and simple: what the decoder must come to, however the bytes are cut.

Written from section 9.2 of the WHATWG HTML standard for streams that lie there whole, without a thought for speed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["Reading", "read"]

BOM = b"\xef\xbb\xbf"
END = re.compile(rb"\r\n|\r|\n")
MOST_ODDITIES = 100


@dataclass(slots=True)
class Reading:
    """Events as (type, data, id, start, end), and the facts beside them; `parts` says of every byte what it was."""

    events: list[tuple[str, str, str | None, int, int]] = field(default_factory=list)
    oddities: list[tuple[int, str]] = field(default_factory=list)
    comments: int = 0
    dataless: int = 0
    overflow: bool = False
    unfinished: bool = False
    parts: list[tuple[str, int, int]] = field(default_factory=list)


@dataclass(slots=True)
class _Block:
    """The lines since the last blank one."""

    start: int | None = None
    kind: str = ""
    data: list[str] = field(default_factory=list)
    too_long: bool = False


def read(stream: bytes, limit: int) -> Reading:
    """What a stream says, with events and lines of at most `limit` bytes."""
    found, block, last_id = Reading(), _Block(), None
    position = len(BOM) if stream.startswith(BOM) else 0
    found.parts.append(("mark", 0, position))
    for end in END.finditer(stream, position):
        start, line, position = position, stream[position : end.start()], end.end()
        block.too_long = block.too_long or _long(block, start, end.start(), limit)
        if not line:
            _close(found, block, last_id, start, position)
            block = _Block()
        elif block.too_long:
            found.overflow = True
            found.parts.append(("cut", start, position))
        elif line.startswith(b":"):
            found.comments += 1
            found.parts.append(("comment", start, position))
        else:
            last_id = _field(found, block, last_id, line, start)
            found.parts.append(("field", start, position))
    too_long = block.too_long or _long(block, position, len(stream), limit)
    found.overflow = found.overflow or too_long
    found.parts.append(("rest", position, len(stream)))
    found.unfinished = block.start is not None or too_long or position < len(stream)
    return found


def _long(block: _Block, start: int, end: int, limit: int) -> bool:
    return end - (start if block.start is None else block.start) > limit


def _close(found: Reading, block: _Block, last_id: str | None, start: int, end: int) -> None:
    found.parts.append(("blank", start, end))
    if block.too_long:
        found.overflow = True
    elif block.start is not None and block.data:
        found.events.append((block.kind or "message", "\n".join(block.data), last_id, block.start, end))
    elif block.start is not None and block.kind:
        found.dataless += 1


def _field(found: Reading, block: _Block, last_id: str | None, line: bytes, start: int) -> str | None:
    """Take a field in; the last id after it."""
    block.start = start if block.start is None else block.start
    raw_name, _, raw_value = line.partition(b":")
    raw_value = raw_value[1:] if raw_value.startswith(b" ") else raw_value
    name, value = (_text(found, raw, start) for raw in (raw_name, raw_value))
    if name == "data":
        block.data.append(value)
    elif name == "event":
        block.kind = value
    elif name == "id":
        return last_id if "\0" in value else value
    elif name != "retry":
        _odd(found, start, f"unknown field {name[:40]!r}")
    return last_id


def _text(found: Reading, raw: bytes, start: int) -> str:
    text = raw.decode("utf-8", "replace")
    if text.encode() != raw:
        _odd(found, start, "invalid UTF-8")
    return text


def _odd(found: Reading, start: int, what: str) -> None:
    if len(found.oddities) < MOST_ODDITIES:
        found.oddities.append((start, what))
