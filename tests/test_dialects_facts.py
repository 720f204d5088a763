"""The facts of every known dialect agree with its document and with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

import dialects
from tests.dialect_facts import (
    COPIED_WORDS,
    NAMES,
    Member,
    arguments,
    branches,
    by_path,
    document,
    every_dialect,
    fields,
    leaves,
    named_lines,
    own,
    places,
    plain,
    runs,
)

if TYPE_CHECKING:
    from tests.dialect_facts import Json

RULES = {
    "missing", "type", "fraction", "lax", "null", "range", "items", "enum", "format",
    "empty", "length", "values", "nonpositive", "negative", "pattern",
}  # fmt: skip
VALUES = ("items", "additionalProperties", "propertyNames")


# ---------------------------------------------------------------- rows


@every_dialect
def test_a_known_dialect_loads_under_its_own_name(name: str) -> None:
    dialect = dialects.load(name)

    assert name == dialect.id
    assert dialects.load(dialect.folder) is dialect


@every_dialect
def test_the_ids_of_a_dialect_share_one_prefix_and_tell_their_tier(name: str) -> None:
    rows = own(dialects.load(name))

    assert len({row.id.split("-")[0] for row in rows}) == 1
    assert [row.id for row in rows if ("-E" in row.id) != (row.tier == "extended")] == []


def test_no_two_dialects_share_an_id() -> None:
    ids = [row.id for name in NAMES for row in own(dialects.load(name))]

    assert sorted(set(ids)) == sorted(ids)


@every_dialect
def test_every_word_stands_in_the_lines_that_the_row_names(name: str) -> None:
    dialect = dialects.load(name)
    page = document(dialect)
    lost = [(row.id, word) for row in places(dialect) for word in row.place.words if word not in named_lines(row, page)]

    assert lost == []


@every_dialect
def test_every_seed_row_names_lines_and_words_of_its_page(name: str) -> None:
    dialect = dialects.load(name)
    page = document(dialect)
    seed = [row for row in own(dialect) if row.tier == "seed"]

    assert [row.id for row in seed if not row.place.words or not row.place.lines] == []
    assert [row.id for row in seed for first, last in row.place.lines if not 0 < first <= last <= len(page)] == []


@every_dialect
def test_every_heading_stands_in_the_page(name: str) -> None:
    dialect = dialects.load(name)
    headings = {plain(line) for line in document(dialect)}

    assert [(row.id, row.place.heading) for row in places(dialect) if row.place.heading not in {*headings, ""}] == []


@every_dialect
def test_a_row_says_it_in_our_own_words(name: str) -> None:
    dialect = dialects.load(name)
    page = runs("\n".join(document(dialect)), COPIED_WORDS)

    assert [row.id for row in own(dialect) if runs(row.says, COPIED_WORDS) & page] == []


@every_dialect
def test_a_row_outside_the_page_names_its_source(name: str) -> None:
    dialect = dialects.load(name)
    rows = [row for row in own(dialect) if row.tier == "extended"]

    assert [row.id for row in rows if row.place.source in {"", dialect.document} or row.place.lines] == []


@every_dialect
def test_no_row_lists_a_check_twice(name: str) -> None:
    assert [row.id for row in own(dialects.load(name)) if len(set(row.checks)) != len(row.checks)] == []


# ---------------------------------------------------------------- rows and schemas


@every_dialect
def test_every_request_field_is_accepted_by_some_row(name: str) -> None:
    dialect = dialects.load(name)
    declared = set(by_path(dialect.schemas["request"]))
    listed = fields(own(dialect), "request.accepts")

    assert sorted(declared - listed) == []
    assert sorted(listed - declared) == []


@every_dialect
def test_every_refusal_breaks_a_rule_that_the_request_schema_has(name: str) -> None:
    dialect = dialects.load(name)
    schema = dialect.schemas["request"]
    declared = by_path(schema)
    broken = []
    for argument in sorted(arguments(own(dialect), "request.rejects")):
        field, _, rule = argument.rpartition(":")
        if rule not in RULES or field not in declared or not has_rule(rule, declared[field], schema):
            broken.append(argument)

    assert broken == []


def has_rule(rule: str, found: list[Member], root: Json) -> bool:
    parts = leaves(found, root)
    values = [part for leaf in parts for key in VALUES for part in branches(as_schema(leaf.get(key)), root)]
    types = {kind for part in parts for kind in listed(part.get("type"))}
    keywords = {
        "range": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
        "items": {"minItems", "maxItems", "minProperties", "maxProperties"},
        "enum": {"enum", "const"},
        "format": {"format"},
        "empty": {"minLength"},
        "length": {"maxLength"},
        "pattern": {"pattern"},
        "values": {"items", "additionalProperties"},
    }
    if rule in keywords:
        return any(keywords[rule] & set(part) for part in [*parts, *values])
    if rule == "missing":
        return any(member.required for member in found)
    if rule == "null":
        return any(not nullable(member, root) for member in found)
    if rule in {"fraction", "nonpositive", "negative"}:
        return "integer" in types
    if rule == "lax":
        return bool(types & {"integer", "number", "boolean"})
    return rule == "type"


def nullable(member: Member, root: Json) -> bool:
    """Whether null is allowed there with nothing special beside it."""
    return any("null" in listed(part.get("type")) for part in leaves([member], root) if "x-with" not in part)


def as_schema(value: Json | bool | None) -> Json:  # noqa: FBT001  a schema may be a boolean
    return value if isinstance(value, dict) else {}


def listed(kinds: str | list[str] | None) -> list[str]:
    return [] if kinds is None else [kinds] if isinstance(kinds, str) else kinds


@every_dialect
@pytest.mark.parametrize(
    ("check", "schema"),
    [
        ("chat.field", "response"),
        ("stream.field", "chunk"),
        ("errors.field", "error"),
        ("models.field", "models"),
    ],
)
def test_rows_and_answer_schemas_name_the_same_paths(name: str, check: str, schema: str) -> None:
    dialect = dialects.load(name)
    declared = set(by_path(dialect.schemas.get(schema, {})))
    rows = fields(own(dialect), check)

    assert sorted(rows - declared) == []
    assert sorted(declared - rows) == []


@every_dialect
def test_values_about_which_the_page_is_silent_are_tried(name: str) -> None:
    dialect = dialects.load(name)
    declared = by_path(dialect.schemas["request"])
    silent = {path for path, found in declared.items() if any("x-silent" in member.rule for member in found)}

    assert silent == fields(own(dialect), "request.undefined-values")


@every_dialect
def test_values_to_try_are_valid(name: str) -> None:
    schema = dialects.load(name).schemas["request"]
    wrong = []
    for path, found in by_path(schema).items():
        for leaf in leaves(found, schema):
            judge = Draft202012Validator({**leaf, "$defs": schema.get("$defs", {})})
            wrong += [(path, value) for value in leaf.get("x-try", {}).get("values", []) if not judge.is_valid(value)]

    assert wrong == []


@every_dialect
def test_surroundings_of_a_value_make_a_valid_request(name: str) -> None:
    schema = dialects.load(name).schemas["request"]
    least = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    judge = Draft202012Validator(schema)
    around = [
        {**least, **leaf["x-with"]}
        for found in by_path(schema).values()
        for leaf in leaves(found, schema)
        if "x-with" in leaf
    ]

    assert [body for body in around if not judge.is_valid(body)] == []


@every_dialect
def test_documented_defaults_are_valid_values(name: str) -> None:
    dialect = dialects.load(name)
    schema = dialect.schemas["request"]
    declared = schema["properties"]

    assert sorted(set(dialect.request.defaults) - set(declared)) == []
    for field, default in dialect.request.defaults.items():
        Draft202012Validator({**declared[field], "$defs": schema.get("$defs", {})}).validate(default)
        assert declared[field].get("default", default) == default


@every_dialect
def test_token_limits_are_fields(name: str) -> None:
    dialect = dialects.load(name)

    assert [field for field in dialect.request.token_limits if not dialect.documents(field)] == []


@every_dialect
def test_causes_named_by_rows_are_facts_of_the_dialect(name: str) -> None:
    dialect = dialects.load(name)
    rows = own(dialect)
    statuses = fields(rows, "errors.status")
    types = fields(rows, "errors.type")
    codes = fields(rows, "errors.code")

    assert [cause for cause in statuses | types | codes if dialect.cause(cause) is None] == []
    assert [cause for cause in types if (found := dialect.cause(cause)) and found.type is None] == []
    assert [cause for cause in codes if (found := dialect.cause(cause)) and found.code is None] == []


@every_dialect
def test_every_chat_path_is_asked(name: str) -> None:
    dialect = dialects.load(name)

    assert arguments(own(dialect), "service.chat-answers") == set(dialect.paths.chat)


@every_dialect
def test_error_bodies_have_the_form_that_the_facts_name(name: str) -> None:
    dialect = dialects.load(name)
    schema = dialect.schemas["error"]
    form = {"text": schema.get("type"), "string": error_of(schema).get("type"), "object": error_of(schema).get("type")}

    documented = form[dialect.errors.body]
    kinds = documented if isinstance(documented, list) else [documented]
    assert {"text": "string", "string": "string", "object": "object"}[dialect.errors.body] in kinds


def error_of(schema: Json) -> Json:
    rule: Json = schema.get("properties", {}).get("error", {})
    return rule
