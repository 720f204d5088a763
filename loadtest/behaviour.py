"""What a paced server writes, and when: one stream as (seconds after the request, bytes) writes, for each way to behave.

Each behaviour carries its own truth, so that a generator can be held against it. All of them are what real servers do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["BEHAVIOURS", "Behaviour", "Pace", "Truth", "Write"]

Write = tuple[float, bytes]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"
CUT = b""  # a write of nothing closes the connection
PROMPT_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Pace:
    """The first content `ttft` seconds after the request, then one chunk each `itl` seconds, `chunks` in all."""

    ttft: float = 0.05
    itl: float = 0.01
    chunks: int = 64


@dataclass(frozen=True, slots=True)
class Truth:
    """What a right generator reports, in ms: the outcome, first-token times by definition, gap percentiles, tokens."""

    outcome: str = "ok"
    ttft: Mapping[str, float] = field(default_factory=dict)
    gap_p50: float | None = None
    longest: float | None = None
    tokens: int | None = None
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A way to behave: the writes of one stream, and what is true of them."""

    says: str
    writes: Callable[[Pace], list[Write]]
    truth: Callable[[Pace], Truth]


def chunked(data: bytes) -> bytes:
    """One chunk of the framing."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(value: object, end: bytes = b"\n") -> bytes:
    """One event of one data line."""
    data = value if isinstance(value, bytes) else orjson.dumps(value)
    return b"data: " + data + end + end


def chunk(delta: dict[str, object], finish: str | None = None) -> dict[str, object]:
    """A chat.completion.chunk."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {
        "id": "chatcmpl-paced",
        "object": "chat.completion.chunk",
        "created": 1_763_700_000,
        "model": "paced",
        "choices": [choice],
    }


def usage(tokens: int) -> dict[str, object]:
    """The usage chunk."""
    counts = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": tokens, "total_tokens": PROMPT_TOKENS + tokens}
    return chunk({}) | {"choices": [], "usage": counts}


def _events(
    pace: Pace, text: str = "tok ", key: str = "content", first_key: int = 0, end: bytes = b"\n"
) -> list[Write]:
    """Each chunk's time and unframed event: the first `first_key` under reasoning_content, the others under `key`."""
    out = []
    for number in range(pace.chunks):
        name = "reasoning_content" if number < first_key else key
        finish = "length" if number == pace.chunks - 1 else None
        out.append((pace.ttft + number * pace.itl, event(chunk({name: text}, finish), end)))
    return out


def _closed(
    events: list[Write], tokens: int | None, *, done: bool = True, end: bytes = b"\n", head_at: float | None = None
) -> list[Write]:
    """Framed: the head with the first event (or at `head_at`), usage, [DONE] and the last chunk with the last one."""
    writes = [(at, chunked(data)) for at, data in events]
    tail = (chunked(event(usage(tokens), end)) if tokens is not None else b"") + (
        chunked(event(b"[DONE]", end)) if done else b""
    )
    if head_at is None:
        writes[0] = (writes[0][0], HEAD + writes[0][1])
    else:
        writes.insert(0, (head_at, HEAD))
    writes[-1] = (writes[-1][0], writes[-1][1] + tail + LAST)
    return writes


def _ms(seconds: float) -> float:
    return seconds * 1000


def _truth(pace: Pace, **other: object) -> Truth:
    at = _ms(pace.ttft)
    values = {
        "ttft": {"content": at, "first_event": at},
        "gap_p50": _ms(pace.itl),
        "longest": _ms(pace.itl),
        "tokens": pace.chunks,
    }
    return Truth(**(values | other))  # type: ignore[arg-type]  # the fields of Truth


def _plain(pace: Pace) -> list[Write]:
    return _closed(_events(pace), pace.chunks)


def _role_first(pace: Pace) -> list[Write]:
    return _closed([(0.0, event(chunk({"role": "assistant", "content": ""}))), *_events(pace)], pace.chunks)


def _comments(pace: Pace) -> list[Write]:
    return _closed([(pace.ttft / 2, b": ping\n\n"), *_events(pace)], pace.chunks)


def _four_tokens(pace: Pace) -> list[Write]:
    return _closed(_events(pace, "tok " * 4), pace.chunks * 4)


def _four_events(pace: Pace) -> list[Write]:
    writes = _plain(pace)
    groups = [writes[i : i + 4] for i in range(0, len(writes), 4)]
    return [(group[-1][0], b"".join(data for _, data in group)) for group in groups]


def _split_events(pace: Pace) -> list[Write]:
    out = []
    for at, data in _plain(pace):
        half = len(data) // 2
        out += [(at - min(pace.itl, pace.ttft) / 4, data[:half]), (at, data[half:])]
    return out


def _split_utf8(pace: Pace) -> list[Write]:
    out = []
    for at, data in _closed(_events(pace, "tök€ "), pace.chunks):
        inside = data.index("ö".encode()) + 1
        out += [(at - min(pace.itl, pace.ttft) / 4, data[:inside]), (at, data[inside:])]
    return out


def _reasoning_first(pace: Pace) -> list[Write]:
    return _closed(_events(pace, first_key=pace.chunks // 4), pace.chunks)


def _usage_missing(pace: Pace) -> list[Write]:
    return _closed(_events(pace), None)


def _usage_wrong(pace: Pace) -> list[Write]:
    return _closed(_events(pace), pace.chunks * 1000)


def _done_missing(pace: Pace) -> list[Write]:
    return _closed(_events(pace), pace.chunks, done=False)


def _cut(pace: Pace) -> list[Write]:
    writes = _plain(pace)[: pace.chunks // 2]
    return [*writes, (writes[-1][0] + pace.itl, CUT)]


FREEZE = 0.46


def _freeze(pace: Pace) -> list[Write]:
    half = pace.chunks // 2
    return [(at + (FREEZE if number >= half else 0), data) for number, (at, data) in enumerate(_plain(pace))]


def _crlf(pace: Pace) -> list[Write]:
    return _closed(_events(pace, end=b"\r\n"), pace.chunks, end=b"\r\n")


def _four_events_truth(pace: Pace) -> Truth:
    at = _ms(pace.ttft + 3 * pace.itl)
    return _truth(pace, ttft={"content": at, "first_event": at}, gap_p50=0.0, longest=_ms(4 * pace.itl))


BEHAVIOURS: dict[str, Behaviour] = {
    "plain": Behaviour("one content chunk a write", _plain, _truth),
    "role-first": Behaviour(
        "a role-only chunk at once, content later",
        _role_first,
        lambda p: _truth(p, ttft={"content": _ms(p.ttft), "role": 0.0, "first_event": 0.0}),
    ),
    "comments": Behaviour("an SSE comment while the prompt is read", _comments, _truth),
    "four-tokens": Behaviour("four tokens in each chunk", _four_tokens, lambda p: _truth(p, tokens=p.chunks * 4)),
    "four-events": Behaviour("four events in each write", _four_events, _four_events_truth),
    "split-events": Behaviour("each event in two writes", _split_events, _truth),
    "split-utf8": Behaviour("writes that end inside a character", _split_utf8, _truth),
    "reasoning-first": Behaviour(
        "a quarter of the chunks is reasoning",
        _reasoning_first,
        lambda p: _truth(p, ttft={"reasoning": _ms(p.ttft), "content": _ms(p.ttft + p.chunks // 4 * p.itl)}),
    ),
    "usage-missing": Behaviour("no usage", _usage_missing, lambda p: _truth(p, counted=True)),
    "usage-wrong": Behaviour("a usage that cannot be", _usage_wrong, lambda p: _truth(p, counted=True)),
    "done-missing": Behaviour("no [DONE]", _done_missing, lambda p: _truth(p, outcome="no_done")),
    "cut": Behaviour("the connection ends in the middle", _cut, lambda p: _truth(p, outcome="cut", tokens=None)),
    "freeze": Behaviour("460 ms of silence in the middle", _freeze, lambda p: _truth(p, longest=_ms(p.itl + FREEZE))),
    "crlf": Behaviour("lines end in CRLF", _crlf, _truth),
}
