"""Constrained JSON: every schema that can be held is held, quickly; every other one is refused."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from reference_server.engine.constrained import LONGEST, document, writer
from reference_server.errors import ApiError

Json = dict[str, Any]

names = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=6)


def bounded_numbers() -> st.SearchStrategy[Json]:
    def build(low: int, span: int, kind: str) -> Json:
        return {"type": kind, "minimum": low, "maximum": low + span}

    return st.builds(build, st.integers(-1000, 1000), st.integers(0, 500), st.sampled_from(["integer", "number"]))


def bounded_strings() -> st.SearchStrategy[Json]:
    def build(low: int, span: int) -> Json:
        return {"type": "string", "minLength": low, "maxLength": low + span}

    return st.builds(build, st.integers(0, 20), st.integers(0, 20))


scalars = st.one_of(
    st.just({"type": "string"}),
    st.just({"type": "integer"}),
    st.just({"type": "number"}),
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({"type": ["string", "null"]}),
    st.builds(
        lambda values: {"enum": values}, st.lists(st.one_of(names, st.integers(), st.none()), min_size=1, max_size=4)
    ),
    st.builds(lambda value: {"const": value}, st.one_of(names, st.integers(-99, 99), st.booleans())),
    st.sampled_from(
        [{"type": "string", "format": form} for form in ("date", "date-time", "uuid", "ipv4", "email", "time")]
    ),
    st.sampled_from(
        [{"type": "string", "pattern": p} for p in ("^[a-z]{3,5}$", r"^\d{4}-\d{2}$", "^(on|off)$", "end$", "^x.*y$")]
    ),
    bounded_numbers(),
    bounded_strings(),
)


def composed(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    def array(items: Json, least: int, more: int) -> Json:
        return {"type": "array", "items": items, "minItems": least, "maxItems": least + more}

    def record(members: dict[str, Json], take: int, closed: bool) -> Json:  # noqa: FBT001 - drawn by hypothesis
        return {
            "type": "object",
            "properties": members,
            "required": list(members)[:take],
            **({"additionalProperties": False} if closed else {}),
        }

    return st.one_of(
        st.builds(array, inner, st.integers(0, 3), st.integers(0, 3)),
        st.builds(record, st.dictionaries(names, inner, max_size=4), st.integers(0, 4), st.booleans()),
        st.builds(lambda branches: {"anyOf": branches}, st.lists(inner, min_size=1, max_size=3)),
    )


schemas = st.recursive(scalars, composed, max_leaves=8)


@given(schemas, st.integers(0, 63))
@settings(max_examples=250, deadline=None)
def test_a_document_satisfies_its_schema(schema: Json, variant: int) -> None:
    value = json.loads(document(json.dumps(schema), "response_format", variant))

    assert list(Draft202012Validator(schema).iter_errors(value)) == []


@given(schemas)
@settings(max_examples=60, deadline=None)
def test_documents_are_short(schema: Json) -> None:
    leaves = json.dumps(schema).count('"type"') + json.dumps(schema).count('"minItems"') + 1

    assert len(document(json.dumps(schema), "response_format", 1)) < 400 * leaves


def test_equal_variants_are_equal_and_others_differ() -> None:
    schema = json.dumps({"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]})
    written = [document(schema, "f", variant) for variant in range(20)]

    assert written == [writer(schema, "f").write(Random(variant)) for variant in range(20)]  # noqa: S311 - as the server
    assert len(set(written)) > 1


def test_all_documented_members_are_written_even_optional_ones() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}

    assert json.loads(document(json.dumps(schema), "f", 0)).keys() == {"a", "b"}


def test_hints_become_values_in_order() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "country": {"type": "string"}}}

    assert json.loads(document(json.dumps(schema), "f", 0, ("Tokyo", "Japan"))) == {"city": "Tokyo", "country": "Japan"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "minItems": 3, "uniqueItems": True},
        {"not": {"type": "string"}},
        {"type": "array", "items": {"type": "integer"}, "contains": {"const": 5}},
        {"oneOf": [{"type": "integer"}, {"type": "string"}]},
        {
            "if": {"properties": {"a": {"const": 1}}},
            "then": {"required": ["b"]},
            "type": "object",
            "properties": {"a": {"const": 2}},
        },
    ],
)
def test_what_no_grammar_holds_is_drawn_until_it_fits(schema: Json) -> None:
    value = json.loads(document(json.dumps(schema), "f", 3))

    assert Draft202012Validator(schema).is_valid(value)


def test_a_schema_that_recurses_ends_at_its_first_chance() -> None:
    schema = {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "value": {"type": "integer"},
                    "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                },
                "required": ["value", "next"],
            }
        },
    }

    assert json.loads(document(json.dumps(schema), "f", 0))["next"] is None


def test_a_schema_without_an_end_is_cut_quickly() -> None:
    endless = {
        "$ref": "#/$defs/n",
        "$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]}},
    }
    start = time.perf_counter()

    assert len(document(json.dumps(endless), "f", 0)) >= LONGEST
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "bogus"},
        {"type": 5},
        {"type": "string", "pattern": "("},
        {"type": "string", "enum": [1]},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"$ref": "#/nowhere"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"properties": []},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"const": {"a": 1}, "type": "string"},
        {"not": {}},
        False,
    ],
)
def test_a_schema_that_cannot_be_held_is_refused_with_its_field(schema: object) -> None:
    with pytest.raises(ApiError) as refused:
        document(json.dumps(schema), "response_format", 0)

    assert (refused.value.cause, refused.value.field) == ("out_of_range", "response_format")


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), names),
        lambda x: (
            st.lists(x, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "type",
                        "properties",
                        "items",
                        "required",
                        "enum",
                        "anyOf",
                        "minimum",
                        "pattern",
                        "$ref",
                        "not",
                        "if",
                    ]
                ),
                x,
                max_size=4,
            )
        ),
        max_leaves=10,
    )
)
@settings(max_examples=200, deadline=None)
def test_any_json_given_as_a_schema_is_held_or_refused_and_nothing_else(schema: object) -> None:
    with suppress(ApiError):
        json.loads(document(json.dumps(schema), "f", 0))
