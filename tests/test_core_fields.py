"""Members of a body against the dialect's schema, shallowly: each row judges its own member and no other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

import dialects
from conformance.fields import Field, shown
from conformance.registry import split
from tests.dialect_facts import NAMES
from tests.test_core_reply import anything, like_an_answer

Json = dict[str, Any]
ROOT: Json = {
    "$defs": {
        "usage": {"type": "object", "properties": {"total": {"type": "integer", "minimum": 0}}, "required": ["total"]}
    },
    "type": "object",
    "properties": {
        "id": {"type": "string", "minLength": 1},
        "when": {"type": ["integer", "null"]},
        "note": {"type": "string"},
        "usage": {"$ref": "#/$defs/usage"},
        "choices": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {"index": {"type": "integer"}, "finish": {"enum": ["stop", "length", None]}},
                "required": ["index", "finish"],
            },
        },
        "parts": {
            "type": "array",
            "items": {
                "oneOf": [
                    {
                        "properties": {"type": {"const": "text"}, "value": {"type": "string"}},
                        "required": ["type", "value"],
                    },
                    {
                        "properties": {"type": {"const": "count"}, "value": {"type": "integer"}},
                        "required": ["type", "value"],
                    },
                ]
            },
        },
    },
    "required": ["id", "usage", "choices"],
}


def problems(argument: str, body: Any, **options: bool) -> list[str]:  # noqa: ANN401 - any JSON value
    return list(Field(ROOT, argument, **options).problems(body))


# ---------------------------------------------------------------- presence and rule


@pytest.mark.parametrize(
    ("argument", "body", "expected"),
    [
        ("id", {"id": "a"}, []),
        ("id", {}, ["id is missing"]),
        ("id", {"id": 5}, ["id is 5"]),
        ("id", {"id": ""}, ['id is ""']),
        ("id", {"id": None}, ["id is null"]),
        ("when", {}, []),
        ("when", {"when": None}, []),
        ("when", {"when": "now"}, ['when is "now"']),
        ("when:present", {}, ["when is missing"]),
        ("when:present", {"when": "now"}, []),
        ("id:type", {}, []),
        ("id:type", {"id": 5}, ["id is 5"]),
        ("usage", {"usage": {}}, []),
        ("usage", {"usage": []}, ["usage is []"]),
        ("usage.total", {"usage": {}}, ["usage.total is missing"]),
        ("usage.total", {"usage": {"total": -1}}, ["usage.total is -1"]),
        ("usage.total", {"usage": {"total": True}}, ["usage.total is true"]),
        ("choices", {"choices": []}, ["choices is []"]),
        ("choices.index", {"choices": [{"index": 0}, {}, {"index": "1"}]}, ["choices[1].index is missing", 'choices[2].index is "1"']),
        ("choices.finish", {"choices": [{"finish": None}, {"finish": "eos"}]}, ['choices[1].finish is "eos"']),
    ],
)  # fmt: skip
def test_a_member_is_judged_by_its_presence_and_its_rule(argument: str, body: Json, expected: list[str]) -> None:
    assert problems(argument, body) == expected


@pytest.mark.parametrize("body", [{}, {"usage": 5}, {"usage": None}, {"usage": []}, [], 5, None, "text"])
def test_a_member_whose_parent_is_missing_is_the_parents_matter(body: Any) -> None:  # noqa: ANN401 - any JSON value
    assert problems("usage.total", body) == []


def test_a_parent_is_judged_without_its_children() -> None:
    assert problems("choices", {"choices": [{}, {"index": "x"}]}) == []


def test_an_array_is_judged_with_the_types_of_its_members() -> None:
    assert problems("choices", {"choices": [5, {}]}) == ["choices is [5, {}]"]


def test_the_branch_is_told_by_its_constant() -> None:
    parts = [{"type": "text", "value": "a"}, {"type": "count", "value": 1}, {"type": "count", "value": "a"}]

    assert problems("parts.value", {"parts": parts}) == ['parts[2].value is "a"']
    assert problems("parts.type", {"parts": [{"type": "other", "value": 1}, {"value": 1}]}) == [
        'parts[0].type is "other"',
        "parts[1].type is missing",
    ]


def test_where_null_is_absent_a_null_member_is_missing_or_optional_and_nothing_else() -> None:
    assert problems("id", {"id": None}, null_is_absent=True) == ["id is missing"]
    assert problems("note", {"note": None}, null_is_absent=True) == []
    assert problems("note", {"note": None}) == ["note is null"]


def test_the_expectation_names_the_member_and_its_rule() -> None:
    assert Field(ROOT, "usage.total").expectation == 'usage.total by the schema: {"type": "integer", "minimum": 0}'


# ---------------------------------------------------------------- every dialect

SCHEMAS = {"chat.field": "response", "stream.field": "chunk", "errors.field": "error", "models.field": "models"}


def fields(name: str) -> list[tuple[str, Field]]:
    dialect = dialects.load(name)
    ids = {check_id for row in dialect.requirements for check_id in row.checks}
    found = [(SCHEMAS[check], argument) for check, argument in map(split, sorted(ids)) if check in SCHEMAS and argument]
    return [(schema, Field.of(dialect, schema, argument)) for schema, argument in found]


@pytest.mark.parametrize("name", NAMES)
def test_every_field_that_a_row_names_is_in_its_schema(name: str) -> None:
    assert [f"{schema}: {'.'.join(f.path)}" for schema, f in fields(name) if f.expectation.endswith("schema: ")] == []


@pytest.mark.parametrize("name", NAMES)
@given(body=like_an_answer("message") | like_an_answer("delta") | anything)
def test_any_json_value_is_judged_without_a_crash(name: str, body: Any) -> None:  # noqa: ANN401 - any JSON value
    value = json.loads(json.dumps(body))
    for _, field in fields(name):
        assert all(isinstance(problem, str) for problem in field.problems(value))


@pytest.mark.parametrize("name", NAMES)
def test_the_printed_answers_of_a_dialect_have_no_problem_in_any_field(name: str) -> None:
    dialect = dialects.load(name)
    bodies = [
        (kind, json.loads(text))
        for kind in ("response", "error")
        for file, text in dialect.samples(kind)
        if file.endswith(".json")
    ]

    assert [
        problem
        for kind, body in bodies
        for schema, field in fields(name)
        if schema == kind
        for problem in field.problems(body)
    ] == []


# ---------------------------------------------------------------- shown


@given(anything)
def test_a_value_is_shown_on_one_short_line_of_ascii(value: Any) -> None:  # noqa: ANN401 - any JSON value
    text = shown(value)

    assert text.isascii()
    assert "\n" not in text
    assert len(text) < 120


def test_a_long_value_is_cut_with_its_length() -> None:
    assert shown("x" * 500) == '"' + "x" * 79 + "... (502 characters)"
