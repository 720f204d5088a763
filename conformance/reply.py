"""Reads an exchange as a chat completion: whole or streamed, the same view. Reads anything; judges nothing.

`read` gives a `Reply` whatever the target sent: members of the wrong type read as absent, and the checks of shape say so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from conformance.wire import strict_json

if TYPE_CHECKING:
    from conformance.wire.exchange import Exchange, Timed

__all__ = ["Choice", "Chunk", "Reply", "asked", "dig", "read"]

Json = dict[str, Any]
DONE = "[DONE]"
EXCUSES = {
    "length": "the token limit, which counts thoughts too, cut the answer before it said anything",
    "content_filter": "a filter cut the answer",
}
TEXTS = frozenset(("content", "arguments", "reasoning", "reasoning_content", "refusal", "token", "obfuscation", "text"))


@dataclass(slots=True)
class Choice:
    """One choice: its index, text, roles and finish reasons in the order they came, and its tool calls."""

    index: int
    text: str = ""
    reasoning: str = ""
    roles: list[str] = field(default_factory=list)
    finishes: list[str] = field(default_factory=list)
    calls: list[Json] = field(default_factory=list)
    logprobs: list[Json] = field(default_factory=list)
    declined: bool = False
    raw: Any = None

    @property
    def finish(self) -> str | None:
        """The finish reason, or None."""
        return self.finishes[-1] if self.finishes else None

    @property
    def excuse(self) -> str | None:
        """Why there may rightly be no text: the limit, which counts thoughts too, a filter, a refusal in words of its own."""
        if self.declined:
            return "the model declined to answer, in the member refusal"
        return EXCUSES.get(self.finish or "")


@dataclass(frozen=True, slots=True)
class Chunk:
    """One event of a stream that is not [DONE]: its JSON value or None, what was wrong with it, and its event."""

    value: Any
    departures: tuple[str, ...]
    timed: Timed

    @property
    def choices(self) -> list[Json]:
        """The chunk's choices that are objects."""
        return _objects(dig(self.value, "choices"))


@dataclass(frozen=True)
class Reply:
    """An answer seen as a chat completion. `streamed` tells how it came."""

    exchange: Exchange
    streamed: bool

    @cached_property
    def body(self) -> Json:
        """The whole answer's object, or {}."""
        value = self.exchange.json
        return value if isinstance(value, dict) and not self.streamed else {}

    @cached_property
    def chunks(self) -> tuple[Chunk, ...]:
        """The streamed chunks, in order, without [DONE]."""
        if not self.streamed:
            return ()
        return tuple(_chunk(timed) for timed in self.exchange.decoded[1] if timed.event.data.strip() != DONE)

    @cached_property
    def distinct(self) -> tuple[tuple[int, Chunk], ...]:
        """(number from 1, chunk) of the chunks that differ in more than their text: what a rule of shape has to look at."""
        first: dict[Any, tuple[int, Chunk]] = {}
        for number, chunk in enumerate(self.chunks, 1):
            first.setdefault(_shape(chunk.value), (number, chunk))
        return tuple(first.values())

    @cached_property
    def done(self) -> list[int]:
        """Positions among all events at which [DONE] stands."""
        return [i for i, timed in enumerate(self.exchange.decoded[1]) if timed.event.data.strip() == DONE]

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """The choices by ascending index."""
        return _folded(self.chunks) if self.streamed else _whole(self.body)

    def choice(self, index: int = 0) -> Choice:
        """The choice of that index; an empty one when it never came."""
        return next((c for c in self.choices if c.index == index), Choice(index))

    @property
    def text(self) -> str:
        """The first choice's text."""
        return self.choice().text

    @property
    def finish(self) -> str | None:
        """The first choice's finish reason."""
        return self.choice().finish

    @cached_property
    def usages(self) -> list[Json]:
        """Each usage object that came (a whole answer has at most one)."""
        sources = [c.value for c in self.chunks] if self.streamed else [self.body]
        return [usage for source in sources if isinstance(usage := dig(source, "usage"), dict)]

    @property
    def usage(self) -> Json:
        """The last usage object, or {}."""
        return self.usages[-1] if self.usages else {}

    def count(self, name: str) -> int | None:
        """A token count of the usage, when it is an integer."""
        value = self.usage.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @property
    def id(self) -> Any:  # noqa: ANN401 - whatever the target sent
        """The answer's id (of the first chunk that has one)."""
        if not self.streamed:
            return self.body.get("id")
        return next((c.value["id"] for c in self.chunks if isinstance(c.value, dict) and c.value.get("id")), None)


def read(exchange: Exchange) -> Reply:
    """The exchange seen as an answer; read once, as dozens of oracles look at it."""
    kept: Reply | None = exchange.__dict__.get("reply")
    if kept is None:
        kept = exchange.__dict__["reply"] = Reply(exchange, exchange.streamed)
    return kept


def asked(exchange: Exchange) -> Json:
    """The JSON object that was sent, or {}."""
    body = exchange.request.json()
    return body if isinstance(body, dict) else {}


def dig(value: Any, *path: str | int) -> Any:  # noqa: ANN401 - any JSON value
    """The member at that path, or None where something on the way is missing or of another type."""
    for step in path:
        if isinstance(step, str) and isinstance(value, dict):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def _chunk(timed: Timed) -> Chunk:
    try:
        value, departures = strict_json.read(timed.event.data)
    except strict_json.NotJson as error:
        return Chunk(None, (f"not JSON: {error}",), timed)
    return Chunk(value, tuple(departures), timed)


def _shape(value: Any, name: str = "") -> Any:  # noqa: ANN401 - any JSON value, and something hashable
    """What a rule of shape can see of a value: members, types, short values; of running text only whether there is any."""
    if isinstance(value, dict):
        return tuple((key, _shape(member, key)) for key, member in value.items())
    if isinstance(value, list):
        return ("list", frozenset(_shape(member, name) for member in value))
    if name in TEXTS and isinstance(value, str):
        return (str, value != "")
    if isinstance(value, float):
        return (float, value < 0)
    return (type(value), value)


def _objects(value: Any) -> list[Json]:  # noqa: ANN401 - any JSON value
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _index(choice: Json, position: int) -> int:
    index = choice.get("index", position)
    return index if isinstance(index, int) else position


def _whole(body: Json) -> tuple[Choice, ...]:
    choices = []
    for position, raw in enumerate(_objects(body.get("choices"))):
        choice = Choice(_index(raw, position), raw=raw)
        choice.text, choice.reasoning = _take(choice, raw, raw.get("message"))
        choice.calls = _objects(dig(raw, "message", "tool_calls"))
        choices.append(choice)
    return tuple(choices)


@dataclass(slots=True)
class _Growing:
    """A choice of a stream while its pieces come: joined at the end, as adding each to a long text would take for ever."""

    choice: Choice
    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: dict[str, tuple[Json, dict[str, list[str]]]] = field(default_factory=dict)

    def take(self, raw: Json) -> None:
        """Add a piece."""
        text, thought = _take(self.choice, raw, raw.get("delta"))
        self.texts.append(text)
        self.thoughts.append(thought)
        for place, call in enumerate(_objects(dig(raw, "delta", "tool_calls"))):
            self._join(call, place)

    def _join(self, delta: Json, place: int) -> None:
        """Add a tool call delta to the call of its index; a delta without index goes by its place, as lenient clients do."""
        index = delta.get("index", place)
        empty = {"index": index, "id": None, "type": None, "function": {}}
        call, parts = self.calls.setdefault(json.dumps(index), (empty, {"name": [], "arguments": []}))
        call["id"] = delta.get("id") or call["id"]
        call["type"] = delta.get("type") or call["type"]
        for name, pieces in parts.items():
            part = dig(delta, "function", name)
            pieces.append(part if isinstance(part, str) else "")

    def grown(self) -> Choice:
        """The whole choice."""
        self.choice.text, self.choice.reasoning = "".join(self.texts), "".join(self.thoughts)
        for call, parts in self.calls.values():
            call["function"] = {name: "".join(pieces) for name, pieces in parts.items()}
            self.choice.calls.append(call)
        return self.choice


def _folded(chunks: tuple[Chunk, ...]) -> tuple[Choice, ...]:
    choices: dict[int, _Growing] = {}
    for chunk in chunks:
        for position, raw in enumerate(chunk.choices):
            index = _index(raw, position)
            if index not in choices:
                choices[index] = _Growing(Choice(index))
            choices[index].take(raw)
    return tuple(choices[index].grown() for index in sorted(choices))


def _take(choice: Choice, raw: Json, message: Any) -> tuple[str, str]:  # noqa: ANN401 - any JSON value
    """What a message or a delta says: its text and its reasoning; all else goes into the choice."""
    content = dig(message, "content")
    thoughts = [t for name in ("reasoning_content", "reasoning") if isinstance(t := dig(message, name), str)]
    if isinstance(role := dig(message, "role"), str):
        choice.roles.append(role)
    if isinstance(finish := raw.get("finish_reason"), str):
        choice.finishes.append(finish)
    choice.declined = choice.declined or (isinstance(no := dig(message, "refusal"), str) and no != "")
    choice.logprobs += _objects(dig(raw, "logprobs", "content"))
    return content if isinstance(content, str) else "", thoughts[0] if thoughts else ""
