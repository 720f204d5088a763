"""The schemas that hold answers: narrower than the client's, never wider; references follow what they point at."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from reference_server.engine import Tool
from reference_server.engine.sglang_schema import call_list, closed, parameters
from reference_server.errors import ApiError

NAMES = ("a", "b", "c")
leaves = st.sampled_from([{}, {"type": "string"}, {"type": "integer"}, {"type": "null"}])


def objects(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    members = st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    extras = st.sampled_from([{}, {}, {"additionalProperties": True}, {"additionalProperties": {"type": "string"}}])
    required = st.lists(st.sampled_from(NAMES), unique=True, max_size=2)
    plain = st.builds(
        lambda properties, extra, names: {"type": "object", "properties": properties, "required": names, **extra},
        members,
        extras,
        required,
    )
    combined = st.builds(
        lambda key, parts, own: {**own, key: parts},
        st.sampled_from(["anyOf", "allOf", "oneOf"]),
        st.lists(inner, min_size=1, max_size=2),
        plain | st.just({}),
    )
    return plain | combined | st.builds(lambda items: {"type": "array", "items": items}, inner)


schemas = st.recursive(leaves, objects, max_leaves=6)
documents = st.recursive(
    st.none() | st.integers(0, 2) | st.just("x"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from((*NAMES, "other")), inner, max_size=3),
    max_leaves=6,
)


@given(schema=schemas, document=documents)
def test_what_satisfies_the_narrowed_schema_satisfies_the_clients(schema: dict[str, Any], document: Any) -> None:  # noqa: ANN401 - any JSON value
    if Draft202012Validator(closed(schema)).is_valid(document):
        assert Draft202012Validator(schema).is_valid(document)


@pytest.mark.parametrize(
    ("schema", "document"),
    [
        ({"type": "object", "properties": {"a": {}}, "required": ["b"]}, {"b": 1}),
        ({"type": "object", "properties": {"a": {}}, "minProperties": 2}, {"a": 1, "b": 1}),
        ({"type": "object", "properties": {"a": {}}, "patternProperties": {"^b": {}}}, {"b": 1}),
        ({"allOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}, "required": ["b"]}]}, {"a": 1, "b": 1}),
        ({"$defs": {"A": {"properties": {"a": {}}}}, "$ref": "#/$defs/A", "properties": {"b": {}}, "required": ["b"]}, {"b": 1}),
    ],
)  # fmt: skip
def test_narrowing_leaves_a_document_where_the_schema_needs_members_that_it_does_not_list(
    schema: dict[str, Any], document: dict[str, Any]
) -> None:
    assert Draft202012Validator(closed(schema)).is_valid(document)


def test_an_object_that_lists_its_members_admits_no_others() -> None:
    schema = {"type": "object", "properties": {"deep": {"type": "object", "properties": {"a": {}}}}}

    assert not Draft202012Validator(closed(schema)).is_valid({"deep": {"a": 1, "b": 2}})
    assert not Draft202012Validator(closed(schema)).is_valid({"other": 1})
    assert Draft202012Validator(closed(schema)).is_valid({"deep": {"a": 1}})


def test_a_list_of_calls_takes_each_tools_arguments_and_follows_references_into_them() -> None:
    city = {
        "$defs": {"City": {"type": "string"}},
        "properties": {"city": {"$ref": "#/$defs/City"}},
        "required": ["city"],
    }
    validator = Draft202012Validator(call_list((Tool("weather", parameters=city), Tool("now")), most=2))

    assert validator.is_valid([{"name": "weather", "arguments": {"city": "Oslo"}}, {"name": "now", "arguments": {}}])
    assert not validator.is_valid([{"name": "weather", "arguments": {"city": 5}}])
    assert not validator.is_valid([{"name": "now", "arguments": {"city": "Oslo"}}])
    assert not validator.is_valid([{"name": "then", "arguments": {}}])
    assert not validator.is_valid([])
    assert not validator.is_valid([{"name": "now", "arguments": {}}] * 3)


def test_a_recursive_schema_still_points_at_itself() -> None:
    tree = {"type": "object", "properties": {"child": {"$ref": "#"}}}
    validator = Draft202012Validator(call_list((Tool("grow", parameters=tree),), most=1))

    assert validator.is_valid([{"name": "grow", "arguments": {"child": {"child": {}}}}])
    assert not validator.is_valid([{"name": "grow", "arguments": {"child": {"child": 1}}}])


def test_parameters_that_are_no_object_are_refused_by_name() -> None:
    with pytest.raises(ApiError, match=r"tools\.f\.parameters.*not 'array'"):
        parameters(Tool("f", parameters={"type": "array"}))
