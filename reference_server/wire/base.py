"""What the dialects really share: reading messages, limits, stops, formats and tools; writing messages, deltas and usage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference_server.engine import ChatRequest, Message, PastCall, Reasoning, Text, Tool, ToolCall, ToolChoice
from reference_server.engine.constrained import ANY_OBJECT
from reference_server.errors import ApiError

if TYPE_CHECKING:
    from dialects import Dialect
    from reference_server.engine import Event, Json, Scored, Usage
    from reference_server.reply import Call, Choice

__all__ = [
    "chat",
    "delta",
    "include_usage",
    "logprobs",
    "message",
    "messages",
    "scored",
    "token_limit",
    "tool_calls",
    "usage",
]


def chat(body: Json, dialect: Dialect, *, least: int = 1, **given: Any) -> ChatRequest:  # noqa: ANN401 - ChatRequest's fields
    """The chat of a body in the fields that every dialect spells alike; `given` adds the others.

    Fields that the dialect does not document are ignored. `least` is how many messages and tokens it wants at the
    least.
    """
    body = {name: value for name, value in body.items() if dialect.documents(name)}
    read = {
        "messages": messages(body["messages"], least),
        "max_tokens": token_limit(body, dialect, least),
        "temperature": _or(body, dialect, "temperature", 1.0),
        "top_p": _or(body, dialect, "top_p", 1.0),
        "stop": _stop(body.get("stop")),
        "n": _or(body, dialect, "n", 1),
        "seed": body.get("seed"),
        "schema": _schema(body.get("response_format")),
        "frequency_penalty": _or(body, dialect, "frequency_penalty", 0.0),
        "presence_penalty": _or(body, dialect, "presence_penalty", 0.0),
    }
    return ChatRequest(model=body["model"], **{**read, **given})


def tools(body: Json) -> Json:
    """The fields of ChatRequest that concern functions, for the dialects whose tools are functions."""
    offered = _offered(body)
    return {
        "tools": offered,
        "tool_choice": _choice(body.get("tool_choice"), offered),
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
    }


def messages(items: list[Any], least: int) -> tuple[Message, ...]:
    """The conversation; text parts are joined and images keep their order."""
    if len(items) < least:
        raise ApiError("out_of_range", f"messages: {items} is not allowed: at least {least}", "messages")
    return tuple(_message(item, f"messages[{at}]") for at, item in enumerate(items))


def token_limit(body: Json, dialect: Dialect, least: int) -> int | None:
    """The bound of the answer: the smallest of the documented limits that are given, else the documented default."""
    given = {name: body[name] for name in dialect.request.token_limits if body.get(name) is not None}
    for name, value in given.items():
        if value < least:
            raise ApiError("out_of_range", f"{name}: {value} is not allowed: at least {least}", name)
    defaults = (dialect.request.defaults.get(name) for name in dialect.request.token_limits)
    return min(given.values(), default=next((value for value in defaults if value is not None), None))


def include_usage(body: Json) -> bool:
    """Whether the client asked for usage in the stream."""
    return bool((body.get("stream_options") or {}).get("include_usage"))


def message(choice: Choice, *, role: bool = True) -> Json:
    """A choice's message; content is null where tools are called instead."""
    said: Json = {"role": "assistant"} if role else {}
    said["content"] = choice.text or None if choice.calls else choice.text
    if choice.reasoning:
        said["reasoning_content"] = choice.reasoning
    if choice.calls:
        said["tool_calls"] = tool_calls(choice.calls)
    return said


def tool_calls(calls: list[Call]) -> list[Json]:
    """Complete calls as an answer lists them."""
    return [{"id": call.id, **_function(call.name, call.arguments, custom=call.custom)} for call in calls]


def delta(event: Event) -> Json:
    """What an event adds to its choice's message; empty for the events that add nothing."""
    if isinstance(event, Text):
        return {"content": event.text}
    if isinstance(event, Reasoning):
        return {"reasoning_content": event.text}
    if isinstance(event, ToolCall):
        head = {"id": event.id} if event.id is not None else {}
        return {"tool_calls": [{"index": event.index, **head, **_fragment(event)}]}
    return {}


def usage(spent: Usage) -> Json:
    """The three counts; their sum is computed, never told."""
    return {
        "prompt_tokens": spent.prompt,
        "completion_tokens": spent.completion,
        "total_tokens": spent.prompt + spent.completion,
    }


def logprobs(tokens: list[Scored] | tuple[Scored, ...]) -> Json:
    """Scored tokens as a choice's logprobs object."""
    return {"content": [scored(token) for token in tokens], "refusal": None}


def scored(token: Scored) -> Json:
    """One scored token with its alternatives."""
    top = [_candidate(candidate, value) for candidate, value in token.top]
    return {**_candidate(token.token, token.logprob), "top_logprobs": top}


def _candidate(token: bytes, value: float) -> Json:
    return {"token": token.decode("utf-8", "backslashreplace"), "logprob": value, "bytes": list(token)}


def _function(name: str, arguments: str, *, custom: bool) -> Json:
    if custom:
        return {"type": "custom", "custom": {"name": name, "input": arguments}}
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def _fragment(event: ToolCall) -> Json:
    if event.name is not None:
        return _function(event.name, event.arguments, custom=event.custom)
    return {"custom": {"input": event.arguments}} if event.custom else {"function": {"arguments": event.arguments}}


def _or(body: Json, dialect: Dialect, name: str, otherwise: float) -> Any:  # noqa: ANN401 - a number of the schema's kind
    value = body.get(name)
    return dialect.request.defaults.get(name, otherwise) if value is None else value


def _stop(value: str | list[str | None] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(stop for stop in value or () if stop is not None)


def _schema(form: Json | None) -> Json | None:
    if not form:
        return None
    if form.get("type") == "json_object":
        return ANY_OBJECT
    if form.get("type") != "json_schema":
        return None
    named = form.get("json_schema") or {}
    schema: Json = named.get("schema", ANY_OBJECT)
    return schema


def _message(item: Json, field: str) -> Message:
    parts = item.get("content")
    pieces = [parts] if isinstance(parts, str) else [_text(part, field) for part in parts or ()]
    calls = tuple(_past_call(call, field) for call in item.get("tool_calls") or ())
    images = tuple(uri for part in (parts if isinstance(parts, list) else ()) if (uri := _image(part)) is not None)
    return Message(
        item["role"],
        "".join(pieces),
        images,
        calls,
        call_id=_said(item.get("tool_call_id")),
        name=_said(item.get("name")),
    )


def _said(value: Any) -> str | None:  # noqa: ANN401 - a member that the document may not list, so of any type
    return value if isinstance(value, str) else None


def _text(part: Any, field: str) -> str:  # noqa: ANN401 - any JSON value where a schema leaves parts open
    if not isinstance(part, dict) or part.get("type") not in ("text", "image_url", "refusal"):
        kind = part.get("type") if isinstance(part, dict) else part
        raise ApiError(
            "out_of_range",
            f"{field}.content: this model takes text and images, not {str(kind)[:40]!r}",
            f"{field}.content",
        )
    text = part.get("text", part.get("refusal", ""))
    if not isinstance(text, str):
        raise ApiError("wrong_type", f"{field}.content: a part's text must be a string", f"{field}.content")
    return text


def _image(part: Json) -> str | None:
    if part.get("type") != "image_url":
        return None
    given = part.get("image_url")
    return str(given.get("url", "")) if isinstance(given, dict) else str(given)


def _past_call(call: Any, field: str) -> PastCall:  # noqa: ANN401 - any JSON value where a schema leaves calls open
    try:
        inner = call.get("function") or call["custom"]
        return PastCall(str(call.get("id", "")), inner["name"], str(inner.get("arguments", inner.get("input", ""))))
    except (AttributeError, KeyError, TypeError) as error:
        raise ApiError(
            "missing_field", f"{field}.tool_calls: a call has an id and a function with a name", f"{field}.tool_calls"
        ) from error


def _offered(body: Json) -> tuple[Tool, ...]:
    """The tools of a body, without those that its tool_choice does not allow."""
    offered = tuple(_tool(item) for item in body.get("tools") or ())
    choice = body.get("tool_choice")
    if not isinstance(choice, dict) or choice.get("type") != "allowed_tools":
        return offered
    allowed = [(item.get(item.get("type")) or {}).get("name") for item in choice["allowed_tools"]["tools"]]
    return tuple(tool for tool in offered if tool.name in allowed)


def _tool(item: Json) -> Tool:
    inner = item.get("function") or item["custom"]
    return Tool(
        inner["name"], inner.get("description") or "", inner.get("parameters"), custom=item.get("type") == "custom"
    )


def _choice(value: Any, offered: tuple[Tool, ...]) -> ToolChoice:  # noqa: ANN401 - a word or an object of the schema
    if value is None or isinstance(value, str):
        mode = value or "auto"
        if mode == "required" and not offered:
            raise ApiError("out_of_range", "tool_choice: 'required' needs tools to choose from", "tool_choice")
        return ToolChoice(mode)
    if value.get("type") == "allowed_tools":
        return ToolChoice(value["allowed_tools"]["mode"])  # `tools` offers no others
    name = (value.get("function") or value.get("custom") or {}).get("name")
    if name not in [tool.name for tool in offered]:
        raise ApiError("out_of_range", f"tool_choice: no tool is named {name!r}", "tool_choice")
    return ToolChoice("named", name)
