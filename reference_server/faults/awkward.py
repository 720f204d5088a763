"""Faults that a second hunt brought to light: of long and many-lined texts, of parts, of what is asked for together."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reference_server.engine import Finish, Text, ToolCall
from reference_server.errors import ApiError
from reference_server.faults.catalogue import FAULTS
from reference_server.faults.together import SCHEMA, asking, without

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

    from reference_server.answers import Trail
    from reference_server.engine import Message
    from reference_server.faults.events import Events
    from reference_server.wire import Order

Json = dict[str, Any]
Chunks = list[Json]
Skipped = frozenset[str]
SHORT_STOP, LONG_NAME, RESULT, TURNS, KEPT, LAST, DELTAS = 16, 40, 100, 10, 4, 20, 50
ROLES = ("assistant", "developer", "function", "system", "tool", "user")
PATTERN = re.compile(r"[.*+?]")
TEMPLATE = re.compile(r"\{\{\w+\}\}")
SYSTEM: list[tuple[Message, ...]] = []
STOPS = ("chat.stop-absent", "chat.stop-any-text")


# stop sequences


@FAULTS.at("order", every=STOPS)
def stop_of_one_line_only(order: Order, _: object) -> Order:
    """Stop sequences with a line end are ignored."""
    return asking(order, stop=tuple(stop for stop in order.chat.stop if "\n" not in stop))


@FAULTS.at("order", every=STOPS)
def stop_of_space_ignored(order: Order, _: object) -> Order:
    """Stop sequences of white space alone are ignored."""
    return asking(order, stop=tuple(stop for stop in order.chat.stop if stop.strip()))


@FAULTS.at("order", every=STOPS)
def long_stop_ignored(order: Order, _: object) -> Order:
    """Stop sequences of more than sixteen characters are ignored."""
    return asking(order, stop=tuple(stop for stop in order.chat.stop if len(stop) <= SHORT_STOP))


@FAULTS.at("order", every=("chat.stop-any-text", "stream.role-first in dos_ai"))
def stop_without_case(order: Order, _: object) -> Order:
    """Stop sequences are found whatever the case of their letters."""
    return asking(order, stop=tuple(form for stop in order.chat.stop for form in (stop, stop.title(), stop.lower())))


@FAULTS.at("order", every=("chat.stop-any-text", "chat.length-told not dria solidrust"))
def stop_as_pattern(order: Order, _: object) -> Order:
    """Stop sequences are taken for patterns, of which those with a dot match at once."""
    return asking(order, max_tokens=1) if any(map(PATTERN.search, order.chat.stop)) else order


# choices and conversations


@FAULTS.at(
    "events",
    every=(
        "chat.length-told not dria solidrust",
        "chat.n-choices",
    ),
)
def later_choices_never_cut(events: Events, _: object) -> Events:
    """Choices after the first say `stop` however they ended."""
    return [
        Finish(e.choice, "stop") if isinstance(e, Finish) and e.choice and e.reason == "length" else e for e in events
    ]


@FAULTS.at("events", every=("chat.length-told",))
def cut_says_stop_at_zero(events: Events, trail: Trail) -> Events:
    """At temperature 0 a text that the limit cut says `stop`."""
    if trail.order.chat.temperature or trail.order.chat.schema is not None or trail.order.chat.tools:
        return events
    return [Finish(e.choice, "stop") if isinstance(e, Finish) and e.reason == "length" else e for e in events]


@FAULTS.at("events", every=("chat.length-told not solidrust",))
def whole_json_says_length(events: Events, trail: Trail) -> Events:
    """JSON that came to its end says `length`."""
    whole = trail.order.chat.schema is not None
    return [Finish(e.choice, "length") if isinstance(e, Finish) and e.reason == "stop" and whole else e for e in events]


@FAULTS.at("order", every=("usage.conversation-counted",))
def history_cut(order: Order, _: object) -> Order:
    """Of a conversation the last four messages are read."""
    return asking(order, messages=order.chat.messages[-KEPT:])


@FAULTS.at("order", every=("usage.conversation-counted",))
def long_history_cut(order: Order, _: object) -> Order:
    """Of a conversation the last twenty messages are read."""
    return asking(order, messages=order.chat.messages[-LAST:])


@FAULTS.at("order", remembers=True, every=("usage.conversation-counted",))
def system_sticks(order: Order, _: object) -> Order:
    """The messages of the system hold for the next request, too."""
    said = tuple(message for message in order.chat.messages if message.role == "system")
    if said:
        SYSTEM[:] = [said]
        return order
    return asking(order, messages=SYSTEM.pop() + order.chat.messages) if SYSTEM else order


@FAULTS.at("order", every=("request.multi-turn",))
def long_conversations_refused(order: Order, _: object) -> Order:
    """A conversation of more than ten messages is refused."""
    return _unless(order, refused=len(order.chat.messages) > TURNS)


@FAULTS.at("order", every=("request.any-turns",))
def turns_must_alternate(order: Order, _: object) -> Order:
    """Two messages of one role in a row are refused, but for results of tools."""
    roles = [message.role for message in order.chat.messages if message.role != "tool"]
    return _unless(order, refused=any(a == b for a, b in itertools.pairwise(roles)))


@FAULTS.at("order", every=("request.any-turns",))
def system_must_come_first(order: Order, _: object) -> Order:
    """A message of the system after another's is refused."""
    roles = [message.role for message in order.chat.messages]
    return _unless(order, refused="system" in _after("system", roles))


# streams


@FAULTS.at("chunks", every=("stream.equals-plain",))
def long_streams_lose_text(chunks: Chunks, trail: Trail) -> Chunks:
    """Deltas after the fiftieth of a text that is no JSON are empty."""
    for delta in _speaking(chunks, trail):
        trail.memo["deltas"] = trail.memo.get("deltas", 0) + 1
        if trail.memo["deltas"] > DELTAS * trail.order.chat.n:
            delta["content"] = ""
    return chunks


@FAULTS.at("chunks", every=("stream.equals-plain",))
def white_deltas_dropped(chunks: Chunks, trail: Trail) -> Chunks:
    """In streams without log probabilities deltas of white space alone are taken for empty."""
    for delta in _speaking(chunks, trail) if trail.order.chat.logprobs is None else ():
        delta["content"] = delta["content"] if delta["content"].strip() else ""
    return chunks


@FAULTS.at("chunks", every=("stream.equals-plain",))
def lines_joined_in_streams(chunks: Chunks, trail: Trail) -> Chunks:
    """Line ends in deltas become spaces."""
    for delta in _speaking(chunks, trail):
        delta["content"] = delta["content"].replace("\n", " ")
    return chunks


@FAULTS.at("order", every=("structured_output.streamed",))
def formats_not_streamed(order: Order, _: object) -> Order:
    """A format is refused where a stream is asked for."""
    return _unless(order, refused=order.stream and order.chat.schema is not None)


@FAULTS.at("chunks", every=("chat.stop-cuts",))
def end_doubled_at_a_stop(chunks: Chunks, trail: Trail) -> Chunks:
    """The last piece of a streamed text that a stop sequence could end comes twice."""
    return _doubled(chunks, trail, lambda _: bool(trail.order.chat.stop))


@FAULTS.at(
    "chunks",
    every=("structured_output.kept not dria", "structured_output.streamed not dria"),
)
def end_of_later_choices_doubled(chunks: Chunks, trail: Trail) -> Chunks:
    """The last piece of every choice after the first comes twice in streams."""
    return _doubled(chunks, trail, lambda index: index > 0)


@FAULTS.at("events", every=("chat.stop-any-text",))
def end_held_back(events: Events, trail: Trail) -> Events:
    """Streamed text that may begin a stop sequence is held back, and lost where the answer ends with it."""
    stops = trail.order.chat.stop if trail.order.stream and trail.order.chat.logprobs is None else ()
    return [_holding(event, stops, trail) if isinstance(event, Text) and stops else event for event in events]


@FAULTS.at("asked", every=("usage.stream-declined",))
def usage_though_declined(asked: Json, _: object) -> Json:
    """`include_usage: false` is taken for true: what counts is that the member is there."""
    options = asked.get("stream_options")
    if not isinstance(options, dict) or options.get("include_usage") is not False:
        return asked
    return {**asked, "stream_options": {**options, "include_usage": True}}


# texts


@FAULTS.at("order", every=("chat.text-intact",))
def templates_filled(order: Order, _: object) -> Order:
    """Names in double braces are filled in, with nothing."""
    said = tuple(replace(message, text=TEMPLATE.sub("", message.text)) for message in order.chat.messages)
    return asking(order, messages=said)


# formats


@FAULTS.at("order", every=("logprobs.asked",))
def log_probabilities_not_of_json(order: Order, _: object) -> Order:
    """Log probabilities are ignored where a format is asked for."""
    return asking(order, logprobs=None) if order.chat.schema is not None else order


@FAULTS.at("order", every=("structured_output.together in aqueduct openai",))
def format_or_log_probabilities(order: Order, _: object) -> Order:
    """A format is ignored where log probabilities are asked for."""
    return asking(order, schema=None) if order.chat.logprobs is not None else order


@FAULTS.at("order", every=("structured_output.bounded in aqueduct dos_ai openai",))
def format_or_tools(order: Order, _: object) -> Order:
    """A format is ignored where tools are offered."""
    return asking(order, schema=None) if order.chat.tools else order


@FAULTS.at("order", every=SCHEMA)
def lengths_of_texts_ignored(order: Order, _: object) -> Order:
    """Lengths of texts in a schema are dropped."""
    return asking(order, schema=without(order.chat.schema, "minLength", "maxLength"))


@FAULTS.at("order", every=SCHEMA)
def alternatives_of_schemas_ignored(order: Order, _: object) -> Order:
    """Alternatives in a schema are dropped."""
    return asking(order, schema=without(order.chat.schema, "anyOf"))


# tools


@FAULTS.at("order", every=("tools.result-read",))
def results_dropped(order: Order, _: object) -> Order:
    """The results of tools are taken and not read."""
    return _results(order, 0)


@FAULTS.at("order", every=("tools.result-read",))
def results_cut(order: Order, _: object) -> Order:
    """The results of tools are cut after a hundred characters."""
    return _results(order, RESULT)


@FAULTS.at("order", every=("tools.result-read",))
def earlier_calls_dropped(order: Order, _: object) -> Order:
    """The calls of earlier answers are taken and not read: their results answer nothing."""
    return asking(order, messages=tuple(replace(said, calls=()) for said in order.chat.messages))


@FAULTS.at("events", every=("tools.late-choice", "tools.offered-only"))
def names_cut_at_forty(events: Events, _: object) -> Events:
    """Names of functions are cut to forty characters."""
    return [replace(e, name=e.name[:LONG_NAME]) if isinstance(e, ToolCall) and e.name else e for e in events]


@FAULTS.at(
    "order",
    every=(
        "tools.*",
        "-tools.calls-whole",
        "-tools.cut-short",
        "-tools.late-choice",
        "-tools.offered-only",
        "-tools.override-shape",
        "-tools.result-read",
        "-tools.round-trip",
    ),
)
def calls_not_streamed(order: Order, _: object) -> Order:
    """Tools are refused where a stream is asked for."""
    return _unless(order, refused=order.stream and bool(order.chat.tools))


@FAULTS.at("events", every=("tools.every-choice",))
def arguments_in_ascii(events: Events, _: object) -> Events:
    """Arguments lose the characters that are not ASCII."""
    return [
        replace(e, arguments=e.arguments.encode("ascii", "ignore").decode()) if isinstance(e, ToolCall) else e
        for e in events
    ]


# parts


@FAULTS.at("order", every=("vision.every-part",))
def second_image_dropped(order: Order, _: object) -> Order:
    """Of several images of a message the first is looked at."""
    return asking(order, messages=tuple(replace(said, images=said.images[:1]) for said in order.chat.messages))


@FAULTS.at("asked", every=("vision.every-part", "usage.conversation-counted not dos_ai solidrust"))
def first_text_alone(asked: Json, _: object) -> Json:
    """Of several parts with text the first is read."""
    return _parted(asked, lambda parts: [part for at, part in enumerate(parts) if not _text(part) or _first(parts, at)])


@FAULTS.at("asked", every=("vision.every-part",))
def text_after_image_dropped(asked: Json, _: object) -> Json:
    """Text after an image is not read."""
    return _parted(
        asked, lambda parts: [part for at, part in enumerate(parts) if not _text(part) or _texts(parts[:at])]
    )


@FAULTS.at(
    "asked",
    every=(
        "request.rejects[messages.content:missing]",
        "request.rejects[messages.role:*]",
    ),
)
def later_messages_unchecked(asked: Json, _: object) -> Json:
    """Messages after the first that have no role, an unknown one or no content are left out."""
    messages = asked.get("messages")
    if not isinstance(messages, list):
        return asked
    return {**asked, "messages": [said for at, said in enumerate(messages) if not at or _sound(said)]}


def _sound(said: Any) -> bool:  # noqa: ANN401 - any JSON value
    return isinstance(said, dict) and said.get("role") in ROLES and ("content" in said or "tool_calls" in said)


# what is sent around the body


@FAULTS.at("skip", every=("service.accepts-json-charset",))
def media_type_by_the_letter(skipped: Skipped, request: Request) -> Skipped:
    """The media type of a request is compared letter by letter."""
    kind = request.headers.get("content-type", "").partition(";")[0]
    if kind.lower() == "application/json" != kind:
        raise ApiError("wrong_content_type", "Content-Type must be application/json")
    return skipped


@FAULTS.at("skip", every=("stream.content-type",))
def events_not_acceptable(skipped: Skipped, request: Request) -> Skipped:
    """A client that accepts events alone is refused."""
    if request.headers.get("accept") == "text/event-stream":
        raise ApiError("out_of_range", "Accept must allow application/json")
    return skipped


def _unless(order: Order, *, refused: bool) -> Order:
    if refused:
        raise ApiError("out_of_range", "messages: this is not supported", "messages")
    return order


def _after(role: str, roles: list[str]) -> list[str]:
    """The roles that follow the first messages, which are of this role."""
    return roles[next((at for at, other in enumerate(roles) if other != role), len(roles)) :]


def _results(order: Order, most: int) -> Order:
    said = order.chat.messages
    return asking(order, messages=tuple(replace(m, text=m.text[:most]) if m.role == "tool" else m for m in said))


def _speaking(chunks: Chunks, trail: Trail) -> list[Json]:
    """The deltas that say something, in answers that are no JSON."""
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"] if choice["delta"].get("content")]
    return deltas if trail.order.chat.schema is None else []


def _doubled(chunks: Chunks, trail: Trail, meant: Callable[[int], bool]) -> Chunks:
    """The chunks with the last piece of the text again beside the finish reason, in the choices that are meant."""
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        index, delta = choice.get("index", 0), choice["delta"]
        last = trail.memo.get(("last", index), "")
        if last and choice.get("finish_reason") and meant(index) and not delta.get("content"):
            delta["content"] = last
        trail.memo["last", index] = delta.get("content") or last
    return chunks


def _holding(event: Text, stops: Sequence[str], trail: Trail) -> Text:
    """The text with what was held back before it, without its end where that may begin a stop sequence."""
    text = trail.memo.pop(("held", event.choice), "") + event.text
    kept = next((n for n in range(max(map(len, stops)), 0, -1) if text.endswith(tuple(s[:n] for s in stops))), 0)
    trail.memo["held", event.choice] = text[len(text) - kept :]
    return replace(event, text=text[: len(text) - kept])


def _parted(asked: Json, kept: Any) -> Json:  # noqa: ANN401 - a function of a list of parts
    """The document with fewer parts in the messages that have some."""
    messages = asked.get("messages")
    if not isinstance(messages, list):
        return asked
    return {**asked, "messages": [_fewer(said, kept) for said in messages]}


def _fewer(said: Any, kept: Any) -> Any:  # noqa: ANN401 - any JSON value
    parts = said.get("content") if isinstance(said, dict) else None
    whole = isinstance(parts, list) and len(parts) > 1 and all(isinstance(part, dict) for part in parts)
    return {**said, "content": kept(parts)} if whole else said


def _text(part: Json) -> bool:
    return part.get("type") == "text"


def _texts(parts: list[Json]) -> bool:
    """Whether these are texts alone."""
    return all(map(_text, parts))


def _first(parts: list[Json], at: int) -> bool:
    """Whether no text stands before this place."""
    return not any(map(_text, parts[:at]))
