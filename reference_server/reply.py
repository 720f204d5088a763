"""An answer as a whole: the events of a generation, folded. Streamed and plain answers come from the same events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reference_server.engine import Finish, Reasoning, Text, ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reference_server.engine import Event, Scored

__all__ = ["Call", "Choice", "Reply", "fold"]


@dataclass(slots=True)
class Call:
    """One complete tool call; `arguments` is JSON text, or free text for a `custom` tool."""

    id: str
    name: str
    arguments: str = ""
    custom: bool = False


@dataclass(slots=True)
class Choice:
    """One complete choice."""

    index: int
    text: str = ""
    reasoning: str = ""
    calls: list[Call] = field(default_factory=list)
    tokens: list[Scored] = field(default_factory=list)
    reason: str = "stop"


@dataclass(frozen=True, slots=True)
class Reply:
    """One complete answer."""

    choices: tuple[Choice, ...]
    usage: Usage


def fold(events: Iterable[Event], n: int) -> Reply:
    """The answer that these events tell, with `n` choices in the order of their index."""
    choices = [Choice(index) for index in range(n)]
    usage = Usage(0, 0)
    for event in events:
        if isinstance(event, Usage):
            usage = event
        else:
            _add(choices[event.choice], event)
    return Reply(tuple(choices), usage)


def _add(choice: Choice, event: Text | Reasoning | ToolCall | Finish) -> None:
    if isinstance(event, Text):
        choice.text += event.text
        choice.tokens += event.tokens
    elif isinstance(event, Reasoning):
        choice.reasoning += event.text
    elif isinstance(event, Finish):
        choice.reason = event.reason
    elif event.id is not None:
        choice.calls.append(Call(event.id, event.name or "", event.arguments, event.custom))
    else:
        choice.calls[-1].arguments += event.arguments
