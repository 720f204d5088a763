"""The shelf of facts agrees with the documents, with itself and with its samples, for every known dialect."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

import dialects
from dialects import Dialect, Requirement

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

SEEDS = Path(__file__).parents[2] / "shared" / "seeds"
NAMES = dialects.known()
RULES = {
    "missing", "type", "fraction", "lax", "null", "range", "items", "enum", "format",
    "empty", "length", "values", "nonpositive", "pattern",
}  # fmt: skip
KINDS = {"request": "request", "response": "response", "stream": "chunk", "error": "error"}
COPIED_WORDS = 8
IN_PLACE = ("anyOf", "oneOf", "allOf")
VALUES = ("items", "additionalProperties", "propertyNames")
COMBINED = (*IN_PLACE, "then", "else")

every_dialect = pytest.mark.parametrize("name", NAMES)


# ---------------------------------------------------------------- how the tests read schemas, rows and documents


@dataclass(frozen=True)
class Member:
    """One place in a schema where a property is declared."""

    path: str
    rule: Json
    required: bool


def branches(schema: Json, root: Json, keys: tuple[str, ...] = COMBINED, seen: tuple[str, ...] = ()) -> Iterator[Json]:
    """The schema and all that it combines in the same place, references followed."""
    if (reference := schema.get("$ref")) in seen:
        return
    yield schema
    if reference:
        target = root
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
        yield from branches(target, root, keys, (*seen, reference))
    for key in keys:
        parts = schema.get(key, [])
        for part in parts if isinstance(parts, list) else [parts]:
            yield from branches(part, root, keys, seen)


def members(schema: Json, root: Json, path: str = "", depth: int = 8) -> Iterator[Member]:
    """Every declared property, arrays passed silently."""
    if not depth:
        return
    for branch in branches(schema, root):
        for key, rule in branch.get("properties", {}).items():
            yield Member(f"{path}{key}", rule, key in branch.get("required", []))
            yield from members(rule, root, f"{path}{key}.", depth - 1)
        if "items" in branch:
            yield from members(branch["items"], root, path, depth - 1)


def by_path(schema: Json) -> dict[str, list[Member]]:
    found: dict[str, list[Member]] = {}
    for member in members(schema, schema):
        found.setdefault(member.path, []).append(member)
    return found


def leaves(found: list[Member], root: Json) -> list[Json]:
    return [leaf for member in found for leaf in branches(member.rule, root, IN_PLACE)]


def own(dialect: Dialect) -> list[Requirement]:
    return [row for row in dialect.requirements if row.tier != "common"]


def arguments(rows: list[Requirement], check: str) -> set[str]:
    """The bracketed arguments with which rows list a check."""
    matches = (re.fullmatch(re.escape(check) + r"\[(.+)\]", listed) for row in rows for listed in row.checks)
    return {match.group(1) for match in matches if match}


def fields(rows: list[Requirement], check: str) -> set[str]:
    """The same, without a value or a part behind the field's path."""
    return {re.split("[=:]", argument)[0] for argument in arguments(rows, check)}


def document(dialect: Dialect) -> list[str]:
    if not dialect.document.endswith(".txt"):
        pytest.skip(f"{dialect.id} is not described by a seed page")
    if not SEEDS.is_dir():
        pytest.skip("the seed pages are not on this machine")
    return (SEEDS / dialect.document).read_text(encoding="utf-8").split("\n")


def places(dialect: Dialect) -> list[Requirement]:
    return [row for row in own(dialect) if row.tier == "seed" and row.place.source == dialect.document]


def named_lines(row: Requirement, page: list[str]) -> str:
    return "\n".join(line for first, last in row.place.lines for line in page[first - 1 : last])


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def runs(text: str, length: int) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[i : i + length]) for i in range(len(found) - length + 1)}


def plain(line: str) -> str:
    return line.strip("#>* `").removeprefix("title:").strip(" \"'")


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
    if rule in {"fraction", "nonpositive"}:
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

    assert form[dialect.errors.body] == {"text": "string", "string": "string", "object": "object"}[dialect.errors.body]


def error_of(schema: Json) -> Json:
    rule: Json = schema.get("properties", {}).get("error", {})
    return rule


# ---------------------------------------------------------------- samples


@every_dialect
def test_samples_keep_the_rules_that_their_page_keeps(name: str) -> None:
    dialect = dialects.load(name)
    deviations = dialect.deviations()
    broken = {path.name: sorted(breaches(dialect, path)) for path in samples(dialect)}

    assert {sample: found for sample, found in broken.items() if found} == {
        sample: [breaks] for sample, breaks in deviations.items()
    }


@every_dialect
def test_there_is_a_sample_of_a_request_an_answer_and_a_refusal(name: str) -> None:
    kinds = {path.name.split("-")[0] for path in samples(dialects.load(name))}

    assert {"request", "response", "error"} <= kinds <= set(KINDS)


@every_dialect
def test_a_deviation_is_explained(name: str) -> None:
    folder = dialects.load(name).folder / "samples"
    path = folder / "deviations.toml"
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["deviation"] if path.is_file() else []

    for row in rows:
        assert {"sample", "breaks", "reason", "place"} == set(row)
        assert (folder / row["sample"]).is_file()
        assert len(words(row["reason"])) > COPIED_WORDS
        assert row["place"]


@every_dialect
def test_samples_hold_our_own_sentences(name: str) -> None:
    dialect = dialects.load(name)
    page = "\n".join(document(dialect))
    spoken = [text for path in samples(dialect) for text in sentences(path.read_text(encoding="utf-8"))]

    assert [text for text in spoken if text in page] == []


def samples(dialect: Dialect) -> list[Path]:
    return sorted(path for path in (dialect.folder / "samples").iterdir() if path.suffix in {".json", ".txt"})


def breaches(dialect: Dialect, path: Path) -> set[str]:
    """Which rules a sample breaks: the name of its schema, or framing."""
    kind = KINDS[path.name.split("-")[0]]
    text = path.read_text(encoding="utf-8")
    judge = Draft202012Validator(dialect.schemas[kind])
    if kind == "chunk":
        payloads, framed = events(text, done=dialect.stream.done)
        return ({"chunk"} if not all(map(judge.is_valid, payloads)) else set()) | (set() if framed else {"framing"})
    value = text.strip("\n") if path.suffix == ".txt" else json.loads(text)
    return set() if judge.is_valid(value) else {kind}


def events(text: str, *, done: bool) -> tuple[list[Any], bool]:
    """The JSON payloads of a printed stream, and whether a blank line ends each of its events."""
    blocks = text.split("\n\n")
    lines = [line for line in text.split("\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    payloads = [line.removeprefix("data: ") for line in lines]
    assert done == (payloads[-1] == "[DONE]")
    framed = [block.strip("\n") for block in blocks if block.strip("\n")] == lines and text.endswith("\n\n")
    return [json.loads(payload) for payload in payloads if payload != "[DONE]"], framed


def sentences(text: str) -> list[str]:
    """The quoted texts of a sample that are long enough to have been copied."""
    return [quoted for quoted in re.findall(r'"((?:[^"\\]|\\.)*)"', text) if quoted.count(" ") > 1]
