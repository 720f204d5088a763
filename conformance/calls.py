"""Reads tool calls: what is wrong with one, with the pieces of a streamed one, and whether one was left in the text."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from conformance.fields import shown
from conformance.reply import dig

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from conformance.reply import Choice, Reply

__all__ = ["called", "is_object", "leaked", "misshapen", "name", "offered", "pieces", "unfit"]

Json = dict[str, Any]
# How the templates of well-known model families write a call, opening or closing.
MARKUP = re.compile(
    r"</?tool_calls?>|<function=\w|</function>|\[/?TOOL_CALLS?\]|\[TOOL_REQUEST\]|<\|python_tag\|>|<minimax:tool_call>"
    r"|<\|/?tool_calls?(?:_section)?(?:_begin|_end)?\|>|<\|/?function_call\|>|<\uff5ctool\u2581\w+\uff5c>"
    r"|<\|channel\|>|\bto=functions\.\w|\bfunctions\.\w+(?=[:(\s]*\d*\s*[{(])"
)


NOTHING = re.compile(r"(?:null|None|undefined)+")


def name(call: Json) -> str:
    """The function's name; as a JSON list where it is no string, so that it equals no name on offer."""
    found = dig(call, "function", "name")
    return found if isinstance(found, str) else shown([found])


def offered(body: Json) -> set[str]:
    """The names of the functions and custom tools that a request offers."""
    tools, functions = body.get("tools"), body.get("functions")
    holders = [dig(tool, kind) for tool in _list(tools) for kind in ("function", "custom")] + _list(functions)
    return {found for holder in holders if isinstance(found := dig(holder, "name"), str)}


def called(choice: Choice) -> Iterator[str]:
    """The names that a choice calls, in whatever form a call has."""
    old = dig(choice.raw, "message", "function_call", "name")
    for found in (*(dig(call, kind, "name") for call in choice.calls for kind in ("function", "custom")), old):
        if isinstance(found, str) and found:
            yield found


def _list(value: Any) -> list[Any]:  # noqa: ANN401 - any JSON value
    return value if isinstance(value, list) else []


def misshapen(call: Json, offered: Collection[str]) -> str | None:
    """What is wrong with the form of a complete call, or None."""
    if not isinstance(call.get("id"), str) or not call["id"]:
        return f"id {shown(call.get('id'))}"
    if call.get("type") != "function":
        return f"type {shown(call.get('type'))}"
    if name(call) not in offered:
        return f"function.name {shown(dig(call, 'function', 'name'))}"
    arguments = dig(call, "function", "arguments")
    return None if isinstance(arguments, str) else f"function.arguments {shown(arguments)}"


def unfit(call: Json, parameters: Json) -> str | None:
    """Why the arguments are no JSON object that satisfies the parameters, or None."""
    text = dig(call, "function", "arguments")
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return f"arguments that are no JSON text: {shown(text)}"
    if not isinstance(value, dict):
        return f"arguments that are no object: {shown(text)}"
    problem = next(iter(Draft202012Validator(parameters).iter_errors(value)), None)
    return f"{shown(text)}: {problem.message[:120]}" if problem is not None else None


def is_object(text: str) -> bool:
    """Whether a text is the JSON of an object."""
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


@dataclass(slots=True)
class _Pieces:
    """The calls begun so far in one choice of a stream, and whether the choice has finished."""

    begun: dict[int, set[str]] = field(default_factory=dict)
    finished: bool = False

    def problem(self, piece: Any) -> str | None:  # noqa: ANN401 - any JSON value
        """What is wrong with the next piece, or None."""
        index, arguments = dig(piece, "index"), dig(piece, "function", "arguments")
        if self.finished:
            return "a piece after finish_reason"
        if not isinstance(index, int) or isinstance(index, bool):
            return f"the index {shown(index)}"
        if arguments is not None and not isinstance(arguments, str):
            return "arguments that are no string"
        expected = len(self.begun)
        if index not in self.begun and index != expected:
            return f"call number {expected} with the index {index}"
        came = {part for part, value in _named(piece).items() if value} - {"type"}
        known = self.begun.setdefault(index, set())
        again = known & came
        known |= came
        return f"{' and '.join(sorted(again))} again in a later piece" if again else None


def _named(call: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    """What a call or a piece says of itself besides its arguments."""
    return {"id": dig(call, "id"), "type": dig(call, "type"), "name": dig(call, "function", "name")}


def _nameless(choice: Choice) -> Iterator[str]:
    """What no piece of a call brought; where the limit cut the choice its last call may lack anything."""
    for call in choice.calls if choice.finish != "length" else ():
        missing = [part for part, value in _named(call).items() if not isinstance(value, str) or not value]
        if missing:
            yield f"no {' and no '.join(missing)} in any piece: {shown(call)}"


def pieces(reply: Reply) -> Iterator[str]:
    """What is wrong with the pieces of a stream's calls.

    By openai-openapi 2.3.0, ChatCompletionMessageToolCallChunk: an index joins them, and any may bring any part; clients
    add up all strings, so id and name may come only once.
    """
    seen: dict[str, _Pieces] = {}
    for chunk in reply.chunks:
        for choice in chunk.choices:
            state = seen.setdefault(str(choice.get("index", 0)), _Pieces())
            came = dig(choice, "delta", "tool_calls")
            for piece in came if isinstance(came, list) else []:
                problem = state.problem(piece)
                if problem:
                    yield f"{problem}: {shown(piece)}"
            state.finished = state.finished or bool(choice.get("finish_reason"))
    for grown in reply.choices if reply.streamed else ():
        yield from _nameless(grown)


def leaked(choice: Choice, offered: Collection[str]) -> str | None:
    """The call that was left in a choice's text, or None. A weak model's mere imitation of markup is no call."""
    if choice.calls and NOTHING.fullmatch(choice.text.strip()):
        return "a word for no text"
    marked = MARKUP.search(choice.text)
    if marked and (choice.calls or _is_call(choice.text[marked.end() :], offered)):
        return f"the markup {marked[0]!r}"
    return "a call as JSON" if _is_call(choice.text, offered) else None


def _is_call(text: str, offered: Collection[str]) -> bool:
    """Whether a text begins with the JSON of a call of an offered function."""
    start = re.search(r"[\[{]", text[:80])
    if start is None:
        return False
    try:
        value, _ = json.JSONDecoder().raw_decode(text[start.start() :])
    except (ValueError, RecursionError):
        return False
    value = value[0] if isinstance(value, list) and value else value
    names = (dig(value, "name"), dig(value, "function", "name"), dig(value, "function"))
    return any(isinstance(found, str) and found in offered for found in names)
