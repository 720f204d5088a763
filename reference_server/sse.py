"""Event framing: one JSON document or word becomes the bytes of one server-sent event (WHATWG HTML 9.2.6)."""

from __future__ import annotations

__all__ = ["DONE", "HEADERS", "event"]

HEADERS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", "x-accel-buffering": "no"}


def event(data: bytes) -> bytes:
    """One event with this data; each line of it becomes a data line, a blank line ends the event."""
    return b"".join(b"data: %b\n" % line for line in data.split(b"\n")) + b"\n"


DONE = event(b"[DONE]")
