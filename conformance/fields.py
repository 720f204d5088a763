"""Judges one member of a body by the dialect's schema, shallowly: a missing child is the child's row, not the parent's.

An argument names the member: `choices.message.role`; with `:present` only that it is there, with `:type` only its rule
where it is there; else its presence where the schema requires it, and its rule.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

from conformance.schema import branches, resolve, types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dialects import Dialect

__all__ = ["Field", "shown"]

Json = dict[str, Any]
NESTING = ("properties", "required", "items", "additionalProperties", "propertyNames", "if", "then", "else", "contains")
SHOWN = 80
LONGEST_KEPT = 64  # a verdict on a longer text is not worth its memory: it will hardly come again
MOST_KEPT = 5000


@dataclass(frozen=True, slots=True)
class _Branch:
    """A branch of a node: its members, and which objects may be of it."""

    properties: Json
    required: frozenset[str]
    may_be_object: bool
    kind: Any

    @classmethod
    def of(cls, root: Json, node: Json) -> _Branch:
        """The branch that an opened node of the schema is."""
        properties = node.get("properties", {})
        kind = resolve(root, properties["type"]).get("const") if "type" in properties else None
        return cls(properties, frozenset(node.get("required", ())), not types(node) or "object" in types(node), kind)

    def fits(self, value: Json) -> bool:
        """Whether an object may be of this branch: told by the constants that tell branches apart."""
        return self.may_be_object and (self.kind is None or "type" not in value or value["type"] == self.kind)


@dataclass(slots=True)
class _Holders:
    """The branches that an object may be of, with what they say of the member on the way; `inner` is where the way goes on."""

    rules: list[Json]
    required: bool
    inner: _Level | None = None


class _Level:
    """A step of the way into the schema. Every answer goes the same ways, so what a step finds there is found once."""

    def __init__(self, field: Field, nodes: list[Json], depth: int) -> None:
        self._field, self._depth, self.step = field, depth, field.path[depth]
        self._branches = [_Branch.of(field.root, b) for node in nodes for b in field.opened(node)]
        self._known: dict[tuple[int, ...], _Holders] = {}
        plain = all(b.may_be_object and b.kind is None for b in self._branches)
        self._only = self._holders(tuple(range(len(self._branches)))) if plain else None

    def of(self, value: Json) -> _Holders:
        """What holds of an object here."""
        if self._only is not None:
            return self._only
        # A discriminator that fits no branch is its own row's failure; the other members are still judged.
        fitting = self._numbers(lambda b: b.fits(value)) or self._numbers(lambda b: bool(b.properties))
        return self._known.get(fitting) or self._holders(fitting)

    def _numbers(self, chosen: Callable[[_Branch], bool]) -> tuple[int, ...]:
        return tuple(number for number, branch in enumerate(self._branches) if chosen(branch))

    def _holders(self, fitting: tuple[int, ...]) -> _Holders:
        chosen = [self._branches[number] for number in fitting]
        rules = [b.properties[self.step] for b in chosen if self.step in b.properties]
        known = self._known[fitting] = _Holders(rules, any(self.step in b.required for b in chosen))
        if self._depth + 1 < len(self._field.path):
            known.inner = _Level(self._field, rules, self._depth + 1)
        return known


class Field:
    """A member of a schema and how it is judged. Raises KeyError for a member that the schema does not have."""

    def __init__(self, root: Json, argument: str, *, null_is_absent: bool = False) -> None:
        self.root, self.null_is_absent = root, null_is_absent
        path, _, self.mode = argument.partition(":")
        self.path = path.split(".")
        self._rules: dict[int, Draft202012Validator] = {}
        self._verdicts: dict[tuple[int, type, Any], bool] = {}

    @staticmethod
    @cache
    def of(dialect: Dialect, schema: str, argument: str) -> Field:
        """The field of one of the dialect's schemas; made once."""
        return Field(dialect.schemas[schema], argument, null_is_absent=dialect.response.null_is_absent)

    def problems(self, body: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
        """What is wrong with the member, wherever it stands in the body; nothing where its parent is missing."""
        yield from self._walk(body, self._top, "")

    @cached_property
    def _top(self) -> _Level:
        return _Level(self, [self.root], 0)

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
        for branch in self.opened(node):
            if step in branch.get("properties", {}):
                yield resolve(self.root, branch["properties"][step])

    def opened(self, node: Json) -> Iterator[Json]:
        """The branches of a node; of an array, those of its members."""
        for branch in branches(self.root, node):
            if "items" in branch and "properties" not in branch:
                yield from self.opened(branch["items"])
            else:
                yield branch

    def _walk(self, value: Any, level: _Level, where: str) -> Iterator[str]:  # noqa: ANN401 - any JSON value
        if isinstance(value, list):
            for position, member in enumerate(value):
                yield from self._walk(member, level, f"{where}[{position}]")
        elif isinstance(value, dict):
            holders, step = level.of(value), level.step
            place = f"{where}.{step}" if where else step
            if holders.inner is None:
                yield from self._leaf(value, holders, step, place)
            elif step in value:
                yield from self._walk(value[step], holders.inner, place)

    def _leaf(self, holder: Json, holders: _Holders, step: str, place: str) -> Iterator[str]:
        absent = step not in holder or (self.null_is_absent and holder[step] is None)
        if absent:
            if holders.rules and (holders.required or self.mode == "present") and self.mode != "type":
                yield f"{place} is missing"
        elif holders.rules and self.mode != "present" and not self._allowed(holders.rules, holder[step]):
            yield f"{place} is {shown(holder[step])}"

    def _allowed(self, rules: list[Json], value: Any) -> bool:  # noqa: ANN401 - any JSON value
        return any(self._satisfies(rule, value) for rule in rules)

    def _satisfies(self, rule: Json, value: Any) -> bool:  # noqa: ANN401 - any JSON value
        """Whether the value is as the rule says; of short values, which come in every answer, remembered."""
        if isinstance(value, dict | list) or (isinstance(value, str) and len(value) > LONGEST_KEPT):
            return self._validator(rule).is_valid(value)
        key = id(rule), type(value), value
        verdict = self._verdicts.get(key)
        if verdict is None:
            if len(self._verdicts) >= MOST_KEPT:
                self._verdicts.clear()
            verdict = self._verdicts[key] = self._validator(rule).is_valid(value)
        return verdict

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
