"""The grammars that hold an answer, as JSON Schemas: the client's own, and those of calls that must be made.

A schema is sent narrower than it was given where that costs no document: members that it does not name are left out, because
a small model otherwise invents them without end. Whatever satisfies the narrower schema satisfies the client's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference_server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reference_server.engine import Json, Tool

__all__ = ["MOST_CALLS", "call_list", "closed", "parameters"]

MOST_CALLS = 4  # in one answer that must call
FREE_TEXT: dict[str, Any] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}
_COMBINING = ("allOf", "anyOf", "oneOf", "not", "if", "$ref", "patternProperties", "unevaluatedProperties")


def parameters(tool: Tool) -> Json:
    """The schema of a tool's arguments, always an object. Raises ApiError(out_of_range) for one that is none."""
    if tool.custom:
        return FREE_TEXT
    schema: Json = {"type": "object", **(tool.parameters or {"properties": {}})}
    if schema["type"] != "object":
        field = f"tools.{tool.name}.parameters"
        raise ApiError(
            "out_of_range", f"{field}: a function's parameters are an object, not {schema['type']!r}", "tools"
        )
    narrowed: Json = closed(schema)
    return narrowed


def call_list(tools: Sequence[Tool], *, most: int) -> Json:
    """The schema of a list of one to `most` calls, each `{"name": ..., "arguments": ...}` of one of the tools."""
    kept = {f"tool_{number}": _moved(parameters(tool), f"tool_{number}") for number, tool in enumerate(tools)}
    calls = [_call(tool.name, f"tool_{number}") for number, tool in enumerate(tools)]
    items = calls[0] if len(calls) == 1 else {"anyOf": calls}
    return {"type": "array", "minItems": 1, "maxItems": most, "items": items, "$defs": kept}


def _call(name: str, place: str) -> Json:
    return {
        "type": "object",
        "properties": {"name": {"const": name}, "arguments": {"$ref": f"#/$defs/{place}"}},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _moved(schema: Any, place: str) -> Any:  # noqa: ANN401 - any JSON value
    """The schema with its references to itself following it to its new place."""
    if isinstance(schema, list):
        return [_moved(part, place) for part in schema]
    if not isinstance(schema, dict):
        return schema
    moved = {key: _moved(value, place) for key, value in schema.items()}
    reference = moved.get("$ref")
    if isinstance(reference, str) and (reference == "#" or reference.startswith("#/")):
        moved["$ref"] = f"#/$defs/{place}{reference[1:]}"
    return moved


def closed(schema: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The schema with objects that list their members admitting no others, where nothing else says what they may hold."""
    return schema if _composes(schema) else _closed(schema)


def _closed(schema: Any) -> Any:  # noqa: ANN401 - any JSON value
    if not isinstance(schema, dict):
        return schema
    narrowed = dict(schema)
    for key in ("properties", "$defs", "definitions"):
        if isinstance(schema.get(key), dict):
            narrowed[key] = {name: _closed(part) for name, part in schema[key].items()}
    if isinstance(schema.get("items"), dict):
        narrowed["items"] = _closed(schema["items"])
    if _lists_all_members(schema):
        narrowed["additionalProperties"] = False
    return narrowed


def _lists_all_members(schema: Json) -> bool:
    named = schema.get("properties")
    if not isinstance(named, dict) or "additionalProperties" in schema or any(key in schema for key in _COMBINING):
        return False
    required, least = schema.get("required", []), schema.get("minProperties", 0)
    return isinstance(required, list) and set(map(str, required)) <= set(named) and (not least or least <= len(named))


def _composes(schema: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether an object is described in several places at once, so that none of them lists all its members."""
    if isinstance(schema, list):
        return any(_composes(part) for part in schema)
    if not isinstance(schema, dict):
        return False
    return "allOf" in schema or {"$ref", "properties"} <= schema.keys() or any(_composes(v) for v in schema.values())
