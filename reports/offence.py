"""Where in an answer a failure lies: the bytes, the header, the status, or the place where something is missing.

A check says in words what it expected and what came; this finds the place in the recorded bytes that the words speak of.
The rules stand in `RULES`, the surest first, and the first one that finds something decides. Where none does, nothing is
marked: a wrong mark would be worse than none.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from reports.places import Member, documents, members

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reports.model import ExchangeRecord, RequirementResult

Span = tuple[int, int]
MOST = 6
SHORT = 5  # characters: a shorter text stands anywhere
SEARCHED = 200_000  # bytes of an answer: a longer one is shown in part only
LOOKED = 600  # characters of a sentence: what comes after them is quoted at length
OFFSET = re.compile(r"\bat (?:offset |byte )?(\d+)$|\bat (?:offset|byte) (\d+)\b")
MEMBER = re.compile(r"(?:in chunk (\d+): )?([a-z_]\w*(?:\[\d+\])?(?:\.\w+(?:\[\d+\])?)*) is (missing\b|\S)")
STATUS = re.compile(r"status (\d{3})\b|(\d{3})$")
HEADER = re.compile(r"(?i)\bheader ([\w-]+)|\b(x-[\w-]+|retry-after|allow|www-authenticate|content-[a-z]+)\b")
ALIASES = {
    "media type": "content-type",
    "content type": "content-type",
    "event stream, as": "content-type",
    "in the coding": "content-encoding",
}
QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?")
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w.])")
WORDS = {"None": "null", "True": "true", "False": "false"}
FORBIDDEN = re.compile(r"^(?:a clean text|a text without|text without|nothing after|an answer that ends at)")
ABSENT = re.compile(
    r"(?:none|no|null|None|finish_reason None|an empty one|the stream ends)\b|(?:\[\]|\"\"|\{\}|0)(?:$| \()"
)
CUT = re.compile(r"\.\.\.(?: \(\d+ characters\).*)?$", re.DOTALL)
DOTTED = re.compile(r"(?<!\w)[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
REPEATED = re.compile(r"\d+ times|in \d+ chunks|\btwice\b")
BEGINNING = 24  # characters of a text that was cut, or that came in pieces, by which it is looked for
LONE = (
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
WIDEST = 4000  # bytes of one mark; what is longer is no place


@dataclass(frozen=True, slots=True)
class Offence:
    """What to mark: byte spans of the body, header names (in small letters), the status; and what is missing where.

    `gaps` are (position in the body, what is missing there); `absent` names a header that should be there.
    """

    spans: tuple[Span, ...] = ()
    gaps: tuple[tuple[int, str], ...] = ()
    headers: tuple[str, ...] = ()
    absent: str | None = None
    status: bool = False

    def __bool__(self) -> bool:
        return bool(self.spans or self.gaps or self.headers or self.absent or self.status)


@dataclass(frozen=True)
class Case:
    """One failed row with the exchange that speaks for it, and what of it the rules look at."""

    row: RequirementResult
    one: ExchangeRecord
    body: bytes = field(default=b"")

    @property
    def expected(self) -> str:
        """What was expected, in words."""
        return (self.row.expected or "")[:LOOKED]

    @property
    def observed(self) -> str:
        """What came, in words."""
        return (self.row.observed or self.row.reason or "")[:LOOKED]

    @cached_property
    def documents(self) -> list[list[Member]]:
        """The members of the body, or of each event of a stream."""
        return [members(self.body, start, end) for start, end in documents(self.body)]

    @cached_property
    def values(self) -> set[str]:
        """What came, as JSON: the strings, numbers and words that `observed` quotes."""
        texts = [text for quoted in QUOTED.findall(self.observed) if (text := _unquoted(quoted)) is not None]
        bare = QUOTED.sub(" ", self.observed)
        words = {json_word for word, json_word in WORDS.items() if re.search(rf"\b{word}\b", bare)}
        plain = {word for word in ("null", "true", "false") if re.search(rf"\b{word}\b", bare)}
        return {*NUMBER.findall(bare), *words, *plain, *(json.dumps(t) for t in texts), *(f'"{t}"' for t in texts)}


def offence(row: RequirementResult, one: ExchangeRecord) -> Offence:
    """What to mark in this exchange for this row's failure; empty where the place is not known."""
    case = Case(row, one, one.body[:SEARCHED])
    return next((found for rule in RULES if (found := rule(case))), Offence())


def _member(case: Case) -> Offence:
    """`choices[0].index is "0"`, `in chunk 3: id is missing`: the value, or the end of the object that lacks it."""
    found = MEMBER.match(case.observed)
    if found is None:
        return Offence()
    number, path, rest = found.groups()
    chosen = case.documents[int(number) - 1 : int(number)] if number else case.documents
    if rest == "missing":
        parent = path.rpartition(".")[0]
        holder = next((m for doc in chosen for m in doc if m.path == parent and m.end - m.start > 1), None)
        return Offence(gaps=((holder.end - 1, f"{path} is missing"),)) if holder else Offence()
    spans = [(m.key or m.start, m.end) for doc in chosen for m in doc if m.path == path and m.end - m.start <= WIDEST]
    return Offence(spans=tuple(spans[:1]))


def _offset(case: Case) -> Offence:
    """`bytes that are not UTF-8 at offset 11`, `... at byte 204`: that byte, or the line that begins there."""
    found = OFFSET.search(case.observed)
    at = int(found[1] or found[2]) if found else len(case.body)
    if at >= len(case.body):
        return Offence()
    end = case.body.find(b"\n", at)
    whole = (
        at + 1 if "UTF-8" in case.observed and "field" not in case.observed else (end if end > at else len(case.body))
    )
    return Offence(spans=((at, min(whole, at + WIDEST)),))


def _strict(case: Case) -> Offence:
    """What makes a body no strict JSON: a literal, a key that stands twice, half a pair, a mark, where parsing ended."""
    if not case.expected.startswith("strict JSON"):
        return Offence()
    literal, key, ended = (
        re.search(pattern, case.observed) for pattern in (r"literal (\S+)", r"key ('.*') twice", r"\(char (\d+)\)$")
    )
    if ended:
        at = len(case.body.decode("utf-8", "replace")[: int(ended[1])].encode())
        return Offence(spans=((at, min(len(case.body), at + WIDEST)),) if at < len(case.body) else ())
    pattern = LONE if "surrogate" in case.observed else rb"\A\xef\xbb\xbf" if "byte order" in case.observed else b""
    if literal:
        pattern = rb"(?<![\w\"])" + re.escape(literal[1].encode()) + rb"(?!\w)"
    if key and (name := _unquoted(key[1])) is not None:
        pattern = re.escape(json.dumps(name).encode()) + rb"\s*:"
    found = re.finditer(pattern, case.body) if pattern else ()
    return Offence(spans=tuple(one.span() for one in found)[:MOST])


def _status(case: Case) -> Offence:
    """`status 200 (...)`, or the number alone, where it is the answer's own."""
    found = STATUS.match(case.observed)
    return Offence(status=found is not None and int(found[1] or found[2]) == case.one.status)


def _header(case: Case) -> Offence:
    """A header that the words name: where it stands, or that it is not there."""
    told = f"{case.observed} {case.expected}"
    named = [first or second for first, second in HEADER.findall(told)]
    named += [name for words, name in ALIASES.items() if words in told]
    present = {name.lower() for name, _ in case.one.response_headers}
    standing = tuple(dict.fromkeys(name.lower() for name in named if name.lower() in present))
    if standing or not named or case.one.status is None:
        return Offence(headers=standing)
    return Offence(absent=named[0])


def _forbidden(case: Case) -> Offence:
    """What should not be there, where the expectation quotes it (a stop sequence) or the finding begins with it."""
    if not FORBIDDEN.match(case.expected):
        return Offence()
    begun = re.match(r"(\S{2,40}) in ['\"]", case.observed)
    texts = [begun[1]] if begun else [t for q in QUOTED.findall(case.expected) if (t := _unquoted(q))]
    return Offence(spans=_found(case.body, [_character(text) for text in texts]))


def _value(case: Case) -> Offence:
    """A member that the words name and whose value is one that came: `total_tokens 25`, came `26`."""
    told = re.sub(r"[ .]", "_", f"{case.expected} {case.observed}").replace("Unix_seconds", "created")
    fitting = [
        [
            m
            for m in doc
            if m.name and _named(m.name, told) and case.body[m.start : m.end].decode("utf-8", "replace") in case.values
        ]
        for doc in case.documents
    ]
    last = next((doc for doc in reversed(fitting) if doc), [])  # of a stream's many chunks the one that ends the matter
    return Offence(spans=tuple((m.key or m.start, m.end) for m in last[:MOST]))


def _quoted(case: Case) -> Offence:
    """Text or a number that came, word for word."""
    texts = [text for quoted in QUOTED.findall(case.observed) if (text := _unquoted(quoted)) and len(text) > SHORT]
    numbers = [number for number in NUMBER.findall(QUOTED.sub(" ", case.observed)) if len(number) > SHORT]
    begun = [text[:BEGINNING] for text in texts if len(text) > BEGINNING]
    dotted = DOTTED.findall(QUOTED.sub(" ", case.observed))
    ways = (texts, begun, numbers, dotted)
    return Offence(spans=next((spans for way in ways if (spans := _found(case.body, way))), ()))


def _missing(case: Case) -> Offence:
    """Something that did not come at all: the end of what came."""
    if case.one.status is None or case.one.error or not ABSENT.match(case.observed):
        return Offence()
    return Offence(gaps=((len(case.body), f"expected {case.expected}, and it did not come"),))


def _name(case: Case) -> Offence:
    """At least the member that the words name, where it stands last; all where it came too often."""
    told = re.sub(r"[ .]", "_", f"{case.expected} {case.observed}")
    named = [m for doc in case.documents for m in doc if m.key is not None and m.name and _named(m.name, told)]
    small = [m for m in named if m.end - m.start <= WIDEST]
    chosen = small[:MOST] if REPEATED.search(case.observed) else small[-1:]
    return Offence(spans=tuple((m.key or m.start, m.end) for m in chosen))


RULES: tuple[Callable[[Case], Offence], ...] = (
    _member,
    _offset,
    _strict,
    _status,
    _header,
    _forbidden,
    _value,
    _quoted,
    _missing,
    _name,
)


def _named(name: str, told: str) -> bool:
    # In most cases the plain search says no, which costs far less.
    return (
        len(name) > 1
        and name in told
        and name != "object"
        and re.search(rf"(?<![a-z]){re.escape(name)}(?![a-z])", told) is not None
    )


def _character(text: str) -> str:
    """U+FFFD as the character itself."""
    found = re.fullmatch(r"U\+([0-9A-F]{4,6})", text)
    return chr(int(found[1], 16)) if found else text


def _unquoted(quoted: str) -> str | None:
    """The text that stands in quotation marks, as JSON or Python writes it; up to the dots where it was cut."""
    mark, quoted = quoted[0], CUT.sub("", quoted)
    whole = quoted if len(quoted) > 1 and quoted[-1] == mark else quoted + mark
    try:
        text = json.loads(whole) if mark == '"' else ast.literal_eval(whole)
    except (ValueError, SyntaxError):
        return None
    return text if isinstance(text, str) else None


def _found(body: bytes, texts: list[str]) -> tuple[Span, ...]:
    """Where the texts stand in the body, as they are or as JSON writes them."""
    spans: list[Span] = []
    for text in texts:
        spellings = {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
        for spelling in sorted(spellings):
            spans += _each(body, spelling.encode("utf-8", "surrogatepass"))
    return tuple(sorted(set(spans))[:MOST])


def _each(body: bytes, part: bytes) -> Iterator[Span]:
    at = body.find(part) if part else -1
    for _ in range(MOST):
        if at < 0:
            return
        yield at, at + len(part)
        at = body.find(part, at + len(part))
