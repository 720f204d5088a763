"""What several faults do to the events of an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference_server.engine import Finish, Text, ToolCall

if TYPE_CHECKING:
    from reference_server.engine import Event

__all__ = ["Events", "after_finish", "before_calls", "before_finish"]

Events = list["Event"]


def before_finish(events: Events, text: str) -> Events:
    """The events with this text before every finish."""
    made: Events = []
    for event in events:
        if isinstance(event, Finish):
            made.append(Text(event.choice, text))
        made.append(event)
    return made


def after_finish(events: Events, text: str) -> Events:
    """The events with this text after every finish."""
    made: Events = []
    for event in events:
        made.append(event)
        if isinstance(event, Finish):
            made.append(Text(event.choice, text))
    return made


def before_calls(events: Events, text: str) -> Events:
    """The events with this text before every call."""
    made: Events = []
    for event in events:
        if isinstance(event, ToolCall) and event.name is not None:
            made.append(Text(event.choice, text))
        made.append(event)
    return made
