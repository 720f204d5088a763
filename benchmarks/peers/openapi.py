"""The OpenAPI description of a dialect, made from its facts, for testers that read one.

    python -m benchmarks.peers.openapi openai > openai.json

Nothing is written by hand but the frame: paths, key, schemas, refusals and examples are those of `dialects/<name>`. What our
annotations say of values that may be tried is turned into plain schema, so that a generator of values is told what ours is
told: `narrow` takes values from `x-try` alone, and leaves out a field that needs another beside it (`x-with`) or a
capability that a text model lacks (`x-needs`), as plain schema can say neither. Valid requests are drawn from that. The wide
description is for invalid requests: what nobody tries is not invalid.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import dialects

if TYPE_CHECKING:
    from dialects import Dialect

__all__ = ["describe"]

Json = dict[str, Any]
HAD = frozenset({"tools", "structured_output"})  # capabilities of the model that is tried
FRAME = frozenset({"$schema", "title", "$defs"})
VALUES = frozenset({"enum", "const", "default", "required"})  # keywords that hold no schemas
REFUSALS = ("400", "401", "403", "404", "405", "413", "415", "422", "429")


def describe(dialect: Dialect, *, narrow: bool = True) -> Json:
    """The document: the chat operation and, where the dialect has it, the list of models."""
    chat = {"post": _chat(dialect, narrow=narrow)}
    paths: Json = dict.fromkeys(dialect.paths.chat, chat)
    if dialect.paths.models and "models" in dialect.schemas:
        paths[dialect.paths.models] = {"get": _models(dialect)}
    return {
        "openapi": "3.2.0",
        "info": {"title": dialect.title, "version": dialect.document},
        "paths": paths,
        "security": [{"key": []}],
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def _chat(dialect: Dialect, *, narrow: bool) -> Json:
    body = _plain(dialect.schemas["request"], narrow=narrow)
    body["properties"]["model"] = {"const": dialect.models.example}
    return {
        "operationId": "chat",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body, "examples": _examples(dialect)}},
        },
        "responses": {
            "200": {
                "description": "The answer, or its stream",
                "content": {
                    "application/json": {"schema": _plain(dialect.schemas["response"])},
                    "text/event-stream": {"itemSchema": _event(dialect)},
                },
            },
            **_refusals(dialect),
        },
    }


def _event(dialect: Dialect) -> Json:
    """An event of a stream: a chunk, or its end."""
    chunk = {"contentMediaType": "application/json", "contentSchema": _plain(dialect.schemas["chunk"])}
    end = [{"const": "[DONE]"}] if dialect.stream.done else []
    return {"type": "object", "required": ["data"], "properties": {"data": {"type": "string", "anyOf": [*end, chunk]}}}


def _models(dialect: Dialect) -> Json:
    listed = {"application/json": {"schema": _plain(dialect.schemas["models"])}}
    return {
        "operationId": "models",
        "responses": {"200": {"description": "The models", "content": listed}, **_refusals(dialect)},
    }


def _refusals(dialect: Dialect) -> Json:
    body = {"application/json": {"schema": _plain(dialect.schemas["error"])}}
    return {status: {"description": "A refusal", "content": body} for status in REFUSALS}


def _examples(dialect: Dialect) -> Json:
    """The document's printed requests, asked of the model that is there; those that need more than text are left out."""
    found = {}
    for path in sorted((dialect.folder / "samples").glob("request-*.json")):
        body = json.loads(path.read_text(encoding="utf-8"))
        if not {"audio", "functions", "image_url"} & set(path.read_text(encoding="utf-8").split('"')):
            found[path.stem.removeprefix("request-")] = {"value": {**body, "model": dialect.models.example}}
    return found


def _plain(schema: Json, *, narrow: bool = False) -> Json:
    """A schema without our annotations and without references, as `#` means the whole document in OpenAPI."""
    lifted = _lifted(schema, schema.get("$defs", {}))
    plain: Json = _narrowed(lifted) if narrow else _bare(lifted)
    return plain


def _lifted(node: Any, definitions: Json) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(node, list):
        return [_lifted(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return _lifted({**definitions[node["$ref"].rsplit("/", 1)[-1]], **beside}, definitions)
    return {key: value if key in VALUES else _lifted(value, definitions) for key, value in node.items()}


def _bare(node: Any) -> Any:  # noqa: ANN401 - any JSON
    """Without our annotations."""
    if isinstance(node, list):
        return [_bare(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if not key.startswith("x-") and key not in FRAME}
    return {key: value if key in VALUES else _bare(value) for key, value in kept.items()}


def _narrowed(node: Any) -> Any:  # noqa: ANN401 - any JSON
    """With what our annotations say, as far as plain schema can."""
    if isinstance(node, list):
        return [_narrowed(item) for item in node if not _left_out(item)]
    if not isinstance(node, dict):
        return node
    kept = {
        key: value for key, value in {**node, **_tried(node)}.items() if not key.startswith("x-") and key not in FRAME
    }
    if isinstance(properties := kept.get("properties"), dict):
        kept["properties"] = {name: rule for name, rule in properties.items() if not _left_out(rule)}
    return {key: value if key in VALUES else _narrowed(value) for key, value in kept.items()}


def _tried(node: Json) -> Json:
    """What x-try says, as keywords."""
    tried = node.get("x-try")
    if not isinstance(tried, dict):
        return {}
    return {"enum": tried["values"]} if "values" in tried else tried


def _left_out(node: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether a rule is of a field or a branch that cannot be asked for alone, or that requires such a field."""
    if not isinstance(node, dict):
        return False
    properties = node.get("properties", {})
    required = [properties[name] for name in node.get("required", []) if name in properties]
    return "x-with" in node or node.get("x-needs", "tools") not in HAD or any(map(_left_out, required))


if __name__ == "__main__":
    json.dump(describe(dialects.load(sys.argv[1]), narrow="--wide" not in sys.argv), sys.stdout, indent=1)
