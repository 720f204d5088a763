"""One choice on its way from SGLang's outputs to events: text or calls, scores, and the reason of its end.

An output is what SGLang yields each time: the whole text so far, all token ids, and `meta_info`. `Plain` shows text,
`Calling` reads calls that a grammar forced, `Free` lets a parser of the model's own format find calls and reasoning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from reference_server.engine import Finish, Reasoning, Scored, Text
from reference_server.engine.sglang_request import must_call
from reference_server.engine.sglang_text import UNFINISHED, Growth, Shown
from reference_server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reference_server.engine import ChatRequest, Event, Json, ToolCall
    from reference_server.engine.sglang_calls import Arguments, CallList, Emitter
    from reference_server.engine.sglang_vocabulary import Vocabulary

__all__ = ["Calling", "Choice", "Free", "Parser", "Piece", "Plain"]

LEAST = -9999.0  # what OpenAI's document gives a token that cannot come
GENUINE = UNFINISHED.encode()
TAIL = 8  # tokens that surely hold the last character


class Choice:
    """What all choices share; `feed` takes every output, `done` says when no more is wanted."""

    def __init__(self, number: int, request: ChatRequest, vocabulary: Vocabulary) -> None:
        self.number = number
        self.done = False
        self.spent = 0
        self.reasoned = 0
        self._vocabulary = vocabulary
        self._growth = Growth()
        self._alternatives = request.logprobs
        self._field = request.schema_field if request.schema is not None and not must_call(request) else "tools"
        self._scored = 0

    def feed(self, output: Json) -> Iterator[Event]:
        """The events that an output makes due. Raises ApiError when SGLang gave the answer up."""
        meta = output["meta_info"]
        end = meta.get("finish_reason")
        if end and end["type"] == "abort":
            raise _aborted(end, self._field)
        self.spent = int(meta.get("completion_tokens") or 0)
        self.reasoned = int(meta.get("reasoning_tokens") or 0)
        gained = self._growth.of(output["text"], genuine=self._is_genuine(output))
        yield from self._events(gained, output, last=end is not None)
        reason = self._reason(end)
        if reason:
            self.done = True
            yield Finish(self.number, reason)

    def _events(self, gained: str, output: Json, *, last: bool) -> Iterator[Event]:
        raise NotImplementedError

    def _reason(self, end: Json | None) -> str | None:
        """Why the choice has ended, None while it goes on."""
        raise NotImplementedError

    def _is_genuine(self, output: Json) -> bool:
        """Whether a replacement character at the end is one that the model said, and not a character cut in two."""
        if not output["text"].endswith(UNFINISHED):
            return False
        return self._vocabulary.text_of(output["output_ids"][-TAIL:]).endswith(GENUINE)


class Plain(Choice):
    """A choice that is text, cut at stop strings, with log probabilities where they were asked for."""

    def __init__(self, number: int, request: ChatRequest, vocabulary: Vocabulary) -> None:
        super().__init__(number, request, vocabulary)
        self._shown = Shown(request.stop)

    def _events(self, gained: str, output: Json, *, last: bool) -> Iterator[Event]:
        if self._alternatives is not None:
            self._score(output["meta_info"])
        text, tokens = self._shown.push(gained, last=last)
        if text or tokens:
            yield Text(self.number, text, tokens)

    def _reason(self, end: Json | None) -> str | None:
        if self._shown.stopped:
            return "stop"
        return end["type"] if end else None

    def _score(self, meta: Json) -> None:
        chosen = meta.get("output_token_logprobs") or []
        ranked = meta.get("output_top_logprobs") or []
        for at in range(self._scored, len(chosen)):
            value, token, *_ = chosen[at]
            if not self._vocabulary.is_special(token):
                self._shown.score(self._one(value, token, ranked[at] if at < len(ranked) else None))
        self._scored = max(self._scored, len(chosen))

    def _one(self, value: float | None, token: int, ranked: list[Any] | None) -> Scored:
        best = sorted(((_finite(each[0]), each[1]) for each in ranked or []), reverse=True)[: self._alternatives]
        top = tuple((self._vocabulary.bytes_of(other), logprob) for logprob, other in best)
        return Scored(self._vocabulary.bytes_of(token), _finite(value), top)


class Piece(Protocol):
    """What a parser found in a piece of text: plain text, reasoning, and parts of calls (index, name or None, arguments)."""

    text: str
    reasoning: str
    calls: list[tuple[int, str | None, str]]


class Parser(Protocol):
    """Finds calls and reasoning in the model's own format."""

    def push(self, text: str) -> Piece:
        """What this text makes certain."""

    def end(self) -> Piece:
        """What was held back."""


class Calling(Choice):
    """A choice that must call: the grammar lets nothing else be written, once the model has thought if it thinks."""

    def __init__(
        self,
        number: int,
        request: ChatRequest,
        vocabulary: Vocabulary,
        reader: Arguments | CallList,
        parser: Parser | None = None,
    ) -> None:
        super().__init__(number, request, vocabulary)
        self._reader = reader
        self._parser = parser

    def _events(self, gained: str, _: Json, *, last: bool) -> Iterator[Event]:  # noqa: ARG002 - nothing waits for the end
        if self._parser:
            piece = self._parser.push(gained)
            gained = piece.text
            if piece.reasoning:
                yield Reasoning(self.number, piece.reasoning)
        yield from self._reader.push(gained)

    def _reason(self, end: Json | None) -> str | None:
        """Complete calls end as calls even where the last token was the last that was allowed."""
        if self._reader.complete:
            return "tool_calls"
        return end["type"] if end else None


class Free(Plain):
    """A choice in which the model may think or call if it likes."""

    def __init__(
        self, number: int, request: ChatRequest, vocabulary: Vocabulary, parser: Parser, emitter: Emitter
    ) -> None:
        super().__init__(number, request, vocabulary)
        self._parser = parser
        self._emitter = emitter
        self._parts: dict[int, str] = {}
        self._read = 0  # characters of the whole text up to the end of what was told last

    def _events(self, gained: str, output: Json, *, last: bool) -> Iterator[Event]:
        if self._alternatives is not None:
            self._score(output["meta_info"])
        pieces = [self._parser.push(gained)] if gained else []
        if last:
            pieces.append(self._parser.end())
        for piece in pieces:
            if piece.reasoning:
                self._forget_before(piece.reasoning, output["text"])
                self._shown.skip(piece.reasoning)
                yield Reasoning(self.number, piece.reasoning)
            if piece.text.strip() or not self._emitter.count:
                self._forget_before(piece.text, output["text"])
                yield from super()._events(piece.text, output, last=False)
            for part in piece.calls:
                yield from self._call(*part)
        if last:
            self._shown.skip(output["text"][self._read :])
            yield from super()._events("", output, last=not self._emitter.count)
            yield from self._emitter.more("", end=True) if self._emitter.count else ()

    def _forget_before(self, told: str, whole: str) -> None:
        """Forget the scores of what stands before this piece of the whole text and was told as nothing: signs, calls."""
        begin = self._read
        if not whole.startswith(told, begin):
            begin = max(whole.find(told, begin), begin)
        self._shown.skip(whole[self._read : begin])
        self._read = begin + len(told)

    def _call(self, index: int, name: str | None, arguments: str) -> Iterator[ToolCall]:
        if name and index not in self._parts:
            if self._emitter.count:
                yield from self._emitter.more("", end=True)
            self._parts[index] = ""
            yield self._emitter.name(name)
        if index in self._parts and arguments:
            self._parts[index] += arguments
            yield from self._emitter.more(arguments)

    def _reason(self, end: Json | None) -> str | None:
        reason = super()._reason(end)
        return "tool_calls" if reason == "stop" and self._emitter.count else reason


def _aborted(end: Json, field: str) -> ApiError:
    """The refusal that an answer given up by SGLang means; `field` is to blame for a grammar that cannot be held."""
    said = str(end.get("message") or "the engine gave the answer up").splitlines()[0][:300]
    status = int(end.get("status_code") or 500)
    if "grammar" in said.lower():
        return ApiError("out_of_range", f"{field}: the schema cannot be held: {said}", field)
    if 400 <= status < 500:  # noqa: PLR2004 - the client errors of HTTP
        return ApiError("out_of_range", said)
    return ApiError("unavailable", f"The engine gave the answer up: {said}", retry_after=1)


def _finite(value: float | None) -> float:
    """A log probability that JSON can hold."""
    return LEAST if value is None or value != value or value < LEAST else min(0.0, float(value))  # noqa: PLR0124 - NaN differs from itself
