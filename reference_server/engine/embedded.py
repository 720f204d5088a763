"""The embedded engine: deterministic, honest, no weights. It says what `script` tells it and counts what it emits.

Answers repeat when the temperature is 0 or a seed is given and vary otherwise; choices of one request differ. Text ends
for the true reason: `stop` when it was said in full or met a stop string, `length` when max_tokens or the context cut it.
One token of every choice is emitted per step; see `tokens` for the tokens and `pace` for the clock.
"""

from __future__ import annotations

import asyncio
import json
from hashlib import blake2b
from itertools import count
from random import Random
from secrets import randbits
from typing import TYPE_CHECKING
from uuid import uuid4

from reference_server.engine import Finish, Scored, Text, ToolCall, Usage, calling, constrained, images, script, tokens
from reference_server.engine.pace import Pace
from reference_server.engine.scores import score
from reference_server.engine.stops import StopCutter
from reference_server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from reference_server.engine import ChatRequest, Event, Tool

__all__ = ["CONTEXT", "EmbeddedEngine"]

CONTEXT = 32_768  # tokens of prompt and answer together
IMAGE_TOKENS = 85
MESSAGE_TOKENS = 4
REPLY_TOKENS = 3
VARIANTS = 64  # different documents for one schema


class EmbeddedEngine:
    """An engine of rules. `pace` says when tokens are due; `models` are served beside those of the dialects."""

    def __init__(self, pace: Pace | None = None, models: tuple[str, ...] = ()) -> None:
        self.models = models
        self._pace = pace or Pace()
        self._known_schemas: set[tuple[str, ...]] = set()

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to release."""

    def check(self) -> None:
        """It can always answer."""

    async def load(self) -> dict[str, int]:
        """Nothing is counted: a generation that is closed is gone."""
        return {}

    def count_tokens(self, request: ChatRequest) -> int:
        """Tokens of all texts, calls, tools and images, with a few for each message and for the answer's beginning."""
        said = sum(_message_tokens(message.text, message.name or "") for message in request.messages)
        called = sum(tokens.count(call.name + call.arguments) for message in request.messages for call in message.calls)
        shown = sum(len(message.images) for message in request.messages) * IMAGE_TOKENS
        return REPLY_TOKENS + said + called + shown + sum(map(_tool_tokens, request.tools))

    async def generate(self, request: ChatRequest) -> AsyncIterator[Event]:
        """The events of one answer. Raises ApiError: context_overflow, bad_image, out_of_range (a schema)."""
        start = asyncio.get_running_loop().time()
        prompt = self.count_tokens(request)
        if prompt >= CONTEXT:
            raise ApiError("context_overflow", f"messages: {prompt} tokens; the context holds {CONTEXT}", "messages")
        room = CONTEXT - prompt
        limit = room if request.max_tokens is None else min(room, request.max_tokens)
        choices = await self._choices(request, limit)
        for step in count():
            live = [choice for choice in choices if not choice.done]
            if not live:
                break
            await self._pace.wait(start, step)
            for choice in live:
                for event in choice.step():
                    yield event
        yield Usage(prompt, sum(choice.spent for choice in choices))

    async def _choices(self, request: ChatRequest, limit: int) -> list[_Choice]:
        seen = [images.describe(uri) for message in request.messages for uri in message.images]
        latest = seen[len(seen) - len(request.messages[-1].images) :] if request.messages else []
        called = calling.wanted(request)
        key = _schema_key(request, called)
        if not key or key in self._known_schemas:
            return _plan(request, called, latest, limit)
        choices = await asyncio.to_thread(_plan, request, called, latest, limit)  # compiling may take a while
        self._known_schemas.add(key)
        return choices


def _plan(request: ChatRequest, called: tuple[Tool, ...], seen: list[str], limit: int) -> list[_Choice]:
    """All choices of an answer, decided in full; `seen` describes the images of the last message."""
    identity = _identity(request)
    return [_choice(request, number, _rng(identity, number), called, seen, limit) for number in range(request.n)]


def _choice(
    request: ChatRequest, number: int, rng: Random, called: tuple[Tool, ...], seen: list[str], limit: int
) -> _Choice:
    prompt = script.last_user(request.messages)
    variant = rng.randrange(VARIANTS)
    if called:
        texts = [calling.arguments(tool, prompt, order, variant) for order, tool in enumerate(called)]
        return _Calling(number, limit, list(zip(called, texts, strict=True)))
    if request.schema is not None:
        text = constrained.document(json.dumps(request.schema), request.schema_field, variant, script.hints(prompt))
    else:
        text = script.answer(request, seen, rng)
    return _Talking(number, limit, text, request, rng)


class _Choice:
    """One choice being said, a token a step. `spent` counts the tokens emitted so far."""

    def __init__(self, number: int, limit: int) -> None:
        self.number = number
        self.spent = 0
        self.done = False
        self._limit = limit

    def step(self) -> Iterator[Event]:
        """The events of one more token."""
        raise NotImplementedError

    def _finish(self, reason: str) -> Finish:
        self.done = True
        return Finish(self.number, reason)


class _Talking(_Choice):
    """A choice that is text, cut at stop strings."""

    def __init__(self, number: int, limit: int, text: str, request: ChatRequest, rng: Random) -> None:
        super().__init__(number, limit)
        self._tokens = tokens.split(text)
        self._assembler = tokens.Assembler()
        self._cutter = StopCutter(request.stop)
        self._scores = None if request.logprobs is None else _Scores(request.logprobs, rng)

    def step(self) -> Iterator[Event]:
        """Text that this token makes certain, and the finish when it was the last."""
        if self.spent < min(self._limit, len(self._tokens)):
            yield from self._say(self._tokens[self.spent])
        if self._cutter.hit:
            yield self._finish("stop")
        elif self.spent >= len(self._tokens) or self.spent >= self._limit:
            yield from self._text(self._cutter.flush(), last=True)
            yield self._finish("stop" if self.spent >= len(self._tokens) else "length")

    def _say(self, token: bytes) -> Iterator[Event]:
        self.spent += 1
        text = self._assembler.push(token)
        if self._scores:
            self._scores.add(token, len(text), complete=self._assembler.complete)
        yield from self._text(self._cutter.push(text))

    def _text(self, text: str, *, last: bool = False) -> Iterator[Event]:
        scored = self._scores.release(len(text), last=last) if self._scores else ()
        if text or scored:
            yield Text(self.number, text, scored)


class _Scores:
    """Log probabilities that wait until the text of their tokens has been shown."""

    def __init__(self, alternatives: int, rng: Random) -> None:
        self._alternatives = alternatives
        self._rng = rng
        self._waiting: list[tuple[int | None, Scored]] = []
        self._made = 0
        self._shown = 0

    def add(self, token: bytes, made: int, *, complete: bool) -> None:
        """A token was emitted that completed `made` characters and left bytes over unless `complete`."""
        self._made += made
        self._waiting.append((None, score(token, self._alternatives, self._rng)))
        if made or complete:
            self._waiting = [(self._made if end is None else end, scored) for end, scored in self._waiting]

    def release(self, shown: int, *, last: bool) -> tuple[Scored, ...]:
        """The scores of the tokens shown so far; all that wait when this was the last text."""
        self._shown += shown
        ready = 0
        while ready < len(self._waiting) and (last or self._is_shown(self._waiting[ready][0])):
            ready += 1
        released, self._waiting = self._waiting[:ready], self._waiting[ready:]
        return tuple(scored for _, scored in released)

    def _is_shown(self, end: int | None) -> bool:
        return end is not None and end <= self._shown


class _Calling(_Choice):
    """A choice that calls tools; a call costs the tokens of its name and of its arguments."""

    def __init__(self, number: int, limit: int, calls: list[tuple[Tool, str]]) -> None:
        super().__init__(number, limit)
        self._work = [piece for order, (tool, text) in enumerate(calls) for piece in _pieces(order, tool.name, text)]
        self._custom = [tool.custom for tool, _ in calls]
        self._assembler = tokens.Assembler()

    def step(self) -> Iterator[Event]:
        """The fragment that this token makes certain, and the finish when it was the last."""
        if self.spent < min(self._limit, len(self._work)):
            yield from self._fragment(*self._work[self.spent])
            self.spent += 1
        if self.spent >= len(self._work):
            yield self._finish("tool_calls")
        elif self.spent >= self._limit:
            yield self._finish("length")

    def _fragment(self, order: int, name: str | None, token: bytes) -> Iterator[Event]:
        if name is not None:
            yield ToolCall(self.number, order, f"call_{uuid4().hex[:24]}", name, "", self._custom[order])
        elif text := self._assembler.push(token):
            yield ToolCall(self.number, order, None, None, text, self._custom[order])


def _pieces(order: int, name: str, arguments: str) -> Iterator[tuple[int, str | None, bytes]]:
    """(call, name when it is complete, argument bytes) for each token of a call."""
    *unfinished, last = tokens.split(name)
    yield from ((order, None, b"") for _ in unfinished)
    yield order, name, last
    yield from ((order, None, token) for token in tokens.split(arguments))


def _message_tokens(text: str, name: str) -> int:
    return MESSAGE_TOKENS + tokens.count(text) + tokens.count(name)


def _tool_tokens(tool: Tool) -> int:
    return MESSAGE_TOKENS + tokens.count(tool.name + tool.description + json.dumps(tool.parameters or {}))


def _identity(request: ChatRequest) -> bytes:
    """What an answer depends on; new luck each time unless a seed or temperature 0 asks for the same again."""
    luck = randbits(64) if request.temperature > 0 and request.seed is None else 0
    said = repr((request.model, request.messages, request.seed, request.temperature, luck))
    return blake2b(said.encode("utf-8", "replace"), digest_size=16).digest()


def _rng(identity: bytes, number: int) -> Random:
    return Random(int.from_bytes(identity, "big") + number)  # noqa: S311 - an answer's variety, not a secret


def _schema_key(request: ChatRequest, called: tuple[Tool, ...]) -> tuple[str, ...]:
    if called:
        return tuple(json.dumps(tool.parameters) for tool in called)
    return (json.dumps(request.schema),) if request.schema is not None else ()
