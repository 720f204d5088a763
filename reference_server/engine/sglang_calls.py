"""Reading the calls that a grammar forced, while their JSON is still being written.

`Arguments` reads one call of a tool known beforehand: the text is its arguments. `CallList` reads a list of
`{"name": ..., "arguments": {...}}` and hands out each name once and the arguments as they grow. `complete` says whether
the text has come to its end, which decides between the finish reasons `tool_calls` and `length`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from reference_server.engine import ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reference_server.engine import Tool

__all__ = ["Arguments", "CallList", "Emitter", "new_id"]

HEAD = re.compile(r""""name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*\{$""")


def new_id() -> str:
    """An id for one call."""
    return f"call_{uuid4().hex[:24]}"


@dataclass(slots=True)
class Emitter:
    """Turns names and pieces of arguments into events; the input of a custom tool is unwrapped when it is complete."""

    choice: int
    tools: Mapping[str, Tool]
    count: int = 0
    _custom: bool = False
    _input: str = ""

    def name(self, name: str) -> ToolCall:
        """A new call begins."""
        self._custom = name in self.tools and self.tools[name].custom
        self._input = ""
        self.count += 1
        return ToolCall(self.choice, self.count - 1, new_id(), name, "", self._custom)

    def more(self, text: str, *, end: bool = False) -> Iterator[ToolCall]:
        """More of the arguments; `end` when these are the last."""
        if self._custom:
            self._input += text
            text = self._unwrapped() if end else ""
        if text:
            yield ToolCall(self.choice, self.count - 1, None, None, text, self._custom)

    def _unwrapped(self) -> str:
        try:
            return str(json.loads(self._input)["input"])
        except (ValueError, KeyError, TypeError):  # the answer was cut before the input was complete
            return ""


class Balance:
    """Follows JSON to know where an object or array that begins a text ends."""

    def __init__(self) -> None:
        self.depth = 0
        self._inside = False
        self._escaped = False

    def push(self, character: str) -> None:
        """Follow one character."""
        if self._escaped:
            self._escaped = False
        elif self._inside:
            self._escaped = character == "\\"
            self._inside = character != '"'
        elif character == '"':
            self._inside = True
        elif character in "{[":
            self.depth += 1
        elif character in "}]":
            self.depth -= 1


@dataclass(slots=True)
class Arguments:
    """The arguments of one call of this tool."""

    emitter: Emitter
    tool: str
    complete: bool = False
    _balance: Balance = field(default_factory=Balance)

    def push(self, text: str) -> Iterator[ToolCall]:
        """The fragments that this text makes certain."""
        if not self.emitter.count and text:
            yield self.emitter.name(self.tool)
        for at, character in enumerate(text):
            self._balance.push(character)
            if not self._balance.depth:
                self.complete = True
                yield from self.emitter.more(text[: at + 1], end=True)
                return
        yield from self.emitter.more(text)


@dataclass(slots=True)
class CallList:
    """A list of calls. Between two calls there is punctuation only, which is skipped."""

    emitter: Emitter
    complete: bool = False
    _head: str = ""
    _balance: Balance | None = None

    def push(self, text: str) -> Iterator[ToolCall]:
        """The fragments that this text makes certain."""
        start = 0
        for at, character in enumerate(text):
            if self._balance is None:
                if (name := self._opened(character)) is not None:
                    yield self.emitter.name(name)
                    self._balance, start = Balance(), at
                    self._balance.push(character)
                continue
            self._balance.push(character)
            if not self._balance.depth:
                yield from self.emitter.more(text[start : at + 1], end=True)
                self._balance, self._head = None, ""
        if self._balance is not None:
            yield from self.emitter.more(text[start:])

    def _opened(self, character: str) -> str | None:
        """The name of the call whose arguments begin with this character, if any do."""
        self._head += character
        self.complete = self._head.replace(" ", "") == "}]"  # the end of the last call and of the list
        found = HEAD.search(self._head) if character == "{" else None
        return str(json.loads(found[1])) if found else None
