"""What can be done to the events of a stream: each takes the frames (without their blank lines) and gives new ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["STREAMS", "frames", "joined"]

Frames = list[bytes]
DONE = b"data: [DONE]"
BLANK = b"\n\n"


def frames(body: bytes) -> Frames:
    """The events of a body that our own server wrote."""
    return [frame for frame in body.split(BLANK) if frame]


def joined(parts: Frames) -> bytes:
    """The body of these events."""
    return b"".join(part + BLANK for part in parts)


def _chunk(frame: bytes) -> Any:  # noqa: ANN401 - any JSON value
    return None if frame == DONE else json.loads(frame.removeprefix(b"data: "))


def _where(parts: Frames, wanted: Callable[[Any], Any]) -> list[int]:
    return [at for at, frame in enumerate(parts) if (chunk := _chunk(frame)) is not None and wanted(chunk)]


def _choices(chunk: Any) -> list[Any]:  # noqa: ANN401 - any JSON value
    return chunk.get("choices") or []


def _finishes(chunk: Any) -> bool:  # noqa: ANN401 - any JSON value
    return any(choice.get("finish_reason") for choice in _choices(chunk))


def _says(chunk: Any) -> bool:  # noqa: ANN401 - any JSON value
    return any(choice.get("delta", {}).get("content") for choice in _choices(chunk))


def _counts(chunk: Any) -> bool:  # noqa: ANN401 - any JSON value
    return bool(chunk.get("usage"))


def _any(_: Any) -> bool:  # noqa: ANN401 - any JSON value
    return True


WHICH: dict[str, tuple[Callable[[Any], Any], int | str]] = {
    "first": (_any, 0),
    "last": (_any, -1),
    "finish": (_finishes, 0),
    "usage": (_counts, 0),
    "first-text": (_says, 0),
    "middle-text": (_says, "middle"),
    "last-text": (_says, -1),
}


def _at(parts: Frames, which: str) -> int | None:
    if which == "done":
        return parts.index(DONE) if DONE in parts else None
    wanted, position = WHICH[which]
    found = _where(parts, wanted)
    if not found:
        return None
    return found[len(found) // 2 if isinstance(position, str) else position]


def _on(which: str, act: Callable[[Frames, int], Frames]) -> Callable[[Frames], Frames]:
    def spoil(parts: Frames) -> Frames:
        at = _at(parts, which)
        return parts if at is None else act(parts, at)

    return spoil


def _drop(parts: Frames, at: int) -> Frames:
    return parts[:at] + parts[at + 1 :]


def _repeat(parts: Frames, at: int) -> Frames:
    return [*parts[: at + 1], *parts[at:]]


def _swap(parts: Frames, at: int) -> Frames:
    return parts if at + 1 >= len(parts) else [*parts[:at], parts[at + 1], parts[at], *parts[at + 2 :]]


def _merge(parts: Frames, at: int) -> Frames:
    return parts if at + 1 >= len(parts) else [*parts[:at], parts[at] + b"\n" + parts[at + 1], *parts[at + 2 :]]


def _split(parts: Frames, at: int) -> Frames:
    half = len(parts[at]) // 2
    return [*parts[:at], parts[at][:half], b"data: " + parts[at][half:], *parts[at + 1 :]]


def _lines(parts: Frames, at: int) -> Frames:
    """The data in two lines, cut between two members: legal, as readers join lines with a line feed."""
    head, comma, tail = parts[at].partition(b",")
    return [*parts[:at], head + comma + b"\ndata: " + tail if comma else parts[at], *parts[at + 1 :]]


def _broken(parts: Frames, at: int) -> Frames:
    """The data in two lines, cut within a name."""
    return [*parts[:at], parts[at][:9] + b"\ndata: " + parts[at][9:], *parts[at + 1 :]]


def _shorten(parts: Frames, at: int) -> Frames:
    return [*parts[:at], parts[at][: len(parts[at]) // 2], *parts[at + 1 :]]


def _insert(frame: bytes) -> Callable[[Frames, int], Frames]:
    return lambda parts, at: [*parts[:at], frame, *parts[at:]]


def _replace(frame: bytes) -> Callable[[Frames, int], Frames]:
    return lambda parts, at: [*parts[:at], frame, *parts[at + 1 :]]


def _rewrite(old: bytes, new: bytes) -> Callable[[Frames, int], Frames]:
    return lambda parts, at: [*parts[:at], parts[at].replace(old, new, 1), *parts[at + 1 :]]


def _end(parts: Frames, at: int) -> Frames:
    return parts[:at]


def _to_front(parts: Frames, at: int) -> Frames:
    return [parts[at], *_drop(parts, at)]


def _to_end(parts: Frames, at: int) -> Frames:
    return [*_drop(parts, at), parts[at]]


ALL = (*WHICH, "done")
ACTS: dict[str, tuple[Callable[[Frames, int], Frames], tuple[str, ...]]] = {
    "drop": (_drop, ALL),
    "repeat": (_repeat, ALL),
    "swap": (_swap, ALL[:-1]),
    "merge": (_merge, ALL[:-1]),
    "split": (_split, ("first", "middle-text", "last")),
    "two-lines": (_lines, ("first", "middle-text")),
    "two-broken-lines": (_broken, ("first", "middle-text")),
    "shorten": (_shorten, ALL),
    "end-before": (_end, ALL),
    "to-front": (_to_front, ("finish", "usage", "middle-text", "done")),
    "to-end": (_to_end, ("first", "finish", "first-text")),
    "insert-null": (_insert(b"data: null"), ("first", "last")),
    "insert-list": (_insert(b"data: []"), ("first", "last")),
    "insert-text": (_insert(b'data: "x"'), ("middle-text",)),
    "insert-nothing": (_insert(b"data:"), ("first", "last")),
    "insert-object": (_insert(b"data: {}"), ("first", "last", "done")),
    "insert-error": (
        _insert(b'data: {"error":{"message":"out of memory","type":"server_error"}}'),
        ("middle-text", "last", "done"),
    ),
    "insert-event": (_insert(b"event: message"), ("first", "middle-text")),
    "insert-unknown-field": (_insert(b"dato: 5"), ("middle-text",)),
    "insert-json-line": (_insert(b'{"object":"chat.completion.chunk"}'), ("middle-text",)),
    "replace-done": (_replace(b"data: DONE"), ("done",)),
    "quote-done": (_replace(b'data: "[DONE]"'), ("done",)),
    "lower-done": (_replace(b"data: [done]"), ("done",)),
    "upper-field": (_rewrite(b"data:", b"Data:"), ("first", "middle-text", "done")),
    "no-field": (_rewrite(b"data: ", b""), ("first", "middle-text", "done")),
    "space-before-colon": (_rewrite(b"data: ", b"data : "), ("first", "middle-text")),
    "single-quotes": (_rewrite(b'"', b"'"), ("first", "middle-text")),
    "stray-byte": (_rewrite(b'"', b'"\xff'), ("first", "middle-text", "last")),
    "raw-control": (_rewrite(b'":"', b'":"\x01'), ("first", "middle-text")),
    "nan": (_rewrite(b"{", b'{"score":NaN,'), ("first", "middle-text", "last")),
    "name-twice": (_rewrite(b"{", b'{"choices":[],'), ("first", "middle-text", "last")),
    "half-surrogate": (_rewrite(b'"content":"', b'"content":"\\ud83d'), ("first-text", "middle-text", "last-text")),
    "lost-character": (
        _rewrite(b'"content":"', '"content":"\ufffd'.encode()),
        ("first-text", "middle-text", "last-text"),
    ),
    "special-token": (_rewrite(b'"content":"', b'"content":"<|im_end|>'), ("first-text", "middle-text", "last-text")),
    "trailing-comma": (_rewrite(b'"}', b'",}'), ("first", "middle-text")),
    "two-values": (lambda parts, at: [*parts[:at], parts[at] + b" {}", *parts[at + 1 :]], ("first", "last")),
}
STREAMS: dict[str, Callable[[Frames], Frames]] = {
    f"{act}-{which}": _on(which, function) for act, (function, places) in ACTS.items() for which in places
} | {
    "nothing": lambda _: [],
    "only-done": lambda parts: [frame for frame in parts if frame == DONE],
    "backwards": lambda parts: parts[::-1],
    "twice": lambda parts: parts + parts,
    "every-event-twice": lambda parts: [copy for frame in parts for copy in (frame, frame)],
}
