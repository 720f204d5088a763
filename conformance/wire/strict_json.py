"""Strict JSON by RFC 8259: what Python's reader forgives is reported here.

`read` returns the value and the list of departures; it raises `NotJson` only when there is no value at all.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["NotJson", "read"]

DEEPEST = 128  # far beyond any answer, and little enough that whoever walks the value needs no care
KEPT = 100  # departures of one text: a hostile one may be nothing else
SURROGATE = re.compile("[\ud800-\udfff]")


class NotJson(ValueError):
    """The bytes hold no JSON value; the message says where reading stopped."""


def read(data: bytes | str) -> tuple[Any, list[str]]:
    """(value, departures from RFC 8259): a BOM, bytes that are no UTF-8, NaN, Infinity, duplicate keys, lone surrogates."""
    departures: list[str] = []
    text = _text(data, departures)
    try:
        value = json.loads(text, parse_constant=_constants(departures), object_pairs_hook=_pairs(departures))
    except RecursionError:
        raise NotJson(f"nested more than {DEEPEST} deep") from None
    except ValueError as error:
        raise NotJson(str(error)) from error
    if text.count("[") + text.count("{") > DEEPEST and _deeper(value, DEEPEST):
        raise NotJson(f"nested more than {DEEPEST} deep")
    if "\\u" in text and _has_surrogate(value):
        departures.append("a lone surrogate in a string")
    return value, departures


def _text(data: bytes | str, departures: list[str]) -> str:
    if isinstance(data, str):
        return data
    if data.startswith(b"\xef\xbb\xbf"):
        departures.append("a byte order mark before the value")
        data = data[3:]
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        departures.append(f"bytes that are not UTF-8 at offset {error.start}")
        return data.decode("utf-8", "replace")


def _constants(departures: list[str]) -> Any:  # noqa: ANN401 - json's hook signature
    seen: set[str] = set()

    def constant(name: str) -> float:
        if name not in seen:
            departures.append(f"the literal {name}")
        seen.add(name)
        return float(name)

    return constant


def _pairs(departures: list[str]) -> Any:  # noqa: ANN401 - json's hook signature
    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(members)
        if len(value) < len(members) and len(departures) < KEPT:
            twice = _first_twice(name for name, _ in members)
            departures.append(f"the key {twice[:60]!r} twice in one object")
        return value

    return pairs


def _first_twice(names: Iterable[str]) -> str:
    seen: set[str] = set()
    return next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]  # adds


def _deeper(value: Any, levels: int) -> bool:  # noqa: ANN401 - any JSON value
    """Whether arrays and objects are nested over so many levels. Level by level, so without recursion."""
    layer = [value]
    for _ in range(levels + 1):
        layer = [member for holder in layer for member in _members(holder)]
    return bool(layer)


def _has_surrogate(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return SURROGATE.search(value) is not None
    names = value if isinstance(value, dict) else ()
    return any(map(_has_surrogate, names)) or any(map(_has_surrogate, _members(value)))


def _members(value: Any) -> Iterable[Any]:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
