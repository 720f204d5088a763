"""What an engine is: a chat request goes in, events come out; it knows no dialect and no HTTP.

Event order of one answer: any number of `Text`, `Reasoning`, `ToolCall` (choices interleaved as they come), one `Finish`
for each choice, and one `Usage` straight after the last `Finish`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = [
    "ChatRequest",
    "Engine",
    "Event",
    "Finish",
    "Json",
    "Message",
    "PastCall",
    "Reasoning",
    "Scored",
    "Text",
    "Tool",
    "ToolCall",
    "ToolChoice",
    "Usage",
]

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PastCall:
    """A tool call that an earlier assistant message made; `arguments` is the JSON text as it was sent."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `images` are data: URIs in order; `calls` belong to assistants, `call_id` to tool messages."""

    role: str
    text: str
    images: tuple[str, ...] = ()
    calls: tuple[PastCall, ...] = ()
    call_id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call; `parameters` is a JSON Schema, None when the function takes none.

    A `custom` tool takes free text instead of JSON.
    """

    name: str
    description: str = ""
    parameters: Json | None = None
    custom: bool = False


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`mode`: none | auto | required | named; `name` is set for named only."""

    mode: str = "auto"
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What to generate. `max_tokens` None means up to the context; `schema` constrains the text to JSON.

    `logprobs` is None when not asked for, else how many alternatives each token lists. `schema_field` is where the client
    put the schema, for the refusal of one that cannot be held.
    """

    model: str
    messages: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    n: int = 1
    stop: tuple[str, ...] = ()
    seed: int | None = None
    schema: Json | bool | None = None
    schema_field: str = "response_format"
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool = True
    logprobs: int | None = None
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0


@dataclass(frozen=True, slots=True)
class Scored:
    """One emitted token with its log probability and the best alternatives (token bytes, log probability), best first."""

    token: bytes
    logprob: float
    top: tuple[tuple[bytes, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """More of a choice's answer; always whole code points. `tokens` is filled only when logprobs were asked for."""

    choice: int
    text: str
    tokens: tuple[Scored, ...] = ()


@dataclass(frozen=True, slots=True)
class Reasoning:
    """More of what the model thinks before it answers."""

    choice: int
    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A fragment of call number `index` of a choice; the first fragment carries `id` and `name`, later ones neither.

    `arguments` is more of the JSON text, or of the free text that a `custom` tool takes.
    """

    choice: int
    index: int
    id: str | None
    name: str | None
    arguments: str
    custom: bool = False


@dataclass(frozen=True, slots=True)
class Finish:
    """A choice is complete. `reason`: stop | length | tool_calls | content_filter."""

    choice: int
    reason: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of the whole answer; `completion` sums all choices and includes `reasoning`, `prompt` includes `cached`."""

    prompt: int
    completion: int
    reasoning: int = 0
    cached: int = 0


Event = Text | Reasoning | ToolCall | Finish | Usage


class Engine(Protocol):
    """Generates answers.

    `generate` raises ApiError before its first event when the request cannot be served, later when generation fails.
    """

    models: tuple[str, ...]

    async def start(self) -> None:
        """Become ready to answer."""

    async def close(self) -> None:
        """Release everything."""

    def count_tokens(self, request: ChatRequest) -> int:
        """How many tokens the prompt of this request has."""

    def generate(self, request: ChatRequest) -> AsyncIterator[Event]:
        """The events of one answer; closing the iterator stops the generation."""

    def check(self) -> None:
        """Raise ApiError(unavailable) when it can answer nobody any more."""

    async def load(self) -> dict[str, int]:
        """What it counts of its own work at this moment, by name; empty when it counts nothing."""
