"""How the tests of the facts read schemas, rows and documents."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import dialects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dialects import Dialect, Requirement

Json = dict[str, Any]

SEEDS = Path(__file__).parents[2] / "shared" / "seeds"
NAMES = dialects.known()
COPIED_WORDS = 8
IN_PLACE = ("anyOf", "oneOf", "allOf")
COMBINED = (*IN_PLACE, "then", "else")

every_dialect = pytest.mark.parametrize("name", NAMES)


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
