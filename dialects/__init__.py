"""The shelf of facts: what each documented chat-completions API says, as data.

A dialect is a folder with `dialect.toml`, `requirements.toml`, four JSON Schemas and `samples/`. `load` reads one by
name or path and returns a frozen `Dialect`. Nothing here decides anything: the suite and the reference server read the
same facts and are otherwise strangers.

Errors: `DialectError` names the file, the field, the value found and what is allowed.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = [
    "Auth",
    "Cause",
    "Dialect",
    "DialectError",
    "Errors",
    "Models",
    "Paths",
    "Place",
    "RateLimit",
    "RequestFacts",
    "Requirement",
    "ResponseFacts",
    "StreamFacts",
    "known",
    "load",
]

Json = dict[str, Any]
ROOT = Path(__file__).parent
COMMON = "common"
SCHEMAS = ("request", "response", "chunk", "error")
OPTIONAL_SCHEMAS = ("models",)


class DialectError(ValueError):
    """A dialect cannot be read: says which file and field, what stands there and what is allowed."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the documented operations lie, each beginning with a slash, relative to the target's base URL."""

    chat: tuple[str, ...]
    models: str | None = None
    model: str | None = None
    health: str | None = None
    sdk_base: tuple[str, ...] = ("/v1",)


@dataclass(frozen=True, slots=True)
class Auth:
    """How a key travels. `scheme` is "bearer" or "none"; `headers` are other headers that may carry the bare key."""

    scheme: str
    required: bool
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Models:
    """`example` is printed by the document; no server has `unknown`; `default_of` is an id without a model part."""

    example: str
    unknown: str
    default_of: str | None = None


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What the request schema cannot say: which fields bound the answer, whether null is absent, how images travel."""

    token_limits: tuple[str, ...]
    null_is_absent: bool = False
    image_parts: str = "none"
    text_parts: bool = False
    defaults: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class ResponseFacts:
    """What the response schema cannot say: whether null keys are dropped, the id's printed prefix."""

    null_is_absent: bool = False
    id_prefix: str | None = None


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """How a stream goes.

    `usage`: always | on_request | undocumented. `usage_chunk`: with_finish | own | any. `role`: first | every | any.
    """

    usage: str
    usage_chunk: str
    role: str
    done: bool = True


@dataclass(frozen=True, slots=True)
class Cause:
    """What a refusal looks like: allowed statuses (the first is the preferred one), error type, code and param."""

    status: tuple[int, ...]
    type: str | None = None
    code: str | int | None = None


@dataclass(frozen=True, slots=True)
class Errors:
    """`body`: text | string | object. Causes that the document leaves open are absent."""

    body: str
    causes: Mapping[str, Cause]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Header names that every answer carries, and whether a 429 carries Retry-After (always | never | may)."""

    headers: tuple[str, ...] = ()
    retry_after: str = "may"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the document says it: `lines` of the seed page (first, last), its heading, and words found there."""

    source: str
    lines: tuple[tuple[int, int], ...]
    heading: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        """The place as a reader would look it up."""
        spans = ", ".join(f"L{a}" if a == b else f"L{a}-{b}" for a, b in self.lines)
        return " ".join(part for part in (self.source, spans, f"({self.heading})" if self.heading else "") if part)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row of a document: what it says, where, how strongly, and the checks that decide it."""

    id: str
    level: str
    tier: str
    chapter: str
    says: str
    place: Place
    checks: tuple[str, ...] = ()
    unobservable: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """Everything one document says. `schemas` (2020-12) has request, response, chunk, error and maybe models."""

    id: str
    title: str
    document: str
    folder: Path
    paths: Paths
    auth: Auth
    models: Models
    request: RequestFacts
    response: ResponseFacts
    stream: StreamFacts
    errors: Errors
    ratelimit: RateLimit
    schemas: Mapping[str, Json]
    requirements: tuple[Requirement, ...]

    def documents(self, field: str) -> bool:
        """Whether the request table has this field."""
        return field in self.schemas["request"]["properties"]

    def cause(self, name: str) -> Cause | None:
        """How the document answers this cause of error; None where it is silent."""
        return self.errors.causes.get(name)

    def formats(self) -> tuple[str, ...]:
        """The documented values of response_format.type, in the schema's order."""
        schema = self.schemas["request"]
        values = _consts(schema["properties"].get("response_format", {}), "type", schema)
        return tuple(dict.fromkeys(values))

    def samples(self, kind: str) -> Iterator[tuple[str, str]]:
        """(name, text) of each sample of a kind: request, response, stream, error. Without those in `deviations`."""
        for path in sorted((self.folder / "samples").glob(f"{kind}*")):
            if path.name not in self.deviations():
                yield path.name, path.read_text(encoding="utf-8")

    def deviations(self) -> Mapping[str, str]:
        """Samples printed against the page's own rules: file name to what it breaks (a schema's name, or framing)."""
        path = self.folder / "samples" / "deviations.toml"
        rows = tomllib.loads(path.read_text(encoding="utf-8"))["deviation"] if path.is_file() else []
        return MappingProxyType({row["sample"]: row["breaks"] for row in rows})


def known() -> tuple[str, ...]:
    """The names `load` knows, in alphabetical order."""
    return tuple(sorted(p.parent.name for p in ROOT.glob("*/dialect.toml")))


def load(name_or_path: str | Path) -> Dialect:
    """The dialect of that name, or in that folder. Raises DialectError."""
    folder = Path(name_or_path)
    if str(name_or_path) in known():
        folder = ROOT / str(name_or_path)
    elif not (folder / "dialect.toml").is_file():
        names = ", ".join(known())
        raise DialectError(
            f"no dialect {str(name_or_path)!r}: known are {names}, or give a folder that holds dialect.toml"
        )
    return _read(folder.resolve())


@cache
def _read(folder: Path) -> Dialect:
    facts = _toml(folder / "dialect.toml", "dialect")
    optional = [name for name in OPTIONAL_SCHEMAS if (folder / f"{name}.schema.json").is_file()]
    schemas = {name: _schema(folder / f"{name}.schema.json") for name in [*SCHEMAS, *optional]}
    errors = facts["errors"]
    causes = {name: Cause(**_tuples(value)) for name, value in errors.get("cause", {}).items()}
    waived = set(facts.get("without_common", {}))
    own = _requirements(folder, facts["document"])
    common = tuple(r for r in _requirements(ROOT / COMMON, "") if r.id not in waived)
    _unique([*own, *common], folder)
    return Dialect(
        id=facts["id"],
        title=facts["title"],
        document=facts["document"],
        folder=folder,
        paths=Paths(**_tuples(facts["paths"])),
        auth=Auth(**_tuples(facts["auth"])),
        models=Models(**facts["models"]),
        request=RequestFacts(**_tuples(facts["request"])),
        response=ResponseFacts(**facts.get("response", {})),
        stream=StreamFacts(**facts["stream"]),
        errors=Errors(errors["body"], MappingProxyType(causes)),
        ratelimit=RateLimit(**_tuples(facts.get("ratelimit", {}))),
        schemas=MappingProxyType(schemas),
        requirements=(*own, *common),
    )


def _requirements(folder: Path, document: str) -> tuple[Requirement, ...]:
    rows = _toml(folder / "requirements.toml", "requirements")["requirement"]
    return tuple(Requirement(**{**_tuples(row), "place": _place(row["place"], document)}) for row in rows)


def _place(place: Json, document: str) -> Place:
    spans = tuple(_span(part) for part in place.get("lines", "").split(",") if part)
    words = place.get("words", [])
    return Place(place.get("source", document), spans, place.get("heading", ""), tuple(words))


def _span(text: str) -> tuple[int, int]:
    first, _, last = text.strip().partition("-")
    return int(first), int(last or first)


def _toml(path: Path, schema: str) -> Json:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DialectError(f"{path}: {error}") from error
    rules = json.loads((ROOT / f"{schema}.schema.json").read_text(encoding="utf-8"))
    for problem in Draft202012Validator(rules).iter_errors(data):
        raise DialectError(f"{path}: {problem.json_path[2:] or 'top level'}: {problem.message}")
    return data


def _schema(path: Path) -> Json:
    try:
        schema: Json = json.loads(path.read_text(encoding="utf-8"))
        Draft202012Validator.check_schema(schema)
    except (OSError, ValueError) as error:
        raise DialectError(f"{path}: {error}") from error
    except Exception as error:  # jsonschema's SchemaError is no ValueError
        raise DialectError(f"{path}: not a JSON Schema: {error}") from error
    return schema


def _unique(rows: list[Requirement], folder: Path) -> None:
    seen: set[str] = set()
    for row in rows:
        if row.id in seen:
            where = folder / "requirements.toml"
            raise DialectError(f"{where}: requirement id {row.id!r} stands twice; an id is for one row, for life")
        seen.add(row.id)


def _tuples(facts: Json) -> Json:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in facts.items()}


def _consts(schema: Json, key: str, root: Json) -> Iterator[str]:
    """The values that a property may have in any branch; local references are followed."""
    rule = schema.get("properties", {}).get(key, {})
    if "const" in rule:
        yield rule["const"]
    yield from rule.get("enum", [])
    for branch in (*schema.get("anyOf", []), *schema.get("oneOf", []), *_referred(schema, root)):
        yield from _consts(branch, key, root)


def _referred(schema: Json, root: Json) -> Iterator[Json]:
    if "$ref" in schema:
        target: Any = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        yield target
