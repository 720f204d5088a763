"""The codecs: one module a dialect, pure functions between its JSON and the engine's requests and events."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from dialects import Dialect
    from reference_server.engine import ChatRequest, Event, Json
    from reference_server.reply import Reply

__all__ = ["Codec", "Encoder", "Order", "Stamp", "codec"]


@dataclass(frozen=True, slots=True)
class Order:
    """What a client asks of the service: the chat itself, and how and when the answer should come.

    `first_within` and `finish_within` are in seconds. `session` is the conversation to continue, None for a new one.
    """

    chat: ChatRequest
    stream: bool = False
    include_usage: bool = False
    first_within: float | None = None
    finish_within: float | None = None
    session: str | None = None
    store: bool = True


@dataclass(frozen=True, slots=True)
class Stamp:
    """What one answer carries besides what was generated; `created` in Unix seconds, `completions` one id a choice."""

    id: str
    created: int
    model: str
    node: str
    session: str
    completions: tuple[str, ...]


class Encoder(Protocol):
    """Turns the events of one streamed answer into chunks."""

    def open(self) -> list[Json]:
        """Chunks that come before anything is generated."""

    def push(self, event: Event) -> list[Json]:
        """Chunks that this event makes due."""

    def close(self) -> list[Json]:
        """Chunks that end the stream."""


class Codec(Protocol):
    """What each dialect's module offers."""

    def decode(self, body: Json, dialect: Dialect) -> Order:
        """The order in a body that satisfies the request schema. Raises ApiError for what a schema cannot say."""

    def body(self, stamp: Stamp, order: Order, reply: Reply) -> Json:
        """The whole answer as one document."""

    def encoder(self, stamp: Stamp, order: Order) -> Encoder:
        """A fresh encoder for one stream."""


def codec(dialect: str) -> Codec:
    """The codec of a dialect by its name."""
    return cast("Codec", import_module(f"{__name__}.{dialect}"))
