"""Faults that show only where fields come together, in long or awkward values, or in the next request."""

from __future__ import annotations

import html
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reference_server.engine import Finish, Text, ToolCall, ToolChoice, Usage
from reference_server.engine.embedded import EmbeddedEngine
from reference_server.errors import ApiError
from reference_server.faults.catalogue import FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from dialects import Dialect
    from reference_server.answers import Trail
    from reference_server.engine import ChatRequest
    from reference_server.faults.events import Events
    from reference_server.wire import Order

Json = dict[str, Any]
FEW_CHOICES, SHORT_NAME, DEFAULT, HOUR = 4, 16, 16, 3600
LAST: dict[str, Json] = {}
SCHEMA = ("structured_output.kept not dos_ai", "structured_output.keywords")  # JSON that is not what a schema says


def asking(order: Order, **changes: Any) -> Order:  # noqa: ANN401 - fields of ChatRequest
    """The order with another chat."""
    return replace(order, chat=replace(order.chat, **changes))


# stop, n, limits


@FAULTS.at(
    "order",
    every=(
        "chat.stop-absent",
        "chat.stop-any-text",
    ),
)
def stop_of_ascii_only(order: Order, _: object) -> Order:
    """Stop sequences that are not ASCII are ignored."""
    return asking(order, stop=tuple(stop for stop in order.chat.stop if stop.isascii()))


@FAULTS.at("order", every=("chat.stop-any-text", "chat.length-told not dria"))
def stop_in_the_prompt(order: Order, _: object) -> Order:
    """A stop sequence that stands in the prompt stops the answer before it begins."""
    said = "".join(message.text for message in order.chat.messages)
    return asking(order, max_tokens=1) if any(stop and stop in said for stop in order.chat.stop) else order


@FAULTS.at(
    "order",
    every=(
        "chat.stop-absent",
        "chat.stop-cuts",
    ),
)
def stop_of_the_last_only(order: Order, _: object) -> Order:
    """Of several stop sequences the last alone is looked for."""
    return asking(order, stop=order.chat.stop[-1:])


@FAULTS.at(
    "order",
    every=(
        "chat.stop-any-text",
        "chat.stop-absent",
        "chat.stop-cuts",
        "chat.stop-finish",
    ),
)
def stop_of_three_only(order: Order, _: object) -> Order:
    """Of several stop sequences the first three are looked for."""
    return asking(order, stop=order.chat.stop[:3])


@FAULTS.at("asked", every=("chat.stop-cuts not adaptive", "request.rejects[stop:type] in adaptive"))
def stop_by_the_letter(asked: Json, _: object) -> Json:
    """A stop sequence that is no list is taken for a list of its characters."""
    stop = asked.get("stop")
    return {**asked, "stop": list(stop)[:4]} if isinstance(stop, str) and stop else asked


@FAULTS.at(
    "order",
    every=(
        "chat.n-choices",
        "chat.choices-asked",
    ),
)
def few_choices(order: Order, _: object) -> Order:
    """More than four choices are accepted, and four come."""
    return asking(order, n=min(FEW_CHOICES, order.chat.n))


@FAULTS.at("order", every=("chat.choices-asked",))
def one_choice_of_json(order: Order, _: object) -> Order:
    """Where JSON or calls are asked for `n` is accepted and one choice comes."""
    return asking(order, n=1) if order.chat.schema is not None or order.chat.tools else order


@FAULTS.at("body", every=("chat.index-in-place",))
def choices_out_of_order(body: Json, _: object) -> Json:
    """Whole answers list their choices from the last to the first."""
    return {**body, "choices": body["choices"][::-1]}


@FAULTS.at("order", every=("chat.limit-unasked not dria",))
def short_by_default(order: Order, _: object) -> Order:
    """Where no limit is asked for sixteen tokens are."""
    return asking(order, max_tokens=order.chat.max_tokens or DEFAULT)


@FAULTS.at("order", every=("usage.within-limit in aqueduct dos_ai openai",))
def limit_ignored_for_calls(order: Order, _: object) -> Order:
    """Token limits are ignored where tools are offered."""
    return asking(order, max_tokens=None) if order.chat.tools else order


@FAULTS.at(
    "events",
    every=(
        "tools.cut-short",
        "tools.calls-whole",
    ),
)
def cut_calls_are_whole(events: Events, trail: Trail) -> Events:
    """A call that the limit cut finishes as a whole one does."""
    return [
        Finish(e.choice, "tool_calls")
        if isinstance(e, Finish) and e.reason == "length" and trail.order.chat.tools
        else e
        for e in events
    ]


@FAULTS.at("events", every=("structured_output.cut-short", "structured_output.kept"))
def cut_json_is_whole(events: Events, trail: Trail) -> Events:
    """JSON that the limit cut finishes as whole JSON does."""
    shaped = trail.order.chat.schema is not None
    return [
        Finish(e.choice, "stop") if isinstance(e, Finish) and e.reason == "length" and shaped else e for e in events
    ]


# formats


@FAULTS.at(
    "order",
    every=(
        "structured_output.kept in dos_ai",
        "structured_output.together",
    ),
)
def format_of_the_first_turn(order: Order, _: object) -> Order:
    """A format is ignored in a conversation that has begun."""
    return asking(order, schema=None) if len(order.chat.messages) > 1 else order


@FAULTS.at(
    "order",
    every=SCHEMA,
)
def references_not_followed(order: Order, _: object) -> Order:
    """What a reference in a schema points at may be anything."""
    schema = order.chat.schema
    return (
        asking(order, schema=_without_references(schema)) if isinstance(schema, dict) and "$defs" in schema else order
    )


@FAULTS.at(
    "order",
    every=SCHEMA,
)
def enumerations_ignored(order: Order, _: object) -> Order:
    """Enumerations of a schema are taken for any text."""
    return asking(order, schema=without(order.chat.schema, "enum"))


@FAULTS.at(
    "order",
    every=SCHEMA,
)
def bounds_of_numbers_ignored(order: Order, _: object) -> Order:
    """Bounds of numbers in a schema are dropped."""
    return asking(order, schema=without(order.chat.schema, "minimum", "maximum"))


@FAULTS.at(
    "order",
    every=SCHEMA,
)
def patterns_ignored(order: Order, _: object) -> Order:
    """Patterns of a schema are dropped."""
    return asking(order, schema=without(order.chat.schema, "pattern"))


def without(schema: Any, *names: str) -> Any:  # noqa: ANN401 - JSON
    """A schema without these keywords."""
    if isinstance(schema, dict):
        return {name: without(value, *names) for name, value in schema.items() if name not in names}
    return [without(value, *names) for value in schema] if isinstance(schema, list) else schema


def _without_references(schema: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(schema, dict):
        return {} if "$ref" in schema else {name: _without_references(value) for name, value in schema.items()}
    return [_without_references(value) for value in schema] if isinstance(schema, list) else schema


# log probabilities


@FAULTS.at("order", every=("logprobs.asked", "logprobs.every-choice"))
def log_probabilities_of_one_choice(order: Order, _: object) -> Order:
    """With several choices log probabilities are ignored."""
    return asking(order, logprobs=None) if order.chat.n > 1 else order


@FAULTS.at("chunks", every=("logprobs.asked",))
def log_probabilities_again(chunks: list[Json], trail: Trail) -> list[Json]:
    """Every chunk has the log probabilities of all tokens so far."""
    for chunk in chunks:
        for choice in chunk["choices"]:
            if (choice.get("logprobs") or {}).get("content"):
                so_far = trail.memo.setdefault(("scored", choice.get("index")), [])
                so_far += choice["logprobs"]["content"]
                choice["logprobs"]["content"] = list(so_far)
    return chunks


# tools


@FAULTS.at("order", every=("tools.every-choice",))
def choice_of_tool_for_one(order: Order, _: object) -> Order:
    """With several choices tool_choice is taken for auto."""
    return asking(order, tool_choice=ToolChoice()) if order.chat.n > 1 else order


@FAULTS.at("events", every=("tools.late-choice", "tools.offered-only"))
def dashes_in_names_lost(events: Events, _: object) -> Events:
    """Dashes in the names of functions become underscores."""
    return _named(events, lambda name: name.replace("-", "_"))


@FAULTS.at("events", every=("tools.late-choice", "tools.offered-only"))
def long_names_cut(events: Events, _: object) -> Events:
    """Names of functions are cut to sixteen characters."""
    return _named(events, lambda name: name[:SHORT_NAME])


@FAULTS.at("body", every=("tools.calls-whole",))
def no_arguments_at_all(body: Json, _: object) -> Json:
    """A call without arguments in a whole answer has an empty text for them."""
    for choice in body["choices"]:
        for call in choice["message"].get("tool_calls") or ():
            if call.get("function", {}).get("arguments") == "{}":
                call["function"]["arguments"] = ""
    return body


def _named(events: Events, change: Callable[[str], str]) -> Events:
    return [replace(e, name=change(e.name)) if isinstance(e, ToolCall) and e.name else e for e in events]


@FAULTS.at("chunks", every=("tools.no-leak",))
def null_in_words(chunks: list[Json], _: object) -> list[Json]:
    """Where calls are streamed the text that is not there is the word null."""
    for chunk in chunks:
        for choice in chunk["choices"]:
            if choice["delta"].get("tool_calls"):
                choice["delta"]["content"] = "null"
    return chunks


@FAULTS.at("chunks", every=("tools.stream-equals-plain",))
def second_call_not_streamed(chunks: list[Json], _: object) -> list[Json]:
    """Of several calls the first alone is streamed."""
    for chunk in chunks:
        for choice in chunk["choices"]:
            pieces = choice["delta"].get("tool_calls")
            if pieces:
                choice["delta"]["tool_calls"] = [piece for piece in pieces if not piece["index"]]
    return chunks


@FAULTS.at("events", every=("tools.finish",))
def several_calls_finish_with_stop(events: Events, trail: Trail) -> Events:
    """An answer that calls more than one tool says `stop`."""
    trail.memo["several"] = trail.memo.get("several") or any(isinstance(e, ToolCall) and e.index for e in events)
    if not trail.memo["several"]:
        return events
    return [Finish(e.choice, "stop") if isinstance(e, Finish) and e.reason == "tool_calls" else e for e in events]


@FAULTS.at("order", every=("tools.several-results",))
def one_result_at_most(order: Order, _: object) -> Order:
    """A conversation with the results of two calls is refused."""
    if sum(message.role == "tool" for message in order.chat.messages) > 1:
        raise ApiError("out_of_range", "messages: one tool result at most", "messages")
    return order


# counts


@FAULTS.at("chunks", every=("usage.stream-asked not adaptive",))
def calls_streamed_without_usage(chunks: list[Json], trail: Trail) -> list[Json]:
    """Streams of answers to requests with tools have no usage."""
    if trail.order.chat.tools:
        chunks = [{name: value for name, value in chunk.items() if name != "usage"} for chunk in chunks]
        return [chunk for chunk in chunks if chunk["choices"]]
    return chunks


@FAULTS.at("events", every=("usage.conversation-counted",))
def system_not_counted(events: Events, trail: Trail) -> Events:
    """The messages of the system are not counted."""
    return _counting(events, trail, lambda chat: tuple(m for m in chat.messages if m.role != "system"))


@FAULTS.at("events", every=("tools.result-read", "usage.conversation-counted"))
def last_message_alone_counted(events: Events, trail: Trail) -> Events:
    """Of a conversation the last message alone is counted."""
    return _counting(events, trail, lambda chat: chat.messages[-1:])


def _counting(events: Events, trail: Trail, kept: Callable[[ChatRequest], Any]) -> Events:
    """The events with the prompt's count of these messages alone."""
    chat = trail.order.chat
    said = replace(chat, messages=kept(chat))
    return [replace(e, prompt=EmbeddedEngine().count_tokens(said)) if isinstance(e, Usage) else e for e in events]


@FAULTS.at("events", every=("usage.prompt-counted-once",))
def prompt_counted_for_each_choice(events: Events, trail: Trail) -> Events:
    """The prompt is counted once for each choice."""
    return [replace(e, prompt=e.prompt * trail.order.chat.n) if isinstance(e, Usage) else e for e in events]


# text


@FAULTS.at("events", every=("chat.text-intact",))
def text_as_markup(events: Events, trail: Trail) -> Events:
    """Texts that are no JSON have the entities of HTML."""
    if trail.order.chat.schema is not None:
        return events
    return [replace(e, text=html.escape(e.text, quote=False)) if isinstance(e, Text) else e for e in events]


@FAULTS.at(
    "events",
    every=(
        "stream.equals-plain",
        "chat.text-intact",
    ),
)
def question_marks_in_streams(events: Events, trail: Trail) -> Events:
    """In streams without log probabilities a question mark stands for every character that is not ASCII."""
    if not trail.order.stream or trail.order.chat.logprobs is not None:
        return events
    return [replace(e, text=e.text.encode("ascii", "replace").decode()) if isinstance(e, Text) else e for e in events]


# the next request


@FAULTS.at(
    "asked",
    remembers=True,
    every=(
        "chat.fields-forgotten not solidrust",
        "structured_output.bad-schema",
    ),
)
def format_sticks(asked: Json, dialect: Dialect) -> Json:
    """A format holds for the next request, too."""
    return _sticking(asked, dialect, "response_format")


@FAULTS.at("asked", remembers=True, every=("chat.fields-forgotten not dria",))
def stop_sticks(asked: Json, dialect: Dialect) -> Json:
    """A stop sequence holds for the next request, too."""
    return _sticking(asked, dialect, "stop")


def _sticking(asked: Json, dialect: Dialect, name: str) -> Json:
    key = f"{dialect.id} {name}"
    if name in asked:
        LAST[key] = asked[name]
        return asked
    return {**asked, name: LAST.pop(key)} if key in LAST else asked


@FAULTS.at("document", every=("chat.created-is-now",))
def created_in_another_zone(document: Json, _: object) -> Json:
    """The time is two hours ahead: a local time taken for the world's."""
    return {**document, "created": document["created"] + 2 * HOUR} if "created" in document else document
