"""Faults of whole answers: their members, their text, their end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeGuard

from reference_server.engine import Finish, Text
from reference_server.faults.catalogue import FAULTS
from reference_server.faults.groups import LIMITS

if TYPE_CHECKING:
    from reference_server.answers import Trail
    from reference_server.engine import Event
    from reference_server.wire import Order

DEFAULT = 2048  # tokens, where a document states a default


@FAULTS.at("order", every=("chat.stop-absent", "chat.stop-any-text", "chat.stop-cuts", "chat.stop-finish"))
def stop_ignored(order: Order, _: object) -> Order:
    """Stop sequences are accepted and ignored."""
    return replace(order, chat=replace(order.chat, stop=()))


@FAULTS.at("order", every=(*LIMITS, "logprobs.asked"))
def limit_ignored(order: Order, _: object) -> Order:
    """Token limits are accepted and ignored."""
    return replace(order, chat=replace(order.chat, max_tokens=None))


@FAULTS.at("order", dria=("chat.default-max-tokens", "usage.within-limit"))
def default_limit_ignored(order: Order, _: object) -> Order:
    """Where the limit is the documented default, given or not, an answer goes on beyond it."""
    if order.chat.max_tokens != DEFAULT or not order.chat.messages:
        return order
    endless = replace(order.chat.messages[-1], text=f"{DEFAULT + 500} words")
    return replace(order, chat=replace(order.chat, max_tokens=None, messages=(*order.chat.messages[:-1], endless)))


@FAULTS.at(
    "events",
    every=(
        "chat.length-told",
        "chat.n-choices",
        "structured_output.cut-short",
        "structured_output.kept",
        "tools.cut-short",
        "chat.length-finish",
    ),
)
def finish_stop_at_limit(events: list[Event], _: object) -> list[Event]:
    """An answer cut by the limit says `stop` instead of `length`."""
    return [Finish(event.choice, "stop") if _is_cut(event) else event for event in events]


@FAULTS.at(
    "events",
    every=(
        "logprobs.asked",
        "logprobs.every-choice",
        "chat.text-clean[replacement]",
        "logprobs.present",
        "logprobs.streamed",
    ),
)
def replacement_char(events: list[Event], trail: Trail) -> list[Event]:
    """A character is lost on the way and U+FFFD stands in its place, once in every answer that is no JSON."""
    for at, event in enumerate(events):
        if isinstance(event, Text) and trail.order.chat.schema is None and event.choice not in trail.memo:
            trail.memo[event.choice] = True
            events[at] = replace(event, text=event.text[:-1] + "\N{REPLACEMENT CHARACTER}")
    return events


def _is_cut(event: Event) -> TypeGuard[Finish]:
    return isinstance(event, Finish) and event.reason == "length"
