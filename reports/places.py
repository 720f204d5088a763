"""Where the members of a JSON text stand in its bytes; lenient, because the texts asked about are often broken.

No parser of values: it follows brackets, strings and commas, and stops without complaint where they end.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = re.compile(rb'[{}\[\],:]|"(?:[^"\\]|\\.)*"?|[^\s{}\[\],:"]+', re.DOTALL)  # each byte is looked at once
DATA = re.compile(rb"^data: ?", re.MULTILINE)
DEEPEST = 40


@dataclass(frozen=True, slots=True)
class Member:
    """A value: its path (`choices[0].index`, "" for the whole), its name, the bytes it fills, and where its key begins."""

    path: str
    name: str | None
    start: int
    end: int
    key: int | None


@dataclass
class _Open:
    """A bracket that was not closed yet: what it belongs to, and which member comes next in it."""

    member: tuple[str, str | None, int, int | None]
    is_list: bool
    index: int = 0
    name: str | None = None
    key: int | None = None


def documents(body: bytes) -> list[tuple[int, int]]:
    """The spans of the JSON texts of a body: the data of each event that is an object, else the whole body."""
    lines = [(found.end(), body.find(b"\n", found.end())) for found in DATA.finditer(body)]
    spans = [(start, end if end >= 0 else len(body)) for start, end in lines]
    return [span for span in spans if body[span[0] : span[0] + 1] == b"{"] or [(0, len(body))]


def members(body: bytes, start: int = 0, end: int | None = None) -> list[Member]:
    """The members of the JSON text between the two positions, in the order in which they end."""
    return list(_members(body, start, len(body) if end is None else end))


def _members(body: bytes, start: int, end: int) -> Iterator[Member]:
    stack: list[_Open] = []
    for token in TOKEN.finditer(body, start, end):
        sign, at = token[0], token.start()
        top = stack[-1] if stack else None
        if sign in (b"{", b"["):
            if len(stack) == DEEPEST:
                return
            stack.append(_Open(_place(top, at), sign == b"["))
        elif sign in (b"}", b"]"):
            if top is None:
                return
            path, name, began, key = stack.pop().member
            yield Member(path, name, began, token.end(), key)
        elif sign == b",":
            if top is not None:
                top.index, top.name, top.key = top.index + 1, None, None
        elif sign == b":":
            continue
        elif top is not None and not top.is_list and top.name is None:
            top.name, top.key = _text(sign), at
        else:
            path, name, began, key = _place(top, at)
            yield Member(path, name, began, token.end(), key)


def _place(top: _Open | None, at: int) -> tuple[str, str | None, int, int | None]:
    """(path, name, start, start of the key) of the value that begins here."""
    if top is None:
        return "", None, at, None
    base = top.member[0]
    if top.is_list:
        return f"{base}[{top.index}]", None, at, None
    name = top.name or ""
    return (f"{base}.{name}" if base else name), name, at, top.key


def _text(token: bytes) -> str:
    try:
        return str(json.loads(token))
    except ValueError:
        return token.decode("utf-8", "replace")
