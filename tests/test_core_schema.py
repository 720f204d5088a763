"""Drawn values against the schemas they were drawn from: what should be accepted is valid, what should be refused is not."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import dialects
from conformance import bundles, values
from conformance.chat import Chat
from conformance.checks import test_request as request_checks
from conformance.profile import Profile
from conformance.registry import split
from conformance.schema import DELETE, Spot, branches, place, resolve, sample, spots, types, valid
from conformance.target import Target
from tests.dialect_facts import NAMES

if TYPE_CHECKING:
    from dialects import Dialect

Json = dict[str, Any]
# Rules that name values of which the schema says nothing: 0 and -1 for a token limit whose table has no minimum.
SILENT = ("nonpositive", "negative")


def chat_in(dialect: Dialect) -> Chat:
    """A chat that can build bodies and sends nothing."""
    return Chat(cast("Any", None), Target("http://127.0.0.1", "a-model"), dialect, Profile(), {})


def listed(dialect: Dialect, check: str) -> list[str]:
    """The arguments with which rows list this check."""
    ids = {check_id for row in dialect.requirements for check_id in row.checks}
    return sorted(argument or "" for name, argument in map(split, ids) if name == check)


def validator(dialect: Dialect) -> Draft202012Validator:
    return Draft202012Validator(dialect.schemas["request"], format_checker=Draft202012Validator.FORMAT_CHECKER)


def problems(dialect: Dialect, body: Json) -> list[str]:
    return [f"{list(e.absolute_path)}: {e.message[:200]}" for e in validator(dialect).iter_errors(body)]


def accepted_bodies(dialect: Dialect, argument: str) -> list[tuple[Spot, Any, Json]]:
    """(spot, value, body) of all that `request.accepts[argument]` asks for."""
    chat = chat_in(dialect)
    field, _, only = argument.partition("=")
    pairs = request_checks._documented(chat, field, only)
    return [(spot, value, place(dialect.schemas["request"], chat.body(), spot, value)) for spot, value in pairs]


def broken_bodies(dialect: Dialect, argument: str) -> tuple[Spot, list[Json]]:
    """The spot and the bodies of all that `request.rejects[argument]` asks for."""
    field, _, kind = argument.rpartition(":")
    return request_checks._breaking(chat_in(dialect), field, kind)


# ---------------------------------------------------------------- every row of every dialect


@pytest.mark.parametrize("name", NAMES)
def test_every_value_that_a_row_says_is_accepted_makes_a_valid_body(name: str) -> None:
    dialect = dialects.load(name)
    tried = {argument: accepted_bodies(dialect, argument) for argument in listed(dialect, "request.accepts")}

    assert {argument for argument, found in tried.items() if not found} == set()
    assert {a: wrong for a, found in tried.items() for *_, body in found if (wrong := problems(dialect, body))} == {}


@pytest.mark.parametrize("name", NAMES)
def test_every_value_that_a_row_says_is_refused_makes_an_invalid_body(name: str) -> None:
    dialect = dialects.load(name)
    tried = {a: broken_bodies(dialect, a)[1] for a in listed(dialect, "request.rejects")}

    assert {argument for argument, bodies in tried.items() if not bodies} == set()
    valid_ones = {a: b for a, bodies in tried.items() for b in bodies if not problems(dialect, b)}
    assert {a: b for a, b in valid_ones.items() if a.rpartition(":")[2] not in SILENT} == {}


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_body_is_wrong_at_the_named_field_only(name: str) -> None:
    dialect = dialects.load(name)
    for argument in listed(dialect, "request.rejects"):
        spot, bodies = broken_bodies(dialect, argument)
        for body in bodies:
            tops = {e.absolute_path[0] if e.absolute_path else None for e in validator(dialect).iter_errors(body)}
            allowed = {spot.path[0]} | ({None} if argument.endswith(":missing") else set())
            assert tops <= allowed, f"{argument}: {body}"


@pytest.mark.parametrize("name", NAMES)
def test_a_row_on_undefined_values_has_values_to_try(name: str) -> None:
    dialect = dialects.load(name)
    chat = chat_in(dialect)
    fields = listed(dialect, "request.undefined-values")

    assert [f for f in fields if not any(s.rule.get("x-silent") for s in request_checks._own(chat, f)[:1])] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_request_as_the_suite_builds_it_is_valid(name: str) -> None:
    dialect = dialects.load(name)
    chat = chat_in(dialect)

    assert problems(dialect, chat.body()) == []
    assert problems(dialect, chat.body(request_checks.MULTI_TURN)) == []


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(data=st.data())
def test_drawn_bodies_are_valid(name: str, data: st.DataObject) -> None:
    dialect = dialects.load(name)

    assert problems(dialect, data.draw(bundles.bodies(chat_in(dialect)))) == []


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_drawn_values_of_a_field_are_valid(name: str, data: st.DataObject) -> None:
    dialect = dialects.load(name)
    root = dialect.schemas["request"]
    field = data.draw(st.sampled_from(sorted(root["properties"])))
    for spot in spots(root, field)[:1]:
        drawn = values.strategy(spot)
        if drawn is not None:
            assert problems(dialect, place(root, chat_in(dialect).body(), spot, data.draw(drawn))) == []


# ---------------------------------------------------------------- values that a body holds


def holds(body: Any, path: tuple[str, ...], value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether the value stands at the path of some member; as JSON, in which 1 is not true."""
    if not path:
        return json.dumps(body, sort_keys=True) == json.dumps(value, sort_keys=True)
    if isinstance(body, list):
        return any(holds(member, path, value) for member in body)
    return isinstance(body, dict) and path[0] in body and holds(body[path[0]], path[1:], value)


@pytest.mark.parametrize("name", NAMES)
def test_an_accepted_value_stands_in_its_body_as_it_was_drawn(name: str) -> None:
    dialect = dialects.load(name)
    found = [(a, *one) for a in listed(dialect, "request.accepts") for one in accepted_bodies(dialect, a)]

    assert [(a, value) for a, spot, value, body in found if not holds(body, spot.path, value)] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_value_stands_in_its_body_as_it_was_made(name: str) -> None:
    dialect = dialects.load(name)
    root, chat = dialect.schemas["request"], chat_in(dialect)
    for argument in listed(dialect, "request.rejects"):
        field, _, kind = argument.rpartition(":")
        for spot in request_checks._own(chat, field):
            for value in values.broken(root, spot, kind):
                body = place(root, chat.body(), spot, value)
                assert value is DELETE or holds(body, spot.path, value), f"{argument}: {value}"


# ---------------------------------------------------------------- a small schema

ROOT: Json = {
    "$defs": {"name": {"type": "string", "minLength": 1, "maxLength": 3}},
    "properties": {
        "model": {"type": "string"},
        "messages": {
            "type": "array",
            "items": {
                "oneOf": [
                    {
                        "properties": {"role": {"const": "user"}, "content": {"type": "string"}},
                        "required": ["role", "content"],
                    },
                    {
                        "properties": {"role": {"const": "system"}, "name": {"$ref": "#/$defs/name"}},
                        "required": ["role"],
                    },
                ]
            },
        },
        "on": {"type": "boolean"},
        "count": {"type": ["integer", "null"], "minimum": 1, "maximum": 8, "x-try": {"maximum": 4}},
        "share": {"type": "number", "minimum": 0, "maximum": 2, "x-with": {"on": True}},
        "kind": {"enum": ["a", "b"]},
        "extra": {"type": "object", "properties": {"deep": {"type": "boolean"}}, "required": ["deep"]},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/name"}, "minItems": 1, "maxItems": 2},
    },
    "required": ["model", "messages"],
}
BASE: Json = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def only(field: str) -> Spot:
    (spot,) = spots(ROOT, field)
    return spot


def offered(field: str) -> list[Any]:
    return [value for _, value in values.accepted(ROOT, only(field))]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("on", [True, False]),
        ("count", [1, 4, None]),
        ("share", [0, 2, 1.0]),
        ("kind", ["a", "b"]),
        ("tags", [["Hel"], ["Hel", "Hel"]]),
    ],
)
def test_bounds_enumerations_nulls_and_branches_are_offered(field: str, expected: list[Any]) -> None:
    assert repr(offered(field)) == repr(expected)
    assert all(valid(ROOT, only(field).rule, value) for value in offered(field))


@pytest.mark.parametrize(
    ("field", "rule", "expected"),
    [
        ("count", "range", [0, 9]),
        ("share", "range", [-0.01, 2.01]),
        ("count", "fraction", [1.5]),
        ("on", "lax", ["true", 1]),
        ("count", "lax", ["5", True]),
        ("messages.content", "missing", [DELETE]),
        ("kind", "enum", ["no-such-value"]),
    ],
)
def test_a_broken_value_is_just_past_the_rule(field: str, rule: str, expected: list[Any]) -> None:
    assert repr(values.broken(ROOT, only(field), rule)) == repr(expected)


def test_a_rule_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(KeyError):
        values.broken(ROOT, only("count"), "mood")


def test_what_must_stand_beside_a_value_is_put_there() -> None:
    assert place(ROOT, BASE, only("share"), 1) == {**BASE, "on": True, "share": 1}


def test_a_field_of_a_branch_goes_into_a_member_of_that_branch() -> None:
    body = place(ROOT, BASE, only("messages.name"), "abc")

    assert body["messages"] == [{"role": "system", "name": "abc"}, {"role": "user", "content": "Hi"}]


def test_a_deep_field_gets_the_object_around_it() -> None:
    assert place(ROOT, BASE, only("extra.deep"), 5) == {**BASE, "extra": {"deep": 5}}


def test_placing_changes_no_body_and_no_value_of_the_caller() -> None:
    base, value = copy.deepcopy(BASE), ["abc"]
    body = place(ROOT, base, only("tags"), value)
    body["tags"].append("x")
    body["messages"][0]["content"] = "changed"

    assert base == BASE
    assert value == ["abc"]


def test_a_value_that_equals_another_only_in_python_is_placed_all_the_same() -> None:
    base = {**BASE, "on": True}

    assert repr(place(ROOT, base, only("on"), 1)["on"]) == "1"


def test_a_missing_member_is_missing() -> None:
    assert place(ROOT, BASE, only("messages.content"), DELETE)["messages"] == [{"role": "user"}]
    assert place(ROOT, BASE, only("model"), DELETE) == {"messages": BASE["messages"]}


def test_a_field_that_the_schema_lacks_has_no_spot() -> None:
    assert spots(ROOT, "nothing") == []
    assert spots(ROOT, "model.deeper") == []


def test_annotations_are_inherited_on_the_way_down() -> None:
    root = {
        "properties": {
            "tools": {
                "x-needs": "tools",
                "items": {
                    "anyOf": [
                        {"properties": {"a": {"type": "string"}}, "x-tier": "extended"},
                        {"properties": {"a": {"type": "string", "x-needs": "vision"}}},
                    ]
                },
            }
        }
    }

    assert [(s.tier, set(s.needs)) for s in spots(root, "tools.a")] == [
        ("extended", {"tools"}),
        ("seed", {"tools", "vision"}),
    ]


def test_references_are_followed_and_members_beside_them_stay() -> None:
    assert resolve(ROOT, {"$ref": "#/$defs/name", "maxLength": 9}) == {"type": "string", "minLength": 1, "maxLength": 9}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"type": "string"}, ("string",)),
        ({"type": ["integer", "null"]}, ("integer", "null")),
        ({"const": True}, ("boolean",)),
        ({"enum": ["a", 1, None]}, ("string", "integer", "null")),
        ({"properties": {}}, ("object",)),
        ({"items": {}}, ("array",)),
        ({}, ()),
    ],
)
def test_the_types_of_a_node_are_told_by_what_it_has(node: Json, expected: tuple[str, ...]) -> None:
    assert types(node) == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_of_any_property_of_a_dialect_is_valid(name: str) -> None:
    root = dialects.load(name).schemas["request"]
    wrong = {
        field: sample(root, rule)
        for field, rule in root["properties"].items()
        if not any(valid(root, branch, sample(root, rule)) for branch in branches(root, rule))
    }

    assert wrong == {}
