"""How many tokens an answer has: the server's usage where that is possible at all, else the output events that came.

Possible means: no fewer tokens than output events, and no more than the bytes of text and what was thought in secret. What is
odd about a usage is told in a remark, also where it is believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Tokens", "count_in", "tokens"]

MOST = 10**9  # tokens that one answer can have cost at all; sums of more would not even fit a worker's message


@dataclass(frozen=True, slots=True)
class Tokens:
    """A count, where it is from ("usage" or "chunks"), and what is odd about the usage."""

    count: int
    source: str
    remark: str


def tokens(usage: Mapping[str, Any] | None, events: int, text_bytes: int | None) -> Tokens:
    """The tokens of an answer in so many output events; `text_bytes` is None where they say nothing of the count."""
    if usage is None:
        return Tokens(events, "chunks", "missing")
    told = count_in(usage, "completion_tokens")
    if told is None:
        return Tokens(events, "chunks", f"completion_tokens is {usage.get('completion_tokens')!r}"[:80])
    if text_bytes:
        if told < events:
            return Tokens(events, "chunks", f"completion_tokens {told} is less than the {events} chunks that came")
        hidden = count_in(usage, "completion_tokens_details", "reasoning_tokens") or 0
        if told > text_bytes + hidden + events:
            remark = f"completion_tokens {told} is more than the {text_bytes} bytes that came"
            return Tokens(events, "chunks", remark)
    prompt, total = count_in(usage, "prompt_tokens"), count_in(usage, "total_tokens")
    wrong = prompt is not None and total is not None and prompt + told != total
    return Tokens(told, "usage", f"{prompt} + {told} is not {total}" if wrong else "")


def count_in(usage: Mapping[str, Any] | None, *path: str) -> int | None:
    """The count at that path; None where something else is there, or more than there can be."""
    found: Any = usage
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found if type(found) is int and 0 <= found <= MOST else None
