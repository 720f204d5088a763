"""Faults of what is said: text that belongs to nobody, JSON that is none, and what is generated against the order."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reference_server.engine import Finish, Text
from reference_server.faults.catalogue import FAULTS
from reference_server.faults.events import Events, after_finish, before_finish

if TYPE_CHECKING:
    from reference_server.answers import Trail
    from reference_server.wire import Order

Json = dict[str, Any]
TURN = itertools.count()


@FAULTS.at(
    "events",
    every=(
        "logprobs.asked",
        "logprobs.every-choice",
        "chat.text-clean[thinking]",
        "logprobs.present",
        "logprobs.streamed",
    ),
)
def thoughts_in_the_text(events: Events, trail: Trail) -> Events:
    """What the model thinks stands in the text of answers that are no JSON, between marks."""
    return _opened(events, trail, "<think>The user greets me.</think>")


@FAULTS.at(
    "events",
    every=(
        "logprobs.asked",
        "logprobs.every-choice",
        "chat.text-clean[special-tokens]",
        "logprobs.present",
        "logprobs.streamed",
    ),
)
def end_token_in_the_text(events: Events, trail: Trail) -> Events:
    """The token that ends a turn stands in the text of answers that are no JSON."""
    return events if trail.order.chat.schema is not None else before_finish(events, "<|im_end|>")


@FAULTS.at(
    "events",
    every=(
        "usage.stream-asked in dos_ai",
        "stream.finish-once",
        "chat.stop-cuts",
        "usage.completion-counted not adaptive solidrust",
        "usage.stream-on-request in dos_ai",
        "usage.stream-present in dos_ai",
    ),
)
def text_after_the_finish(events: Events, _: object) -> Events:
    """A last word of a choice comes after its finish reason."""
    return after_finish(events, " ")


@FAULTS.at(
    "events",
    every=(
        "logprobs.asked",
        "structured_output.kept",
        "structured_output.keywords",
        "structured_output.together",
        "structured_output.json-object",
        "structured_output.json-schema",
        "structured_output.streamed",
        "usage.completion-counted not adaptive solidrust",
    ),
)
def fence_around_json(events: Events, trail: Trail) -> Events:
    """JSON that was asked for stands in a fence, as in a page of Markdown."""
    if trail.order.chat.schema is None:
        return events
    return before_finish(_first(events, trail, "```json\n"), "\n```")


@FAULTS.at(
    "events",
    every=(
        "structured_output.bounded",
        "usage.completion-counted not solidrust",
    ),
)
def white_space_without_end(events: Events, trail: Trail) -> Events:
    """JSON that was asked for begins with a run of white space."""
    return events if trail.order.chat.schema is None else _first(events, trail, " \n" * 600)


@FAULTS.at(
    "order",
    every=(
        "structured_output.bounded",
        "structured_output.kept not adaptive aqueduct",
        "structured_output.keywords",
        "structured_output.together",
        "structured_output.json-object",
        "structured_output.json-schema",
        "structured_output.streamed",
    ),
)
def format_ignored(order: Order, _: object) -> Order:
    """A format is accepted and ignored."""
    return replace(order, chat=replace(order.chat, schema=None))


@FAULTS.at(
    "order",
    every=(
        "logprobs.asked",
        "logprobs.every-choice",
        "logprobs.present",
        "logprobs.streamed",
        "logprobs.values",
    ),
)
def log_probabilities_ignored(order: Order, _: object) -> Order:
    """Log probabilities are asked for and do not come."""
    return replace(order, chat=replace(order.chat, logprobs=None))


@FAULTS.at("order", every=("logprobs.top-count",))
def alternatives_ignored(order: Order, _: object) -> Order:
    """Alternatives of tokens are asked for and none come."""
    asked = order.chat.logprobs
    return replace(order, chat=replace(order.chat, logprobs=0 if asked else asked))


@FAULTS.at("events", every=("logprobs.values",))
def probabilities_for_logarithms(events: Events, _: object) -> Events:
    """Log probabilities have lost their sign."""
    return [
        replace(e, tokens=tuple(replace(t, logprob=abs(t.logprob) + 0.1) for t in e.tokens))
        if isinstance(e, Text)
        else e
        for e in events
    ]


@FAULTS.at(
    "order",
    every=(
        "vision.bad-image",
        "vision.image-accepted",
        "vision.text-model-refuses",
    ),
)
def images_dropped(order: Order, _: object) -> Order:
    """Images are taken and not looked at."""
    said = tuple(replace(message, images=()) for message in order.chat.messages)
    return replace(order, chat=replace(order.chat, messages=said))


@FAULTS.at("order", every=("sampling.temperature-zero-repeats",))
def never_the_same_text(order: Order, _: object) -> Order:
    """Neither temperature 0 nor a seed makes an answer repeatable."""
    return replace(order, chat=replace(order.chat, temperature=1.0, seed=next(TURN)))


@FAULTS.at("document", every=("usage.details-bounded",))
def more_reasoning_than_answer(document: Json, _: object) -> Json:
    """More reasoning tokens are told than there are tokens."""
    if document.get("usage"):
        document["usage"]["completion_tokens_details"] = {"reasoning_tokens": 10**6}
    return document


def _opened(events: Events, trail: Trail, words: str) -> Events:
    return events if trail.order.chat.schema is not None else _first(events, trail, words)


def _first(events: Events, trail: Trail, words: str) -> Events:
    """The events with these words before the first text of every choice."""
    made: Events = []
    for event in events:
        if isinstance(event, Text | Finish) and ("opened", event.choice) not in trail.memo:
            trail.memo["opened", event.choice] = True
            made.append(Text(event.choice, words))
        made.append(event)
    return made


@FAULTS.at(
    "events",
    every=(
        "chat.stop-absent",
        "chat.stop-any-text",
        "logprobs.asked",
        "logprobs.every-choice",
        "chat.stop-cuts",
    ),
)
def stop_sequence_in_the_text(events: Events, trail: Trail) -> Events:
    """A stop sequence, the last of the list, stands at the end of an answer that one ended."""
    stops = trail.order.chat.stop
    ended = any(isinstance(event, Finish) and event.reason == "stop" for event in events)
    return before_finish(events, stops[-1]) if stops and ended else events
