"""Event framing: one JSON document or word becomes the bytes of one server-sent event."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["DONE", "HEADERS", "document", "event"]

HEADERS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", "x-accel-buffering": "no"}


def event(data: str) -> bytes:
    """One event with this data; each line of it becomes a data line (WHATWG HTML 9.2.6)."""
    return b"".join(b"data: %b\n" % line.encode() for line in data.split("\n")) + b"\n"


def document(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """One event with this JSON value on a single line."""
    return b"data: %b\n\n" % json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


DONE = event("[DONE]")
