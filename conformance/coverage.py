"""Constraint coverage: which documented fields, enumeration values, nulls and bounds of the request a run has exercised.

A mark names one of them: `field:top_p`, `enum:stop=...`, `null:stop`, `bound:top_p>=0`. A bound is exercised by a value on it
or just past it. Marks are taken from the bodies that were sent and answered; what the target is not said to offer is left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conformance.schema import branches, resolve, types

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.profile import Profile
    from dialects import Dialect

__all__ = ["Coverage"]

Json = dict[str, Any]
KINDS = ("field", "enum", "null", "bound")
SIZES = {"minItems": ">=", "maxItems": "<=", "minLength": ">=", "maxLength": "<=", "maxProperties": "<="}
DEEP = 8
STEP = 1.0
CLOSE = 0.011


@dataclass
class Coverage:
    """The marks of one dialect's request schema, and those that were hit."""

    dialect: Dialect
    profile: Profile
    hit: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.root: Json = self.dialect.schemas["request"]
        self.marks = frozenset(_marks(self.root, self.root, "", self.profile, DEEP))

    def see(self, body: Any) -> set[str]:  # noqa: ANN401 - any JSON value
        """Take the marks of a body that was sent; the new ones."""
        new = (set(_hits(self.root, [self.root], "", body)) & self.marks) - self.hit
        self.hit |= new
        return new

    def missing(self) -> list[str]:
        """The marks that nothing hit."""
        return sorted(self.marks - self.hit)

    def counts(self) -> dict[str, tuple[int, int]]:
        """(hit, all) for each kind of mark."""
        return {k: (_count(self.hit & self.marks, k), _count(self.marks, k)) for k in KINDS}

    def line(self) -> str:
        """The coverage in one line."""
        return ", ".join(f"{kind}s {hit}/{total}" for kind, (hit, total) in self.counts().items())

    def document(self) -> Json:
        """The coverage as JSON: counts by kind and the marks that are missing."""
        return {
            "dialect": self.dialect.id,
            "counts": {kind: {"hit": hit, "of": total} for kind, (hit, total) in self.counts().items()},
            "missing": self.missing(),
        }


def _count(marks: frozenset[str] | set[str], kind: str) -> int:
    return sum(mark.startswith(f"{kind}:") for mark in marks)


def _marks(root: Json, node: Json, path: str, profile: Profile, depth: int) -> Iterator[str]:
    """Every mark of a node, as far as its document's own tier and the target's offers go."""
    if depth == 0:
        return
    for branch in branches(root, node):
        if branch.get("x-tier", "seed") != "seed" or not _offered(branch, profile):
            continue
        if path:
            yield from _own_marks(branch, path)
        if isinstance(branch.get("items"), dict):
            yield from _marks(root, branch["items"], path, profile, depth - 1)
        for name, rule in branch.get("properties", {}).items():
            inner = resolve(root, rule)
            if inner.get("x-tier", "seed") == "seed" and _offered(inner, profile):
                deeper = f"{path}.{name}" if path else name
                yield f"field:{deeper}"
                yield from _marks(root, inner, deeper, profile, depth - 1)


def _offered(node: Json, profile: Profile) -> bool:
    return "x-needs" not in node or profile.offers(node["x-needs"]) is True


def _own_marks(branch: Json, path: str) -> Iterator[str]:
    if "null" in types(branch):
        yield f"null:{path}"
    listed = branch.get("enum", [branch["const"]] if "const" in branch else [])
    tried = branch.get("x-try", {}).get("values", listed)  # the rest is legal for some accounts or models only
    for value in listed:
        if value is not None and value in tried:
            yield f"enum:{path}={json.dumps(value)}"
    for name, sign in (("minimum", ">="), ("maximum", "<=")):
        if name in branch:
            yield f"bound:{path}{sign}{branch[name]}"
    for name, sign in SIZES.items():
        if branch.get(name):
            yield f"bound:len({path}){sign}{branch[name]}"


def _hits(root: Json, nodes: list[Json], path: str, value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    """The marks that a value sets, whatever branch it was meant for."""
    opened = [branch for node in nodes for branch in branches(root, node)]
    if path:
        for branch in opened:
            yield from _own_hits(branch, path, value)
    if isinstance(value, list):
        items = [b["items"] for b in opened if isinstance(b.get("items"), dict)]
        for member in value[:DEEP]:
            yield from _hits(root, items, path, member)
    if isinstance(value, dict):
        for name, member in value.items():
            rules = [b["properties"][name] for b in opened if name in b.get("properties", {})]
            if rules:
                deeper = f"{path}.{name}" if path else name
                yield f"field:{deeper}"
                yield from _hits(root, rules, deeper, member)


def _own_hits(branch: Json, path: str, value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    if value is None:
        yield f"null:{path}"
    elif isinstance(value, str | bool):
        yield f"enum:{path}={json.dumps(value)}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        for name, sign in (("minimum", ">="), ("maximum", "<=")):
            if name in branch and _near(value, branch[name], types(branch)):
                yield f"bound:{path}{sign}{branch[name]}"
    if isinstance(value, str | list | dict):
        for name, sign in SIZES.items():
            if branch.get(name) and abs(len(value) - branch[name]) <= STEP:
                yield f"bound:len({path}){sign}{branch[name]}"


def _near(value: float, bound: float, kinds: tuple[str, ...]) -> bool:
    """Whether a number lies on a bound or one step past it; past huge bounds a step is lost in the float."""
    if abs(bound) >= 2**53:
        return value == bound or (abs(value) > abs(bound) and (value > 0) == (bound > 0))
    return abs(value - bound) <= (STEP if "integer" in kinds else CLOSE)
