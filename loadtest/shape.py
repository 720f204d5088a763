"""What surrounds the text in the chunks of one stream, proven once, so that chunks which differ in the text alone need no parser."""

from __future__ import annotations

import re

import orjson

__all__ = ["NOT_PLAIN_ASCII", "NO_SHAPE", "PLAIN_ASCII", "PLAIN_TEXT", "Shape", "shape_of"]

PROBE = "probe-7c1e"
Shape = tuple[bytes, bytes, int, int]  # what comes before the text, what after it, and how long they are
NO_SHAPE: Shape = (b"\0", b"\0", 1, 1)
PLAIN_TEXT = re.compile(rb'[^"\\\x00-\x1f]+').fullmatch
PLAIN_ASCII = re.compile(rb'[^"\\\x00-\x1f\x80-\xff]+').fullmatch
# The same the other way round: cheaper where it finds nothing.
NOT_PLAIN_ASCII = re.compile(rb'["\\\x00-\x1f\x80-\xff]').search


def shape_of(piece: bytes, key: str, text: str) -> Shape | None:
    """What surrounds the text of chunks that differ from this one in the text alone; None when that cannot be proven.

    Proven means: with the text replaced by a probe, the chunk parses to the same value with the probe in its place. A JSON
    string without quotes, backslashes and control characters may then be replaced by any other such string.
    """
    line = piece.rstrip(b"\r\n")
    if (
        piece[len(line) :] not in {b"\n\n", b"\r\n\r\n"}
        or not line.startswith(b"data:")
        or b"\n" in line
        or b"\r" in line
    ):
        return None
    quoted = b'"' + text.encode("utf-8", "surrogatepass") + b'"'
    start = line.find(quoted)
    while start >= 0:
        prefix, suffix = line[: start + 1], line[start + len(quoted) - 1 :]
        if _proven(line, prefix + PROBE.encode() + suffix, key, text):
            suffix = piece[start + len(quoted) - 1 :]
            return prefix, suffix, len(prefix), len(suffix)
        start = line.find(quoted, start + 1)
    return None


def _proven(line: bytes, probed: bytes, key: str, text: str) -> bool:
    try:
        was, now = orjson.loads(line[5:]), orjson.loads(probed[5:])
        delta = now["choices"][0]["delta"]
        if delta[key] != PROBE:
            return False
        delta[key] = text
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return False
    return bool(was == now)
