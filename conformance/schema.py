"""Walks a dialect's request schema: where a dotted field lies, in which branches, and what must stand beside it.

Arrays are passed silently: `messages.role` is the role of a member of messages. A field inside several anyOf or oneOf
branches has several spots. Annotations of ours (`x-try`, `x-with`, `x-needs`, `x-tier`) are inherited on the way down.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from jsonschema import Draft202012Validator

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DELETE", "Spot", "branches", "place", "resolve", "sample", "spots", "types", "valid"]

Json = dict[str, Any]
Way = list[tuple[str, tuple[Json, bool]]]
DELETE: Any = object()
K = TypeVar("K")
V = TypeVar("V")
BRANCHES = ("anyOf", "oneOf")
MOST_KEPT = 2000  # of each kind below; the oldest goes first
LONGEST_KEPT = 2000  # characters of a value whose verdict is kept


@dataclass(frozen=True, slots=True)
class Spot:
    """One place of a field: its rule, whether its parent requires it, and what the way there says.

    `chain` holds, per step on the way, the schema of the object there, and whether it is a member of an array.
    """

    path: tuple[str, ...]
    rule: Json
    required: bool = False
    tier: str = "seed"
    needs: frozenset[str] = frozenset()
    beside: Json | None = None
    chain: tuple[tuple[Json, bool], ...] = ()

    def under(self, node: Json) -> Spot:
        """The spot with the annotations of a schema node on the way taken in; the deepest x-with wins."""
        return replace(
            self,
            tier=node.get("x-tier", self.tier),
            needs=self.needs | ({node["x-needs"]} if "x-needs" in node else set()),
            beside=node.get("x-with", self.beside),
        )


def spots(root: Json, field: str) -> list[Spot]:
    """Every place of the dotted field. Empty where the schema has no such field."""
    known = SPOTS.get((id(root), field))
    if known is None:
        found = [Spot((), root)]
        for step in field.split("."):
            found = [deeper for spot in found for deeper in _step(root, spot, step)]
        known = _keep(SPOTS, (id(root), field), (root, found))
    return list(known[1])


def resolve(root: Json, node: Json) -> Json:
    """The node with a local $ref replaced by what it names; members beside the $ref stay."""
    while "$ref" in node:
        named: Any = root
        for part in node["$ref"].removeprefix("#/").split("/"):
            named = named[part]
        node = {**named, **{k: v for k, v in node.items() if k != "$ref"}}
    return node


def branches(root: Json, node: Json) -> Iterator[Json]:
    """The alternatives of a node, each resolved, with the node's own annotations where it has none."""
    node = resolve(root, node)
    options = [b for key in BRANCHES for b in node.get(key, [])]
    if not options:
        yield node
        return
    inherited = {k: v for k, v in node.items() if k.startswith("x-") and k != "x-silent"}
    for option in options:
        yield from branches(root, {**inherited, **option})


def needs(node: Any) -> set[str]:  # noqa: ANN401 - any part of a schema
    """The capabilities that some part of a schema needs."""
    members = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    own = {node["x-needs"]} if isinstance(node, dict) and isinstance(node.get("x-needs"), str) else set()
    return own.union(*map(needs, members))


def types(node: Json) -> tuple[str, ...]:
    """The JSON types that a node (without branches) allows, told by type, const, enum or its members."""
    kind = node.get("type")
    if kind is not None:
        return (kind,) if isinstance(kind, str) else tuple(kind)
    if "const" in node or "enum" in node:
        return tuple({_type(v): None for v in node.get("enum", [node.get("const")])})
    if "properties" in node:
        return ("object",)
    return ("array",) if "items" in node else ()


def valid(root: Json, node: Json, value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether the value satisfies the node."""
    judge = _judge(root, node)
    text = json.dumps(value)
    verdict = judge.verdicts.get(text)
    if verdict is None:
        verdict = judge.validator.is_valid(value)
        if len(text) <= LONGEST_KEPT:
            _keep(judge.verdicts, text, verdict)
    return verdict


def sample(root: Json, node: Json) -> Any:  # noqa: ANN401 - any JSON value
    """The simplest sane value of a node: what is required, and the text of a message."""
    node = next(branches(root, node))
    tries = node.get("x-try", {}).get("values")
    for source in (tries, node.get("enum"), [node["const"]] if "const" in node else None):
        if source:
            return copy.deepcopy(source[0])
    return _by_type(root, node)


def place(root: Json, body: Json, spot: Spot, value: Any) -> Json:  # noqa: ANN401 - any JSON value
    """A copy of the body with the value at the spot (DELETE removes it), and beside it what must stand there."""
    body = {**copy.deepcopy(body), **copy.deepcopy(spot.beside or {})}
    last = spot.path[-1]
    way = list(zip(spot.path[:-1], spot.chain, strict=True))
    shown = list(_shown(root, body, way, last))
    if value is not DELETE and any(_same(holder[last], value) for holder in shown):
        return body
    holder = shown[0] if shown else _made(root, body, way)
    if value is DELETE:
        holder.pop(last, None)
    else:
        holder[last] = copy.deepcopy(value)
    return body


@dataclass(frozen=True, slots=True)
class _Judge:
    """The validator of a node and what it said. Holds the node, so that its id stays its own."""

    root: Json
    node: Json
    validator: Draft202012Validator
    verdicts: dict[str, bool]


SPOTS: dict[tuple[int, str], tuple[Json, list[Spot]]] = {}
JUDGES: dict[tuple[int, int], _Judge] = {}


def _judge(root: Json, node: Json) -> _Judge:
    """The judge of a node; made once, as the same few nodes are asked for each value of each field."""
    known = JUDGES.get((id(root), id(node)))
    if known is None:
        rules = {**{k: v for k, v in root.items() if k == "$defs"}, **node}
        validator = Draft202012Validator(rules, format_checker=Draft202012Validator.FORMAT_CHECKER)
        known = _keep(JUDGES, (id(root), id(node)), _Judge(root, node, validator, {}))
    return known


def _keep(kept: dict[K, V], key: K, value: V) -> V:
    if len(kept) >= MOST_KEPT:
        del kept[next(iter(kept))]
    kept[key] = value
    return value


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether two values are the same JSON: to Python true equals 1, and 1 equals 1.0."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _made(root: Json, body: Json, way: Way) -> Json:
    """The object at the end of the way, made where the body lacks it."""
    here = body
    for step, (node, in_array) in way:
        inner = here.get(step)
        if in_array:
            if not isinstance(inner, list):
                inner = here[step] = []
            here = _member(root, inner, node)
        else:
            if not isinstance(inner, dict) or not valid(root, node, inner):
                inner = here[step] = sample(root, node)
            here = inner
    return here


def _shown(root: Json, here: Any, way: Way, last: str) -> Iterator[Json]:  # noqa: ANN401 - any JSON value
    """The objects on the way, of its branches, that show the last step already."""
    if not isinstance(here, dict):
        return
    if not way:
        if last in here:
            yield here
        return
    (step, (node, in_array)), rest = way[0], way[1:]
    inner = here.get(step)
    for member in inner if in_array and isinstance(inner, list) else [inner]:
        if isinstance(member, dict) and valid(root, node, member):
            yield from _shown(root, member, rest, last)


def _step(root: Json, spot: Spot, step: str) -> Iterator[Spot]:
    for branch in branches(root, spot.rule):
        if "properties" not in branch and "items" in branch:
            for member in branches(root, branch["items"]):
                yield from _property(root, spot.under(branch).under(member), (member, True), step)
        else:
            yield from _property(root, spot.under(branch), (branch, False), step)


def _property(root: Json, spot: Spot, holder: tuple[Json, bool], step: str) -> Iterator[Spot]:
    node = holder[0]
    if step not in node.get("properties", {}):
        return
    rule = resolve(root, node["properties"][step])
    chain = (*spot.chain, holder) if spot.path else ()
    yield replace(
        spot.under(rule), path=(*spot.path, step), rule=rule, required=step in node.get("required", ()), chain=chain
    )


def _member(root: Json, members: list[Any], node: Json) -> Json:
    """The member to change: the first of that branch, else a new one, in a message list before the last."""
    fitting = next((m for m in members if isinstance(m, dict) and valid(root, node, m)), None)
    if fitting is not None:
        return fitting
    new: Json = sample(root, node)
    if members and "role" in new:
        before = [copy.deepcopy(members[-1])] if new["role"] == "assistant" else []
        members[len(members) - 1 : len(members) - 1] = [*before, new]
    else:
        members.append(new)
    return new


def _by_type(root: Json, node: Json) -> Any:  # noqa: ANN401 - any JSON value
    kind = next((t for t in types(node) if t != "null"), "null")
    if kind == "object":
        wanted = [*node.get("required", ()), *(["content"] if "role" in node.get("properties", {}) else [])]
        return {
            name: sample(root, node["properties"][name])
            for name in dict.fromkeys(wanted)
            if name in node.get("properties", {})
        }
    if kind == "array":
        count = max(node.get("minItems", 0), node.get("x-try", {}).get("minItems", 0))
        return [sample(root, node["items"]) for _ in range(count)]
    bound = {**node, **node.get("x-try", {})}
    if kind in ("number", "integer"):
        return max(bound.get("minimum", 1), min(1, bound.get("maximum", 1)))
    if kind == "string":
        if node.get("format") == "uuid":
            return "3f0c9a52-6b1e-4d57-9f38-2f4f7a1c8e60"
        return "Hello".ljust(bound.get("minLength", 0), "o")[: bound.get("maxLength")]
    return False if kind == "boolean" else None


def _type(value: Any) -> str:  # noqa: ANN401 - any JSON value
    names = {
        bool: "boolean",
        int: "integer",
        float: "number",
        str: "string",
        list: "array",
        dict: "object",
        type(None): "null",
    }
    return names[type(value)]
