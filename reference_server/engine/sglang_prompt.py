"""The conversation as chat templates take it: OpenAI's message objects, tools beside them.

Many templates do not know tools. For them the tools are described in the system message, in the form that Hermes models
made common, and past calls are written in the same form; templates that know tools render them in the model's own way.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reference_server.engine import Message
from reference_server.engine.sglang_schema import parameters
from reference_server.errors import ApiError

if TYPE_CHECKING:
    from reference_server.engine import ChatRequest, Json, PastCall, Tool

__all__ = ["Prompter"]

ROLES = {"developer": "system", "function": "tool"}  # roles of the API that models were not trained on
TOOLS_INTRODUCTION = (
    "You may call functions. To call one, write a line of this form and nothing else:\n"
    '<tool_call>{"name": "NAME", "arguments": {"ARGUMENT": "VALUE"}}</tool_call>\n'
    "These are the functions, with the JSON Schema of their arguments:"
)


# Where a model's configuration says which tokens stand for an image, and for what nobody can send here.
IMAGE_MARKS = ("image_token_id", "image_token_index", "boi_token_index")
OTHER_MARKS = ("video_token_id", "video_token_index", "audio_token_id", "audio_token_index")
PROBE = "a lantern"
PROBES = {
    "system": ("system", "user"),
    "user": ("user",),
    "assistant": ("user", "assistant", "user"),
}  # role: a conversation with it


@dataclass(frozen=True, slots=True)
class Prompter:
    """Renders requests with a tokenizer's chat template. `marks` are the tokens that stand for an image, `others` for other media."""

    tokenizer: Any
    knows_tools: bool
    takes_parts: bool  # whether the template takes content as a list of parts, as those of vision models do
    only_parts: frozenset[str] = frozenset()  # the roles whose content it loses when it is a text
    marks: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @classmethod
    def of(cls, tokenizer: Any, config: Any = None) -> Prompter:  # noqa: ANN401 - transformers has no stable type for it
        """The prompter of a tokenizer whose chat template is one text, and of the configuration of a model that sees."""
        template = str(tokenizer.chat_template)
        takes_parts = "content" in template and "'image'" in template.replace('"', "'")
        marks, others = (
            tuple(str(tokenizer.convert_ids_to_tokens(each)) for name in names if (each := getattr(config, name, None)))
            for names in (IMAGE_MARKS, OTHER_MARKS)
        )
        only_parts = frozenset(role for role in PROBES if takes_parts and not _shows(tokenizer, role))
        return cls(tokenizer, "tools" in template, takes_parts, only_parts, marks, others)

    def tokens(self, request: ChatRequest) -> list[int]:
        """The token ids of the prompt. Raises ApiError(out_of_range) for what the model's template refuses."""
        # The tokenizer below transformers' own, because only that may be used by several threads at once.
        text, backend = self.text(request), getattr(self.tokenizer, "backend_tokenizer", None)
        encode = self.tokenizer.encode if backend is None else lambda *a, **k: backend.encode(*a, **k).ids
        return list(encode(text, add_special_tokens=False))

    def text(self, request: ChatRequest) -> str:
        """The prompt as text. Raises ApiError(out_of_range)."""
        tools = () if request.tool_choice.mode == "none" else request.tools
        spoken = _introduced(request.messages, tools) if tools and not self.knows_tools else request.messages
        messages = [self._message(message) for message in spoken]
        options: Json = {"tools": [_function(tool) for tool in tools] or None} if self.knows_tools else {}
        try:
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **options)
        except Exception as error:  # the template is a program of the model's authors; it raises what it likes
            raise ApiError(
                "out_of_range", f"messages: the model's template refuses them: {error}", "messages"
            ) from error
        self._check_marks(str(text), sum(len(message.images) for message in request.messages))
        return str(text).encode("utf-8", "replace").decode()

    def _check_marks(self, text: str, images: int) -> None:
        """Refuse what was said in the model's own signs for media: it would wait for an image that nobody sent."""
        for most, marks in ((images, self.marks), (0, self.others)):
            for mark in marks:
                if text.count(mark) > most:
                    raise ApiError("out_of_range", f"messages: {mark} stands for an image or other media", "messages")

    def _message(self, message: Message) -> Json:
        role = _role(message)
        said: Json = {"role": role, "content": self._content(message, role)}
        if message.name:
            said["name"] = message.name
        if message.call_id:
            said["tool_call_id"] = message.call_id
        if message.calls and self.knows_tools:
            said["tool_calls"] = [_past(call) for call in message.calls]
        return said

    def _content(self, message: Message, role: str) -> str | list[Json]:
        written = map(_written, () if self.knows_tools else message.calls)
        text = "\n".join([*([message.text] if message.text or not message.calls else []), *written])
        if role in self.only_parts or (message.images and self.takes_parts):
            return [{"type": "image"} for _ in message.images] + [{"type": "text", "text": text}]
        return text


def _role(message: Message) -> str:
    return ROLES.get(message.role, message.role)


def _shows(tokenizer: Any, probed: str) -> bool:  # noqa: ANN401 - transformers has no stable type for it
    """Whether the template shows the content of this role when it is a text."""
    messages = [{"role": role, "content": PROBE if role == probed else "hello"} for role in PROBES[probed]]
    try:
        return PROBE in str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    except Exception:  # noqa: BLE001 - the template is a program of the model's authors; it raises what it likes
        return False


def _introduced(messages: tuple[Message, ...], tools: tuple[Tool, ...]) -> tuple[Message, ...]:
    """The messages with the tools described in the system message, which is made if there is none."""
    lines = [TOOLS_INTRODUCTION, *(json.dumps(_function(tool)["function"], ensure_ascii=False) for tool in tools)]
    if messages and _role(messages[0]) == "system":
        return replace(messages[0], text="\n".join([messages[0].text, *lines])), *messages[1:]
    return Message("system", "\n".join(lines)), *messages


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
