"""Reading a request body strictly: RFC 8259, UTF-8, one value, no duplicate names, no NaN, no lone surrogates, 64 deep."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from reference_server.errors import ApiError

__all__ = ["DEEPEST", "read_object"]

DEEPEST = 64


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body. Raises ApiError: malformed_json, or not_object when it is another value."""
    value = _value(body)
    if not isinstance(value, dict):
        raise ApiError("not_object", f"the body must be a JSON object; expected an object, got {_kind(value)}")
    return value


def _value(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    try:
        value = _DECODER.decode(body.decode("utf-8"))
        _measure(value, DEEPEST)
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise ApiError("malformed_json", f"the body is nested more than {DEEPEST} deep") from error
    except ValueError as error:  # not JSON, not UTF-8, or a lone surrogate
        raise ApiError("malformed_json", f"the body is not valid JSON: {_reason(error)}") from error
    return value


def _reason(error: ValueError) -> str:
    if isinstance(error, UnicodeError):
        return "text that is not UTF-8"
    return str(error).partition(";")[0]


def _measure(value: Any, depth: int) -> None:  # noqa: ANN401 - any JSON value
    if not isinstance(value, (dict, list)):
        return
    if depth == 0:
        raise ValueError(f"nested more than {DEEPEST} deep")
    for part in value.values() if isinstance(value, dict) else value:
        _measure(part, depth - 1)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"name {next(name for name in names if names.count(name) > 1)!r} stands twice in one object")
    return members


def _refuse(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is not JSON")


def _finite(literal: str) -> float:
    number = float(literal)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{literal[:20]} is beyond the range of a double")
    return number


def _kind(value: Any) -> str:  # noqa: ANN401 - any JSON value
    names = {
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        list: "an array",
        type(None): "null",
    }
    return names[type(value)]


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite)
