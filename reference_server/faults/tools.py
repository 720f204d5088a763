"""Faults of tools and their calls."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reference_server.engine import Finish, ToolCall, ToolChoice
from reference_server.faults.catalogue import FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_server.engine import Event
    from reference_server.faults.events import Events
    from reference_server.wire import Order

Json = dict[str, Any]


@FAULTS.at("events", every=("tools.finish",))
def calls_finish_with_stop(events: list[Event], _: object) -> list[Event]:
    """An answer that calls tools says `stop`."""
    return [Finish(e.choice, "stop") if isinstance(e, Finish) and e.reason == "tool_calls" else e for e in events]


@FAULTS.at("events", every=("tools.ids-unique",))
def calls_share_an_id(events: list[Event], _: object) -> list[Event]:
    """All tool calls have one id."""
    return [replace(e, id="call_1") if isinstance(e, ToolCall) and e.id is not None else e for e in events]


@FAULTS.at(
    "order",
    every=(
        "tools.every-choice",
        "tools.late-choice",
        "tools.required-choice",
        "tools.named-choice",
        "tools.none-choice",
    ),
)
def tool_choice_ignored(order: Order, _: object) -> Order:
    """tool_choice is accepted and taken for auto."""
    return replace(order, chat=replace(order.chat, tool_choice=ToolChoice()))


@FAULTS.at(
    "order",
    every=(
        "tools.every-choice",
        "tools.late-choice",
        "tools.named-choice",
        "tools.required-choice",
    ),
)
def tools_ignored(order: Order, _: object) -> Order:
    """Tools are accepted and never called."""
    return replace(order, chat=replace(order.chat, tools=(), tool_choice=ToolChoice()))


@FAULTS.at("order", every=("tools.none-choice",))
def none_still_calls(order: Order, _: object) -> Order:
    """tool_choice none calls a tool all the same."""
    mode = "required" if order.chat.tool_choice.mode == "none" else order.chat.tool_choice.mode
    return replace(order, chat=replace(order.chat, tool_choice=replace(order.chat.tool_choice, mode=mode)))


@FAULTS.at("order", every=("tools.parallel in openai",))
def parallel_despite_no(order: Order, _: object) -> Order:
    """parallel_tool_calls false is accepted and ignored."""
    return replace(order, chat=replace(order.chat, parallel_tool_calls=True))


@FAULTS.at(
    "events",
    every=(
        "chat.field[choices.message.tool_calls.id]",
        "tools.call-shape",
        "tools.ids-unique",
        "tools.parallel",
        "tools.stream-deltas",
    ),
)
def call_id_empty(events: Events, _: object) -> Events:
    """Calls have an empty id."""
    return _calls(events, lambda call: replace(call, id="") if call.id is not None else call)


@FAULTS.at(
    "events",
    every=(
        "tools.every-choice",
        "tools.late-choice",
        "clients.openai-python in aqueduct dos_ai openai",
        "tools.auto-no-crash",
        "tools.offered-only",
        "tools.call-shape",
        "tools.named-choice",
        "tools.parallel",
        "tools.required-choice",
    ),
)
def unknown_function_called(events: Events, _: object) -> Events:
    """A function is called that nobody offered."""
    return _calls(events, lambda call: replace(call, name=f"functions.{call.name}") if call.name is not None else call)


@FAULTS.at(
    "events",
    every=(
        "tools.calls-whole",
        "clients.openai-python in aqueduct dos_ai openai",
        "tools.arguments-valid",
        "tools.parallel",
    ),
)
def arguments_cut(events: Events, _: object) -> Events:
    """The arguments of calls lack their last brace."""
    return _calls(events, lambda call: replace(call, arguments=call.arguments.removesuffix("}")))


@FAULTS.at(
    "body",
    every=(
        "tools.several-results",
        "tools.stream-equals-plain",
        "chat.field[choices.message.tool_calls.function.arguments]",
        "clients.openai-python in aqueduct dos_ai openai",
        "tools.arguments-valid",
        "tools.call-shape",
        "tools.parallel",
        "tools.round-trip",
    ),
)
def arguments_as_object(body: Json, _: object) -> Json:
    """The arguments of calls in whole answers are an object."""
    return _called(
        body,
        lambda call: {**call, "function": {**call["function"], "arguments": _loaded(call["function"]["arguments"])}},
    )


@FAULTS.at(
    "body",
    every=(
        "tools.several-results",
        "chat.field[choices.message.tool_calls.custom]",
        "chat.field[choices.message.tool_calls.type]",
        "tools.call-shape",
        "tools.parallel",
        "tools.round-trip",
    ),
)
def call_type_missing(body: Json, _: object) -> Json:
    """Calls in whole answers have no type."""
    return _called(body, lambda call: {k: v for k, v in call.items() if k != "type"})


def _calls(events: Events, change: Callable[[ToolCall], ToolCall]) -> Events:
    return [change(e) if isinstance(e, ToolCall) else e for e in events]


def _loaded(text: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(text)
    except ValueError:  # cut by the token limit
        return {}


def _called(body: Json, change: Callable[[Json], Json]) -> Json:
    """The body with every function call in it changed."""
    for choice in body["choices"]:
        found = choice["message"].get("tool_calls")
        if found:
            choice["message"]["tool_calls"] = [change(c) if "function" in c else c for c in found]
    return body
