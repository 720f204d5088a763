"""Holding a body against the dialect's request schema, and naming the cause and the field of the first thing wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.validators import extend

from reference_server.errors import ApiError

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

    from dialects import Dialect

__all__ = ["RequestSchema", "without_nulls"]

Json = dict[str, Any]
KINDS = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object"}
DISCRIMINATORS = ("role", "type")
OPAQUE = ("parameters", "schema", "metadata")  # members whose nulls are data
SHOWN = 60
LONGEST_KEPT = 4000  # characters of a body whose verdict is kept
MOST_KEPT = 5000


class RequestSchema:
    """A dialect's request schema, compiled."""

    def __init__(self, dialect: Dialect) -> None:
        self._validator = _STRICT(dialect.schemas["request"], format_checker=_FORMATS)
        self._kept: dict[str, tuple[str, str, str | None] | None] = {}

    def allows(self, body: Json) -> bool:
        """Whether the body satisfies the schema as it stands."""
        return self._wrong(body) is None

    def check(self, body: Json) -> None:
        """Raise ApiError(missing_field | wrong_type | out_of_range) unless the body satisfies the schema."""
        wrong = self._wrong(body)
        if wrong is not None:
            raise ApiError(*wrong)

    def _wrong(self, body: Json) -> tuple[str, str, str | None] | None:
        """What is wrong; of short bodies, which a client sends again and again, remembered: the answer takes milliseconds."""
        text = json.dumps(body)
        if text not in self._kept:
            if len(self._kept) >= MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[text if len(text) <= LONGEST_KEPT else ""] = found = self._judged(body)
            return found
        return self._kept[text]

    def _judged(self, body: Json) -> tuple[str, str, str | None] | None:
        if self._validator.is_valid(body):
            return None
        error = _blame(min(self._validator.iter_errors(body), key=_urgency))
        path = _path(error)
        return _cause(error), _sentence(error, path), path or None


def without_nulls(body: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The body without null members, for dialects where null means absent; JSON Schemas and metadata are left alone."""
    if isinstance(body, dict):
        kept = {k: v for k, v in body.items() if v is not None}
        return {k: v if k in OPAQUE else without_nulls(v) for k, v in kept.items()}
    return [without_nulls(part) for part in body] if isinstance(body, list) else body


def _integer(_: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_TYPES = Draft202012Validator.TYPE_CHECKER.redefine("integer", _integer)
_STRICT = extend(Draft202012Validator, type_checker=_TYPES)  # type: ignore[no-untyped-call]  # the stubs leave it open
_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("uuid", raises=ValueError)
def _is_uuid(value: object) -> bool:
    return not isinstance(value, str) or str(UUID(value)) == value.lower()


def _urgency(error: ValidationError) -> tuple[int, int]:
    """What is missing first, then what has the wrong type, then the rest; the outermost first."""
    rank = {"required": 0, "type": 1}.get(str(error.validator), 2)
    return rank, len(error.absolute_path)


def _blame(error: ValidationError) -> ValidationError:
    """Of alternatives that all failed, the error of the one that was meant."""
    while error.context:
        branches: dict[Any, list[ValidationError]] = {}
        for problem in error.context:
            branches.setdefault(problem.schema_path[0], []).append(problem)
        meant = max(branches.values(), key=_closeness)
        error = min(meant, key=_urgency)
    return error


def _closeness(branch: list[ValidationError]) -> tuple[bool, bool, int]:
    """How well a branch fits: its discriminator matches, the kind of value matches, what is wrong lies deep inside."""
    tagged = not any(p.validator in ("const", "enum") and p.path and p.path[-1] in DISCRIMINATORS for p in branch)
    kind = not any(p.validator in ("type", "const", "enum") and not p.path for p in branch)
    return tagged and kind, kind, min(len(p.path) for p in branch)


def _cause(error: ValidationError) -> str:
    """A value that is not among those allowed has the wrong type when none of them has its type."""
    if error.validator == "required":
        return "missing_field"
    allowed: Any = error.validator_value
    if error.validator in ("const", "enum"):
        values = allowed if error.validator == "enum" else [allowed]
        return "out_of_range" if _kind(error.instance) in map(_kind, values) else "wrong_type"
    return "wrong_type" if error.validator == "type" else "out_of_range"


def _kind(value: object) -> str:
    return KINDS.get(type(value), "null")


def _path(error: ValidationError) -> str:
    """The field at fault, as in messages[0].content; for a missing member, that member."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    if error.validator == "required":
        path += "." + _missing(error)
    return path.removeprefix(".")


def _missing(error: ValidationError) -> str:
    required: Any = error.validator_value
    instance: Any = error.instance
    return next(str(name) for name in required if name not in instance)


def _sentence(error: ValidationError, path: str) -> str:
    value = repr(error.instance)[:SHOWN]
    if error.validator == "required":
        return f"{path}: this field is required"
    if error.validator == "type":
        kinds: Any = error.validator_value
        return f"{path or 'the body'}: expected {kinds if isinstance(kinds, str) else ' or '.join(kinds)}, got {value}"
    return f"{path or 'the body'}: {value} is not allowed: {error.validator} {str(error.validator_value)[:SHOWN]}"
