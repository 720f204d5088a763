"""Frozen dataclasses to JSON values and back, driven by the metadata of their fields.

`part` marks a field that holds another record (or a tuple of them), that has another name in JSON, or that JSON leaves
out while it is None. Reading trusts its input: the schema has been applied before.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

Json = dict[str, Any]
Record = TypeVar("Record")


def part(of: type | None = None, *, name: str | None = None, omit: bool = False) -> Json:
    """Metadata of a field: `of` is the record it holds, `name` its JSON key, `omit` drops the key while it is None."""
    return {"of": of, "name": name, "omit": omit}


def encode(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The JSON value (dict, list, str, number, bool, None) of a record."""
    if is_dataclass(value):
        return {key: encode(item) for key, item, omit in _items(value) if not (omit and item is None)}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    if hasattr(value, "items"):
        return {str(key): encode(item) for key, item in value.items()}
    return value


def decode(cls: type[Record], data: Json) -> Record:
    """The record of that class; keys it does not know are ignored, absent keys take the field's default."""
    known = {_key(f): f for f in fields(cls)}  # type: ignore[arg-type]  # every caller passes a dataclass
    return cls(**{known[key].name: _decoded(known[key], value) for key, value in data.items() if key in known})


def _items(record: Any) -> list[tuple[str, Any, bool]]:  # noqa: ANN401 - any of our dataclasses
    return [(_key(f), getattr(record, f.name), f.metadata.get("omit", False)) for f in fields(record)]


def _key(field_: Any) -> str:  # noqa: ANN401 - dataclasses.Field of any type
    return str(field_.metadata.get("name") or field_.name)


def _decoded(field_: Any, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    of = field_.metadata.get("of")
    if of is not None and isinstance(value, dict):
        return decode(of, value)
    if of is not None and isinstance(value, list):
        return tuple(decode(of, item) for item in value)
    return _frozen(value)


def _frozen(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
