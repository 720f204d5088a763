"""Which tools the embedded engine calls, and with which arguments.

Told to (`required`, a named tool) it calls; left to itself (`auto`) it calls only the tools whose names stand in the last
user message, once for each mention, and never straight after a tool's message. Asked for two ("twice", "both", "in
parallel") it makes two calls. Arguments satisfy the tool's parameters and take names and places from the prompt.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from reference_server.engine import constrained, script
from reference_server.errors import ApiError

if TYPE_CHECKING:
    from reference_server.engine import ChatRequest, Tool

__all__ = ["arguments", "wanted"]

_TWO = re.compile(r"(?i)\b(?:twice|both|in parallel|two (?:calls|times|cities|places)|once for\b.+\bonce for)\b")
MOST = 8


def wanted(request: ChatRequest) -> tuple[Tool, ...]:
    """The tools to call, in order; empty when the answer is text."""
    prompt = script.last_user(request.messages)
    calls = _by_mode(request, prompt)
    if len(calls) == 1 and _TWO.search(prompt):
        calls *= 2
    return calls[: MOST if request.parallel_tool_calls else 1]


def _by_mode(request: ChatRequest, prompt: str) -> tuple[Tool, ...]:
    choice, tools = request.tool_choice, request.tools
    if not tools or choice.mode == "none":
        return ()
    if choice.mode == "named":
        return tuple(tool for tool in tools if tool.name == choice.name)[:1]
    answered = bool(request.messages) and request.messages[-1].role == "tool"
    if choice.mode == "auto" and answered:
        return ()
    return _mentioned(tools, prompt) or (tools[:1] if choice.mode == "required" else ())


def _mentioned(tools: tuple[Tool, ...], prompt: str) -> tuple[Tool, ...]:
    places = [
        (found.start(), tool)
        for tool in tools
        for found in re.finditer(rf"(?<![\w-]){re.escape(tool.name)}(?![\w-])", prompt)
    ]
    return tuple(tool for _, tool in sorted(places, key=lambda place: place[0]))


def arguments(tool: Tool, prompt: str, number: int, variant: int) -> str:
    """The arguments of call `number` as JSON text. Raises ApiError(out_of_range) when the parameters cannot be met."""
    if tool.custom:
        return " ".join(script.hints(prompt)) or "go ahead"
    field = f"tools.{tool.name}.parameters"
    schema = {"type": "object", **(tool.parameters or {})}
    if schema["type"] != "object":
        raise ApiError(
            "out_of_range", f"{field}: a function's parameters are an object, not {schema['type']!r}", "tools"
        )
    if schema.keys() == {"type"}:
        return "{}"
    names = script.hints(prompt)
    return constrained.document(json.dumps(schema), field, variant, names[number:] + names[:number])
