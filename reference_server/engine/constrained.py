"""JSON that satisfies a schema: bytes are chosen one at a time under the mask of a compiled grammar.

llguidance, because it alone refuses what it cannot hold instead of ignoring it, compiles in about a millisecond, and
takes a vocabulary of single bytes (xgrammar and outlines-core want a model's vocabulary and drop keywords silently).

Among the bytes allowed the writer prefers those that end soonest: closing brackets and quotes, then plain scalars, then
opening brackets; so arrays stay empty and recursion ends at its first chance. A free string gets one short word, and the
documented members of the outermost object are all written. Keywords that the grammar cannot hold (uniqueItems, not, if)
are left to chance and the finished document is validated: drawn again a few times, then refused.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from llguidance import LLMatcher, LLTokenizer

from reference_server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reference_server.engine import Json

__all__ = ["ANY_OBJECT", "Writer", "document", "writer"]

ANY_OBJECT: Json = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}
LONGEST = 8192  # bytes; a schema that recurses without end is cut here
DRAWS = 48
UNFINISHED = 3  # draws that may be cut before the schema counts as one without an end
WORDS = ("amber", "basalt", "cedar", "delta", "ember", "fjord", "grove", "harbor", "iris", "juniper", "krill", "lotus")
_COMPACT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": ", "coerce_one_of": True}
_LETTERS, _CAPITALS, _DIGITS = b"abcdefghijklmnopqrstuvwxyz", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"0123456789"
_CLOSERS = b"}],:"
_OUTSIDE = {byte: rank for rank, byte in enumerate(_CLOSERS + b'"' + _DIGITS + b"tfn-" + b"[{")}
_INSIDE = {byte: rank for rank, byte in enumerate(b'"' + _DIGITS + _CAPITALS + _LETTERS + b"-_.:@/ ")}
_STARTS = frozenset(b'"tfn-' + _DIGITS)
_MARKS = b"@:./-_"
_FREE = 90  # so many bytes are allowed only in a string without a pattern
_LAST = 256
_LONG_NUMBER = 4
_ZERO = ord("0")
_TOKENIZER = LLTokenizer("byte")
QUOTE, BACKSLASH = b'"\\'


class Writer:
    """Writes documents that satisfy one schema. Raises ApiError(out_of_range) when the schema cannot be held."""

    def __init__(self, schema: Json | bool, field: str) -> None:  # noqa: FBT001 - true and false are schemas
        self._field = field
        self._matcher, exact = _compile(schema, field)
        self._validator = None if exact else _validator(schema, field)
        self._literals = tuple(_literals(schema))

    def write(self, rng: Random, hints: Sequence[str] = ()) -> str:
        """One document; `hints` are words that free strings take first. It is cut when the schema never ends."""
        cut = 0
        for draw in range(DRAWS):
            matcher = self._matcher.deep_copy()
            text = _bytes(matcher, _Chooser(rng, hints, self._literals, loose=draw > 0)).decode("utf-8", "ignore")
            if self._holds(text) if matcher.is_accepting() else (cut := cut + 1) == UNFINISHED:
                return text
        raise ApiError("out_of_range", f"{self._field}: no document that satisfies the schema was found", self._field)

    def _holds(self, text: str) -> bool:
        return self._validator is None or bool(self._validator.is_valid(json.loads(text)))


@lru_cache(maxsize=512)
def writer(schema: str, field: str) -> Writer:
    """The writer for a schema given as JSON text; compiled once."""
    return Writer(json.loads(schema), field)


@lru_cache(maxsize=4096)
def document(schema: str, field: str, variant: int, hints: tuple[str, ...] = ()) -> str:
    """The document of that number for a schema given as JSON text; equal arguments give equal documents."""
    return writer(schema, field).write(Random(variant), hints)  # noqa: S311 - not for secrets


def _compile(schema: Json | bool, field: str) -> tuple[LLMatcher, bool]:  # noqa: FBT001 - true and false are schemas
    """The matcher, and whether it alone holds the schema."""
    full = _with_every_member(schema)
    strict = [_matcher(each, lenient=False) for each in (full, schema)]
    lenient = [_matcher(each, lenient=True) for each in (full, schema)] if _lenient_may_help(strict[1][1]) else []
    for exact, (matcher, problem) in zip((True, True, False, False), (*strict, *lenient), strict=False):
        if not problem:
            return matcher, exact and "oneOf" not in json.dumps(schema)
    raise ApiError("out_of_range", f"{field}: the schema cannot be held: {strict[1][1].splitlines()[0]}", field)


def _with_every_member(schema: Json | bool) -> Json | bool:  # noqa: FBT001 - true and false are schemas
    """The narrower schema that wants all documented members of the outermost object."""
    if schema is True:
        return {}
    if (
        isinstance(schema, dict)
        and isinstance(schema.get("properties"), dict)
        and isinstance(schema.get("required", []), list)
    ):
        return {**schema, "required": list(dict.fromkeys([*schema.get("required", []), *schema["properties"]]))}
    return schema


def _literals(schema: Any) -> Iterator[bytes]:  # noqa: ANN401 - any JSON value
    """The plain runs of letters, digits and marks in the patterns of a schema."""
    if isinstance(schema, dict):
        if isinstance(pattern := schema.get("pattern"), str):
            plain = re.sub(r"\\\W", lambda escape: escape[0][1:], re.sub(r"\\[a-zA-Z]|\[.*?\]|\{.*?\}", "\0", pattern))
            yield from (run.encode() for run in re.findall(r"[A-Za-z0-9 _@:/.-]+", plain))
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _literals(part)


def _matcher(schema: Json | bool, *, lenient: bool) -> tuple[LLMatcher, str]:  # noqa: FBT001 - a schema may be true
    try:
        grammar = LLMatcher.grammar_from_json_schema(
            json.dumps({} if schema is True else schema), defaults={**_COMPACT, "lenient": lenient}
        )
    except ValueError as error:
        return None, str(error) or "not a schema"
    matcher = LLMatcher(_TOKENIZER, grammar, log_level=0)
    return matcher, matcher.get_error()


def _lenient_may_help(problem: str) -> bool:
    return "nimplemented" in problem or "not supported" in problem or "oneOf" in problem


def _validator(schema: Json | bool, field: str) -> Draft202012Validator:  # noqa: FBT001
    try:
        Draft202012Validator.check_schema(schema)
    except Exception as error:  # jsonschema's SchemaError is no ValueError
        raise ApiError("out_of_range", f"{field}: not a JSON Schema: {str(error).splitlines()[0]}", field) from error
    return Draft202012Validator(schema)


def _bytes(matcher: LLMatcher, chooser: _Chooser) -> bytes:
    """One document: bytes until the grammar is satisfied or LONGEST is reached."""
    text = bytearray()
    while len(text) < LONGEST:
        forced = matcher.compute_ff_tokens()
        if not forced:
            allowed = [token for token, bias in enumerate(matcher.compute_logit_bias()) if bias]
            if not allowed or _TOKENIZER.eos_token in allowed:
                break
            forced = [chooser.choose(allowed)]
        for byte in forced:
            chooser.saw(byte)
        matcher.consume_tokens(forced)
        text += bytes(forced)
    return bytes(text)


class _Chooser:
    """Prefers the byte that ends the document soonest. `loose` leaves more to chance, for schemas that need luck."""

    def __init__(self, rng: Random, hints: Sequence[str], literals: Sequence[bytes], *, loose: bool) -> None:
        self._rng = rng
        self._literals = literals
        self._turn = 0
        self._loose = loose
        self._hints = list(hints)
        self._inside = False
        self._escaped = False
        self._fresh = False
        self._word: list[int] = []
        self._digits = 0

    def choose(self, allowed: list[int]) -> int:
        """One of the allowed bytes."""
        return self._in_string(allowed) if self._inside else self._between(allowed)

    def saw(self, byte: int) -> None:
        """Follow the document: whether we are inside a string, and how long this number is."""
        self._digits = self._digits + 1 if byte in _DIGITS and not self._inside else 0
        if self._escaped:
            self._escaped = False
        elif byte == QUOTE:
            self._inside = not self._inside
            self._fresh, self._word = self._inside, []
        elif byte == BACKSLASH:
            self._escaped = self._inside

    def _in_string(self, allowed: list[int]) -> int:
        if self._fresh:
            self._fresh, self._word = False, self._next_word()
        elif not self._word and QUOTE not in allowed:
            self._word = self._more(allowed)
        if self._word and self._word[0] in allowed:
            return self._word.pop(0)
        self._word = []
        return min(allowed, key=_inside)

    def _more(self, allowed: list[int]) -> list[int]:
        """What to add to a string that may not end yet: what its pattern spells, more words where all is allowed, or luck."""
        self._turn += 1
        if self._literals and self._turn % 2:
            return list(self._literals[self._turn // 2 % len(self._literals)])
        if len(allowed) >= _FREE:
            return self._next_word()
        marks = [byte for byte in _MARKS if byte in allowed]
        if marks and self._rng.random() < self._LUCK:
            return marks[:1]
        return [min(allowed, key=_inside) if self._rng.random() < self._LUCK else self._rng.choice(allowed)]

    def _between(self, allowed: list[int]) -> int:
        """Closers first; else the beginning or the next byte of a scalar, at random so that choices differ."""
        best = min(allowed, key=lambda byte: _OUTSIDE.get(byte, _LAST))
        if best in _CLOSERS and not (self._loose and self._rng.random() < self._LUCK):
            return best
        if self._digits > _LONG_NUMBER and _ZERO in allowed and self._rng.random() < self._LUCK:
            return _ZERO  # a zero leads a long number to the next multiple of ten soonest
        return self._rng.choice([byte for byte in allowed if byte in _STARTS] or [best])

    _LUCK = 0.5

    def _next_word(self) -> list[int]:
        return list((self._hints.pop(0) if self._hints else self._rng.choice(WORDS)).encode())


def _inside(byte: int) -> int:
    return _INSIDE.get(byte, _LAST)


def canonical(schema: Any) -> str:  # noqa: ANN401 - any JSON value
    """The schema as JSON text, usable as a cache key; the order of properties is kept, for it orders the document."""
    return json.dumps(schema)
