"""Streams to try the wire with: correct ones by a grammar, then spoiled as bytes. A number and a seed make the same one again."""

from __future__ import annotations

import copy
import json
import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["answer", "chance", "cuts", "stream"]

ENDS = (b"\n", b"\n", b"\n", b"\r\n", b"\r")
ODD_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 10**30, "", "\0", "a\u2028b", "\U0001f389", [], {}, [[]], {"a": {"b": []}}, ["x"], "[DONE]", 1e400,
)  # fmt: skip
WORDS = (
    "Hi",
    " there",
    "",
    "\n\n",
    "data: x",
    "\u00e9",
    "\U0001f469\u200d\U0001f467",
    "<think>",
    "x" * 90,
    "\t",
    "\\",
    '"',
)
JUNK = (
    b"\r", b"\n", b"\r\n", b"\n\n", b"\0", b":", b"data:", b"data", b"data: ", b"event: x\n", b"id: 7\n", b"id: a\0b\n", b"retry: 9\n",
    b": ping\n", b"odd: 1\n", b"\xef\xbb\xbf", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"data: [DONE]\n\n", b"NaN", b"\\ud83d",
    b"[" * 150, b'{"a":1,"a":2}', b"1" * 5000, b" ", b"\x1f\x8b\x08", b"data: " + b"y" * 700,
)  # fmt: skip
HEADS = (
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 200 OK",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 500 ",
    b"HTTP/1.1 204 No Content",
)


def chance(seed: int, number: int) -> random.Random:
    """The source of everything that makes stream `number`."""
    return random.Random(f"{seed}/{number}")  # noqa: S311 - no secret, and the same on every machine


def stream(rng: random.Random) -> bytes:
    """An event stream, correct or spoiled in up to six ways."""
    if rng.random() < 0.05:
        return rng.randbytes(rng.randrange(200))
    end = rng.choice(ENDS)
    made = b"".join(_event(rng, end) for _ in range(rng.randrange(7)))
    made += rng.choice((b"data: [DONE]" + end + end, b"data: [DONE]" + end, b""))
    return spoiled(rng, made)


def spoiled(rng: random.Random, data: bytes) -> bytes:
    """The bytes after nought to six accidents."""
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3, 6))):
        data = rng.choice(ACCIDENTS)(rng, data)
    return data


def cuts(rng: random.Random, data: bytes) -> list[bytes]:
    """The bytes in pieces as a network might bring them; empty ones too."""
    places = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(9)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def answer(rng: random.Random, body: bytes) -> bytes:
    """The body as an HTTP answer, framed in one of the ways of HTTP/1.1, then spoiled now and then."""
    lines = [
        rng.choice(HEADS),
        b"content-type: " + rng.choice((b"text/event-stream", b"application/json", b"TEXT/Event-Stream; x")),
    ]
    framing = rng.randrange(4)
    if framing == 0:
        lines.append(b"transfer-encoding: chunked")
        pieces = [piece for piece in cuts(rng, body) if piece]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    elif framing == 1:
        lines.append(b"content-length: %d" % (len(body) + rng.choice((0, 0, 0, -1, 1, 50))))
    else:
        lines.append(b"connection: close")
    if rng.random() < 0.1:
        lines.append(b"content-encoding: " + rng.choice((b"gzip", b"deflate", b"br", b"identity")))
    whole = b"\r\n".join([*lines, b"", body])
    return spoiled(rng, whole) if rng.random() < 0.3 else whole


def _event(rng: random.Random, end: bytes) -> bytes:
    before = rng.choice(
        (b"", b"", b"", b": ping" + end, b"event: message" + end, b"id: 1" + end, b"event: ping" + end + end)
    )
    text = json.dumps(_chunk(rng), ensure_ascii=rng.random() < 0.5)
    data = text.encode("utf-8", "surrogatepass")
    name = rng.choice((b"data: ", b"data: ", b"data:"))
    return before + name + data + end + end


def _chunk(rng: random.Random) -> Any:  # noqa: ANN401 - any JSON value
    delta = {rng.choice(("content", "role", "reasoning", "refusal")): rng.choice(WORDS)}
    if rng.random() < 0.2:
        function = {"name": rng.choice(("f", "")), "arguments": rng.choice(WORDS)}
        delta["tool_calls"] = [{"index": rng.randrange(3), "id": "call_1", "type": "function", "function": function}]  # type: ignore[assignment]  # JSON
    choice = {"index": rng.randrange(2), "delta": delta, "finish_reason": rng.choice((None, None, "stop", "length"))}
    chunk: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    }
    if rng.random() < 0.2:
        chunk |= {
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
            "choices": rng.choice(([], [choice])),
        }
    if rng.random() < 0.1:
        choice["logprobs"] = {"content": [{"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []}]}
    while rng.random() < 0.3:
        _disturb(rng, chunk)
    return copy.deepcopy(rng.choice(ODD_VALUES)) if rng.random() < 0.03 else chunk


def _disturb(rng: random.Random, value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Put something odd in the place of a member, somewhere down the value."""
    while isinstance(value, dict | list) and value:
        key = rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
        if not isinstance(value[key], dict | list) or not value[key] or rng.random() < 0.3:
            value[key] = copy.deepcopy(rng.choice(ODD_VALUES))
            return
        value = value[key]


def _place(rng: random.Random, data: bytes) -> tuple[int, int]:
    at = rng.randrange(len(data) + 1)
    return at, min(len(data), at + rng.choice((1, 1, 2, 5, 40)))


def _drop(rng: random.Random, data: bytes) -> bytes:
    at, end = _place(rng, data)
    return data[:at] + data[end:]


def _repeat(rng: random.Random, data: bytes) -> bytes:
    at, end = _place(rng, data)
    return data[:end] + data[at:end] * rng.choice((1, 2, 30)) + data[end:]


def _insert(rng: random.Random, data: bytes) -> bytes:
    at, _ = _place(rng, data)
    return data[:at] + rng.choice(JUNK) + data[at:]


def _flip(rng: random.Random, data: bytes) -> bytes:
    at, _ = _place(rng, data)
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :] if at < len(data) else data


def _move(rng: random.Random, data: bytes) -> bytes:
    at, end = _place(rng, data)
    rest = data[:at] + data[end:]
    to = rng.randrange(len(rest) + 1)
    return rest[:to] + data[at:end] + rest[to:]


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: _place(rng, data)[0]]


def _ends(rng: random.Random, data: bytes) -> bytes:
    return data.replace(rng.choice((b"\n", b"\r\n", b"\r")), rng.choice((b"\r", b"\n", b"\r\n", b"\n\n")))


ACCIDENTS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _drop,
    _repeat,
    _insert,
    _insert,
    _flip,
    _move,
    _cut,
    _ends,
)
