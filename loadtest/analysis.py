"""An answer is taken apart: when things came, how many tokens, and whether it was an answer at all.

Reads go in as (stamp in ns, how long the generator had been busy before, body bytes); nothing here knows sockets.

An *output event* carries reasoning, content or a tool call; gaps are between consecutive output events. Several of them in
one read share its stamp. That is the server's burst, unless the generator was busy for MERGE_NS or more before the read: then
separate writes may have merged, and the events are spread evenly since the last one, and the read is counted as merged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from conformance.wire.sse import Decoder
from loadtest.sample import FIRSTS, Attempt, Outcome, Sample
from loadtest.shape import NO_SHAPE, PLAIN_ASCII, PLAIN_TEXT, Shape, shape_of
from loadtest.usage import count_in, tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from conformance.wire.sse import Event

__all__ = ["MERGE_NS", "Analysis", "taste"]

MERGE_NS = 1_000_000
# A refusal is what the model says instead of an answer: the reader waits for its first word just so.
TEXT_KEYS = (
    ("content", "content"),
    ("refusal", "content"),
    ("reasoning_content", "reasoning"),
    ("reasoning", "reasoning"),
)
SHAPE_TRIES = 3
FINAL, REDIRECTION = 200, 300
BURST = 2
INVALID_UTF8 = "invalid UTF-8"  # the decoder's word for it


@dataclass(slots=True)
class Analysis:
    """Takes the reads of one response in order, then `finish` gives the Outcome."""

    attempt: Attempt
    status: int | None = None
    failure: tuple[str, str] | None = None
    outputs: list[int] = field(default_factory=list)
    firsts: dict[str, int] = field(default_factory=dict)
    usage: dict[str, Any] | None = None
    finish_reason: str | None = None
    done: int = 0
    reads: int = 0
    merged: int = 0
    bursts: int = 0
    merged_first: bool = False
    last: int = 0
    text_bytes: int = 0
    _texts: list[bytes] = field(default_factory=list)
    _whole: list[bytes] = field(default_factory=list)
    _decoder: Decoder = field(default_factory=Decoder)
    _shape: Shape = NO_SHAPE
    _known: Shape | None = None
    _openings: dict[int, bytes] = field(default_factory=dict)
    _tries: int = 0

    def begin(self, at: int, status: int, headers: Mapping[str, str], shape: Shape | None = None) -> None:
        """The response's head: when its first byte came, its status, its headers in lower case; a shape proven as it came."""
        self.firsts["first_byte"] = at
        self.status = status or None
        self._known = shape
        coding = headers.get("content-encoding", "identity").strip().lower()
        if coding not in {"", "identity"}:
            self.fail("compressed", f"the answer is compressed ({coding}), which was not asked for")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if self.attempt.streamed and FINAL <= status < REDIRECTION and kind != "text/event-stream":
            self.fail("not_a_stream", f"a stream was asked for, content-type is {kind!r}")

    def fail(self, kind: str, message: str) -> None:
        """Remember the first thing that went wrong."""
        if self.failure is None:
            self.failure = (kind, message[:300])

    def feed(self, readings: Sequence[tuple[int, int, bytes]]) -> None:
        """Take (stamp, busy before, body) of some reads; the bulk of a stream only ever meets the first branch."""
        outputs, texts, at, keep = self.outputs, self._texts, self.last, self.attempt.echo is not None
        prefix, suffix, begin, end = self._shape
        for at, busy, body in readings:
            size = len(body)
            alike = body.startswith(prefix) and body.endswith(suffix)
            if alike and not keep and PLAIN_ASCII(body, begin, size - end):
                outputs.append(at)
                self.text_bytes += size - begin - end
            elif alike and PLAIN_TEXT(body, begin, size - end):
                outputs.append(at)
                texts.append(body[begin : size - end])
            elif not self.attempt.streamed or (self.status or 0) >= REDIRECTION:
                self._whole.append(bytes(body))
            elif body:
                self._read(at, busy, bytes(body))
                prefix, suffix, begin, end = self._shape
        self.last = at
        self.reads += len(readings)

    def shape_after(self, body: bytes) -> Shape | None:
        """Take one piece of the body; the shape that is proven then."""
        self._piece(0, body)
        return None if self._shape is NO_SHAPE else self._shape

    def adopt(self, shape: Shape | None) -> None:
        """Somebody has proven this shape, on a chunk that was fed."""
        if shape is not None and not self.done:
            self._shape = shape

    def skim(self, pieces: Sequence[bytes | int], start: int, stop: int, leads: Mapping[int, bytes]) -> int:
        """Take pieces of the chunked framing from `start` on while each is one whole chunk of the shape already proven.

        The place of the first that is not; `alike` is then told when the others came. `leads`: how whole chunks of a length begin.
        """
        prefix, suffix, _, end = self._shape
        closing, after, keep = suffix + b"\r\n", end + 2, self.attempt.echo is not None
        openings, texts, size_of_texts = self._openings, self._texts, 0
        for place in range(start, stop):
            piece = pieces[place]
            if isinstance(piece, int):
                break
            size = len(piece)
            opening = openings.get(size)
            if opening is None:
                if size not in leads:
                    break
                opening = openings[size] = leads[size] + prefix
            if not (piece.startswith(opening) and piece.endswith(closing)):
                break
            begin, finish = len(opening), size - after
            if not keep and PLAIN_ASCII(piece, begin, finish):
                size_of_texts += finish - begin
            elif PLAIN_TEXT(piece, begin, finish):
                texts.append(piece[begin:finish])
            else:
                break
        else:
            place = stop
        self.text_bytes += size_of_texts
        return place

    def alike(self, stamps: Sequence[int], text_bytes: int = 0) -> None:
        """When reads came that were known as chunks of the proven shape: by `skim`, or (with their text's length) as they came."""
        if stamps:
            if self.done:
                self.fail("after_done", "data after [DONE]")
            self.text_bytes += text_bytes
            self.outputs.extend(stamps)
            self.last = stamps[-1]
            self.reads += len(stamps)

    def finish(self, fault: tuple[str, str] | None = None, retry_after: str | None = None) -> Outcome:
        """The verdict on what came. `fault` is what the transport saw: (class, message)."""
        if self.status is not None and self.status >= REDIRECTION:
            said = b"".join(self._whole)[:200].decode("utf-8", "replace")
            self.fail(f"http_{self.status}", said + (f" (retry-after: {retry_after})" if retry_after else ""))
        if fault is not None:
            self.fail(*fault)
        if self.failure is None:
            self._judge_stream() if self.attempt.streamed else self._judge_whole()
        return self._outcome()

    def _read(self, at: int, busy: int, body: bytes) -> None:
        """A read that is not one more chunk of the shape already proven."""
        before = len(self.outputs)
        whole_events = not self._decoder.unfinished and b"\r" not in body and body.endswith(b"\n\n")
        pieces = [piece + b"\n\n" for piece in body[:-2].split(b"\n\n")] if whole_events else [body]
        for piece in pieces:
            prefix, suffix, begin, end = self._shape
            if (
                whole_events
                and piece.startswith(prefix)
                and piece.endswith(suffix)
                and PLAIN_TEXT(piece, begin, len(piece) - end)
            ):
                self.outputs.append(at)
                self._texts.append(piece[begin : len(piece) - end])
            else:
                self._piece(at, piece)
        self._share(before, at, busy)

    def _piece(self, at: int, piece: bytes) -> None:
        alone = not self._decoder.unfinished
        said = _plain_data(piece) if alone and _is_plain(piece) else None
        events = self._data(self._decoder.feed(piece)) if said is None else [said]
        for data in events:
            self.firsts.setdefault("first_event", at)
            kind, text = self._event(data, at)
            if kind and alone and len(events) == 1 and text and self._tries < SHAPE_TRIES:
                self._tries += 1
                self._shape = self._shape_of(piece, kind, text) or self._shape
                self._openings = {}
            if kind:
                self.outputs.append(at)

    def _data(self, events: Iterable[Event]) -> list[str]:
        """What the events hold; one that is an error by its name is a failure, whatever it holds."""
        for event in events:
            if event.type == "error":
                self.fail("error_event", event.data)
        return [event.data for event in events]

    def _shape_of(self, piece: bytes, key: str, text: str) -> Shape | None:
        known, self._known = self._known, None
        if known is not None and piece.startswith(known[0]) and piece.endswith(known[1]):
            return known
        return shape_of(piece, key, text)

    def _share(self, before: int, at: int, busy: int) -> None:
        """Several output events in one read: a burst of the server, or writes that met in a busy generator."""
        count = len(self.outputs) - before
        if count < BURST:
            return
        if busy < MERGE_NS or before == 0:
            self.bursts += busy < MERGE_NS
            self.merged += busy >= MERGE_NS
            self.merged_first = self.merged_first or (before == 0 and busy >= MERGE_NS)
            return
        self.merged += 1
        last = self.outputs[before - 1]
        self.outputs[before:] = [last + (at - last) * (i + 1) // count for i in range(count)]

    def _event(self, data: str, at: int) -> tuple[str, str]:
        """Take one event's data: (the key of its text, its text) for an output event, else ("", "")."""
        if data.rstrip() == "[DONE]":  # readers look no closer
            self.done += 1
            self._shape, self._tries = NO_SHAPE, SHAPE_TRIES  # whatever follows is looked at
            self._openings = {}
            return "", ""
        if self.done:
            self.fail("after_done", f"data after [DONE]: {data[:80]}")
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            self.fail("malformed_json", f"{error}: {data[:80]}")
            return "", ""
        if not isinstance(chunk, dict):
            self.fail("malformed_chunk", f"a chunk is no object: {data[:80]}")
            return "", ""
        if chunk.get("error"):
            self.fail("error_event", data)
        if isinstance(chunk.get("usage"), dict):
            self.usage = chunk["usage"]
        choices = chunk.get("choices")
        found = (
            [self._choice(choice, at) for choice in choices if isinstance(choice, dict)]
            if isinstance(choices, list)
            else []
        )
        outputs = [pair for pair in found if pair[0]]
        if len(outputs) == 1 and len(found) == 1:
            return outputs[0]
        return (outputs[0][0], "") if outputs else ("", "")

    def _choice(self, choice: dict[str, Any], at: int) -> tuple[str, str]:
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return "", ""
        if delta.get("role"):
            self.firsts.setdefault("role", at)
        key, said = "", ""
        once = bool(delta.get("role") or choice.get("finish_reason"))
        for name, kind in TEXT_KEYS:
            text = delta.get(name)
            if isinstance(text, str) and text:
                self.firsts.setdefault(kind, at)
                self._texts.append(text.encode("utf-8", "surrogatepass"))
                key, said = (name, text) if not key else (key, "")
        if delta.get("tool_calls"):
            self.firsts.setdefault("tool_call", at)
            key, said = key or "tool_calls", ""
        return key, "" if once else said

    def _judge_stream(self) -> None:
        for data in self._data(self._decoder.close()):
            if self._event(data, self.last)[0]:
                self.outputs.append(self.last)
        if self._decoder.unfinished:
            self.fail("cut", "the stream ends inside an event")
        elif self.attempt.done_promised and self.done != 1:
            self.fail("no_done" if not self.done else "done_twice", f"[DONE] came {self.done} times")
        elif not self.outputs:
            self.fail("empty", "the stream carried no reasoning, content or tool call")
        self._judge_text()

    def _judge_whole(self) -> None:
        body = b"".join(self._whole)
        try:
            answer = orjson.loads(body)
            if isinstance(answer, dict) and answer.get("error"):
                self.fail("error_answer", body.decode("utf-8", "replace"))
                return
            choice = answer["choices"][0]
            message = {**choice["message"]}
        except (orjson.JSONDecodeError, LookupError, TypeError) as error:
            self.fail(
                "malformed_json" if isinstance(error, orjson.JSONDecodeError) else "malformed_answer",
                f"{error}: {body[:80]!r}",
            )
            return
        self.usage = answer["usage"] if isinstance(answer.get("usage"), dict) else None
        self.finish_reason = choice.get("finish_reason")
        text = next((said for name, _ in TEXT_KEYS if (said := message.get(name))), "")
        self._texts.append(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else b"")
        if not text and not message.get("tool_calls"):
            self.fail("empty", "the answer carries no content and no tool call")
        self._judge_text()

    def _judge_text(self) -> None:
        said = b"".join(self._texts)
        self.text_bytes += len(said)
        broken = any(what == INVALID_UTF8 for _, what in self._decoder.oddities)
        if broken or (not said.isascii() and not all(map(_is_utf8, self._texts))):
            self.fail("malformed_json", "a chunk's text is not UTF-8")
        if self.attempt.foreign is not None and self.attempt.echo is not None:
            words = set(self.attempt.foreign.findall(said.decode("utf-8", "replace"))) - {self.attempt.echo}
            if words:
                self.fail("cross_talk", f"asked to repeat {self.attempt.echo}, the answer holds {min(words)}")

    def _outcome(self) -> Outcome:
        attempt, ok = self.attempt, self.failure is None
        kind, message = self.failure or ("ok", "")
        told = self.attempt.streamed and ok and "tool_call" not in self.firsts  # a call's bytes are no text
        found = tokens(self.usage, len(self.outputs), self.text_bytes if told else None)
        gaps = [(b - a) // 1000 for a, b in zip(self.outputs, self.outputs[1:], strict=False)]
        longest = max([*gaps, (self.last - self.outputs[-1]) // 1000]) if self.outputs else None
        decode = self.outputs[-1] - self.outputs[0] if self.outputs else 0
        a_chunk = found.count / len(self.outputs) if self.outputs and found.count else 1.0
        sample = Sample(
            number=attempt.number,
            part=attempt.part,
            planned_ns=attempt.planned,
            outcome=kind,
            message=message,
            status=self.status,
            streamed=attempt.streamed,
            queue_ms=_ms(attempt.sent - attempt.planned),
            connect_ms=attempt.connect_ms,
            resent=attempt.resent,
            ttft_ms={
                name: _ms(self.firsts[name] - attempt.planned) if name in self.firsts else None for name in FIRSTS
            },
            e2e_ms=_ms(self.last - attempt.planned) if ok else None,
            tpot_ms=_ms(decode / (found.count - 1)) if ok and attempt.streamed and found.count > 1 and decode else None,
            longest_gap_ms=None if longest is None else longest / 1000,
            chunks=len(self.outputs),
            tokens=found.count,
            tokens_from=found.source,
            prompt_tokens=count_in(self.usage, "prompt_tokens"),
            cached_tokens=count_in(self.usage, "prompt_tokens_details", "cached_tokens"),
            finish_reason=self.finish_reason if isinstance(self.finish_reason, str) else None,
            reads=self.reads,
            merged=self.merged,
            bursts=self.bursts,
            usage_remark=found.remark,
            merged_first=self.merged_first,
        )
        token_gaps = gaps if a_chunk == 1.0 else [round(gap / a_chunk) for gap in gaps]
        return Outcome(sample, gaps, token_gaps, self.last)


def taste(body: bytes) -> Shape | None:
    """The shape of a chunk that is one event with one text, where that can be proven."""
    return Analysis(Attempt(0, "", 0, 0)).shape_after(body)


def _is_plain(piece: bytes) -> bool:
    """Whether these bytes are one event of one data line: then the decoder would give just that line's value."""
    return (
        piece.startswith(b"data: ")
        and piece.find(b"\n") == len(piece) - 2
        and piece.endswith(b"\n")
        and b"\r" not in piece
    )


def _plain_data(piece: bytes) -> str | None:
    """The line's value; None where it is not UTF-8, of which the decoder keeps account."""
    try:
        return piece[6:-2].decode("utf-8")
    except UnicodeDecodeError:
        return None


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _ms(ns: float) -> float:
    return round(ns / 1e6, 3)
