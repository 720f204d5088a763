"""The conversation as chat templates take it: OpenAI's message objects, tools beside them.

Many templates do not know tools. For them the tools are described in the system message, in the form that Hermes models
made common, and past calls are written in the same form; templates that know tools render them in the model's own way.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reference_server.engine.sglang_schema import parameters
from reference_server.errors import ApiError

if TYPE_CHECKING:
    from reference_server.engine import ChatRequest, Json, Message, PastCall, Tool

__all__ = ["Prompter"]

ROLES = {"developer": "system", "function": "tool"}  # roles of the API that models were not trained on
TOOLS_INTRODUCTION = (
    "You may call functions. To call one, write a line of this form and nothing else:\n"
    '<tool_call>{"name": "NAME", "arguments": {"ARGUMENT": "VALUE"}}</tool_call>\n'
    "These are the functions, with the JSON Schema of their arguments:"
)


@dataclass(frozen=True, slots=True)
class Prompter:
    """Renders requests with a tokenizer's chat template."""

    tokenizer: Any
    knows_tools: bool
    takes_parts: bool  # whether the template takes content as a list of parts, as those of vision models do

    @classmethod
    def of(cls, tokenizer: Any) -> Prompter:  # noqa: ANN401 - transformers has no stable type for it
        """The prompter of a tokenizer whose chat template is one text."""
        template = str(tokenizer.chat_template)
        return cls(tokenizer, "tools" in template, "content" in template and "'image'" in template.replace('"', "'"))

    def tokens(self, request: ChatRequest) -> list[int]:
        """The token ids of the prompt. Raises ApiError(out_of_range) for what the model's template refuses."""
        # The tokenizer below transformers' own, because only that may be used by several threads at once.
        text, backend = self.text(request), getattr(self.tokenizer, "backend_tokenizer", None)
        encode = self.tokenizer.encode if backend is None else lambda *a, **k: backend.encode(*a, **k).ids
        return list(encode(text, add_special_tokens=False))

    def text(self, request: ChatRequest) -> str:
        """The prompt as text. Raises ApiError(out_of_range)."""
        tools = () if request.tool_choice.mode == "none" else request.tools
        messages = [self._message(message) for message in request.messages]
        options: Json = {"tools": [_function(tool) for tool in tools] or None} if self.knows_tools else {}
        if tools and not self.knows_tools:
            messages = _introduced(messages, tools)
        try:
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **options)
        except Exception as error:  # the template is a program of the model's authors; it raises what it likes
            raise ApiError(
                "out_of_range", f"messages: the model's template refuses them: {error}", "messages"
            ) from error
        return str(text).encode("utf-8", "replace").decode()

    def _message(self, message: Message) -> Json:
        said: Json = {"role": ROLES.get(message.role, message.role), "content": self._content(message)}
        if message.name:
            said["name"] = message.name
        if message.call_id:
            said["tool_call_id"] = message.call_id
        if message.calls and self.knows_tools:
            said["tool_calls"] = [_past(call) for call in message.calls]
        return said

    def _content(self, message: Message) -> str | list[Json]:
        if message.images and self.takes_parts:
            return [{"type": "image"} for _ in message.images] + [{"type": "text", "text": message.text}]
        if message.calls and not self.knows_tools:
            return "\n".join([*([message.text] if message.text else []), *map(_written, message.calls)])
        return message.text


def _introduced(messages: list[Json], tools: tuple[Tool, ...]) -> list[Json]:
    """The messages with the tools described in the system message, which is made if there is none."""
    lines = [TOOLS_INTRODUCTION, *(json.dumps(_function(tool)["function"], ensure_ascii=False) for tool in tools)]
    first = messages[0] if messages and messages[0]["role"] == "system" else None
    said = [first["content"]] if first else []
    return [{"role": "system", "content": "\n".join([*said, *lines])}, *messages[1 if first else 0 :]]


def _function(tool: Tool) -> Json:
    described = {"name": tool.name, "description": tool.description, "parameters": parameters(tool)}
    return {"type": "function", "function": described}


def _past(call: PastCall) -> Json:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _arguments(call)}}


def _written(call: PastCall) -> str:
    return (
        f"<tool_call>{json.dumps({'name': call.name, 'arguments': _arguments(call)}, ensure_ascii=False)}</tool_call>"
    )


def _arguments(call: PastCall) -> Any:  # noqa: ANN401 - any JSON value
    """The arguments as an object, which templates expect; as they are where they are no JSON object."""
    try:
        parsed = json.loads(call.arguments or "{}")
    except ValueError:
        return call.arguments
    return parsed if isinstance(parsed, dict) else call.arguments
