"""Judges one member of a body by the dialect's schema, shallowly: a missing child is the child's row, not the parent's.

An argument names the member: `choices.message.role`; with `:present` only that it is there, with `:type` only its rule
where it is there; else its presence where the schema requires it, and its rule.
"""

from __future__ import annotations

import json
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from conformance.schema import branches, resolve, types

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dialects import Dialect

__all__ = ["Field", "shown"]

Json = dict[str, Any]
NESTING = ("properties", "required", "items", "additionalProperties", "propertyNames", "if", "then", "else", "contains")
SHOWN = 80


class Field:
    """A member of a schema and how it is judged. Raises KeyError for a member that the schema does not have."""

    def __init__(self, root: Json, argument: str, *, null_is_absent: bool = False) -> None:
        self.root, self.null_is_absent = root, null_is_absent
        path, _, self.mode = argument.partition(":")
        self.path = path.split(".")
        self._rules: dict[int, Draft202012Validator] = {}

    @staticmethod
    @cache
    def of(dialect: Dialect, schema: str, argument: str) -> Field:
        """The field of one of the dialect's schemas; made once."""
        return Field(dialect.schemas[schema], argument, null_is_absent=dialect.response.null_is_absent)

    def problems(self, body: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
        """What is wrong with the member, wherever it stands in the body; nothing where its parent is missing."""
        yield from self._walk(body, [self.root], self.path, "")

    @cached_property
    def expectation(self) -> str:
        """What the schema says of the member, for people."""
        rules = [self._shallow(rule) for rule in self._leaf_rules()]
        kinds = sorted(
            {
                json.dumps({k: v for k, v in r.items() if k not in ("description", "$comment", "deprecated")})
                for r in rules
            }
        )
        verb = "present" if self.mode == "present" else "by the schema"
        return f"{'.'.join(self.path)} {verb}: {' or '.join(kinds)[:300]}"

    def _leaf_rules(self) -> Iterator[Json]:
        nodes = [self.root]
        for step in self.path:
            nodes = [rule for node in nodes for rule in self._properties(node, step)]
        yield from nodes

    def _properties(self, node: Json, step: str) -> Iterator[Json]:
        for branch in self._opened(node):
            if step in branch.get("properties", {}):
                yield resolve(self.root, branch["properties"][step])

    def _opened(self, node: Json) -> Iterator[Json]:
        """The branches of a node; of an array, those of its members."""
        for branch in branches(self.root, node):
            if "items" in branch and "properties" not in branch:
                yield from self._opened(branch["items"])
            else:
                yield branch

    def _walk(self, value: Any, nodes: list[Json], steps: list[str], where: str) -> Iterator[str]:  # noqa: ANN401 - JSON
        if isinstance(value, list):
            for position, member in enumerate(value):
                yield from self._walk(member, nodes, steps, f"{where}[{position}]")
            return
        if not isinstance(value, dict):
            return
        opened = [b for node in nodes for b in self._opened(node)]
        # A discriminator that fits no branch is its own row's failure; the other members are still judged.
        holders = [b for b in opened if _fits(self.root, b, value)] or [b for b in opened if "properties" in b]
        step, rest = steps[0], steps[1:]
        place = f"{where}.{step}" if where else step
        if rest:
            inner = [b["properties"][step] for b in holders if step in b.get("properties", {})]
            yield from self._walk(value.get(step), inner, rest, place)
        else:
            yield from self._leaf(value, holders, step, place)

    def _leaf(self, holder: Json, holders: list[Json], step: str, place: str) -> Iterator[str]:
        rules = [b["properties"][step] for b in holders if step in b.get("properties", {})]
        absent = step not in holder or (self.null_is_absent and holder[step] is None)
        if absent:
            required = self.mode == "present" or any(step in b.get("required", ()) for b in holders)
            if rules and required and self.mode != "type":
                yield f"{place} is missing"
        elif (
            rules and self.mode != "present" and not any(self._validator(rule).is_valid(holder[step]) for rule in rules)
        ):
            yield f"{place} is {shown(holder[step])}"

    def _validator(self, rule: Json) -> Draft202012Validator:
        key = id(rule)
        if key not in self._rules:
            self._rules[key] = Draft202012Validator(
                self._shallow(rule), format_checker=Draft202012Validator.FORMAT_CHECKER
            )
        return self._rules[key]

    def _shallow(self, rule: Json) -> Json:
        """The rule without what it says of members, but for the types that an array's may have."""
        rule = resolve(self.root, rule)
        kept = {k: v for k, v in rule.items() if k not in NESTING and not k.startswith("x-")}
        for key in ("anyOf", "oneOf"):
            if key in kept:
                kept["anyOf"] = [self._shallow(option) for option in kept.pop(key)]
        if "type" not in kept and "properties" in rule:
            kept["type"] = "object"
        members = types(resolve(self.root, rule["items"])) if "items" in rule else ()
        return kept | {"items": {"type": sorted(members)}} if members else kept


def shown(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """A value as JSON, short."""
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"


def _fits(root: Json, branch: Json, value: Json) -> bool:
    """Whether an object may be of this branch: told by the constants that tell branches apart."""
    if types(branch) and "object" not in types(branch):
        return False
    for name, rule in branch.get("properties", {}).items():
        constant = resolve(root, rule).get("const")
        if name == "type" and constant is not None and name in value and value[name] != constant:
            return False
    return True
