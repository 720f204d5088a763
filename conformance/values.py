"""Values for a field, drawn from its rule alone: those that the document allows, and those that break one rule.

accepted(root, spot)           every bound, enumeration value, null and branch, as a list
strategy(root, spot)           hypothesis: the rest of the range, any text; None where nothing is left to draw
broken(root, spot, rule)       values that break exactly that rule; DELETE for a missing member
"""

from __future__ import annotations

import math
import string
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from conformance.schema import DELETE, Spot, branches, sample, types, valid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["CAUSES", "RULES", "accepted", "broken", "mutilated", "strategy", "text"]

Json = dict[str, Any]
UUIDS = ("3f0c9a52-6b1e-4d57-9f38-2f4f7a1c8e60", "018f4e2a-7c3b-7d21-8a5e-0b6c9d1e2f30")
EPSILON = 0.01
CAUSES = {"missing": "missing_field", **dict.fromkeys(("type", "fraction", "lax", "null", "values"), "wrong_type")}
WRONG: dict[str, list[Any]] = {
    "string": [5, ["x"], {"x": 1}, True],
    "number": ["hot", ["x"], {"x": 1}],
    "integer": ["many", ["x"], {"x": 1}],
    "boolean": ["perhaps", 5, ["x"], {"x": 1}],
    "array": ["x", {"x": 1}, 5],
    "object": ["x", ["x"], 5],
}
LAX: dict[str, list[Any]] = {"number": ["0.5"], "integer": ["5", True], "boolean": ["true", 1]}


def text() -> st.SearchStrategy[str]:
    """Any Unicode text that JSON can carry, letters more often than rarities, never a surrogate or NUL."""
    plain = st.text(string.ascii_letters + " .,!?", min_size=1, max_size=40)
    rare = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
    mixed = st.lists(
        st.sampled_from(("é", "e\u0301", "日本", "🎉", "👩‍👩‍👧", "\u202eabc", "\u2028", "שלום", "ﬁ", "\t")),
        min_size=1,
        max_size=12,
    )
    return st.one_of(plain, mixed.map("".join), rare).map(lambda s: f"Say hi to {s}")


def mutilated(data: bytes) -> st.SearchStrategy[bytes]:
    """The bytes with a piece cut off, changed, repeated or put in."""
    place = st.integers(0, len(data))
    junk = st.binary(min_size=1, max_size=6)
    return st.one_of(
        place.map(lambda at: data[:at]),
        st.builds(lambda at, piece: data[:at] + piece + data[at:], place, junk),
        st.builds(lambda at, piece: data[:at] + piece + data[at + len(piece) :], place, junk),
        place.map(lambda at: data + data[at:]),
    )


def accepted(root: Json, spot: Spot) -> list[tuple[Spot, Any]]:
    """(spot, value) for every bound, enumeration value, null and branch that the rule allows at the spot's own tier."""
    found = []
    for branch in branches(root, spot.rule):
        where = spot.under(branch)
        if where.tier == spot.tier:
            found += [(where, value) for value in _allowed(root, branch) if valid(root, spot.rule, value)]
    return _distinct(found)


def strategy(spot: Spot) -> st.SearchStrategy[Any] | None:
    """The inside of a range, or any text; None for what `accepted` lists completely."""
    rule = {**spot.rule, **spot.rule.get("x-try", {})}
    kinds = types(rule)
    if "values" in rule or "enum" in rule or "const" in rule:
        return None
    if "number" in kinds and {"minimum", "maximum"} <= set(rule):
        return (
            st.floats(rule["minimum"], rule["maximum"], allow_nan=False)
            .map(lambda f: round(f, 4))
            .filter(lambda f: _inside(rule, f))
        )
    if "integer" in kinds and {"minimum", "maximum"} <= set(rule):
        return st.integers(math.ceil(rule["minimum"]), math.floor(rule["maximum"]))
    if kinds == ("string",) and not {"format", "pattern", "maxLength"} & set(rule):
        return text()
    return None


def broken(root: Json, spot: Spot, rule: str) -> list[Any]:
    """Values that break exactly this rule of the spot. Raises KeyError for a rule that nobody knows."""
    return list(RULES[rule](root, spot))


def _inside(rule: Json, number: float) -> bool:
    return bool(rule["minimum"] <= number <= rule["maximum"])


def _distinct(pairs: list[tuple[Spot, Any]]) -> list[tuple[Spot, Any]]:
    seen, kept = set(), []
    for where, value in pairs:
        mark = (repr(value), repr(where.beside))
        if mark not in seen:
            seen.add(mark)
            kept.append((where, value))
    return kept


def _allowed(root: Json, rule: Json) -> Iterator[Any]:
    tries = rule.get("x-try", {})
    listed = tries.get("values") or rule.get("enum") or ([rule["const"]] if "const" in rule else None)
    kinds = [kind for kind in types(rule) if kind != "null" or None not in rule.get("x-silent", ())]
    if listed:
        yield from listed
    else:
        for kind in kinds:
            yield from ALLOWED[kind](root, {**rule, **tries})
    if "null" in kinds:
        yield None


def _numbers(_: Json, rule: Json) -> Iterator[Any]:
    bounds = [rule[name] for name in ("minimum", "maximum") if name in rule]
    yield from bounds
    if len(bounds) == 2:  # noqa: PLR2004 - both ends
        yield (bounds[0] + bounds[1]) / 2
    if not bounds:
        yield 1


def _integers(_: Json, rule: Json) -> Iterator[Any]:
    bounds = [math.ceil(rule[name]) for name in ("minimum", "maximum") if name in rule]
    yield from bounds or [1]


def _strings(_: Json, rule: Json) -> Iterator[Any]:
    if rule.get("format") == "uuid":
        yield from UUIDS
    elif "maxLength" in rule:
        yield "a" * rule["maxLength"]
    else:
        yield "Hello"


def _arrays(root: Json, rule: Json) -> Iterator[Any]:
    member = sample(root, rule["items"]) if "items" in rule else "x"
    least, most = rule.get("minItems", 0), rule.get("maxItems")
    yield [member] * least
    if most is None:
        yield [member] * max(1, least)
    elif most != least:
        yield _different(root, rule["items"], most)


def _different(root: Json, items: Json, count: int) -> list[Any]:
    """That many members, different where the rule lists enough values."""
    listed = next(branches(root, items)).get("x-try", {}).get("values") or [sample(root, items)]
    return [listed[i % len(listed)] for i in range(count)]


def _objects(root: Json, rule: Json) -> Iterator[Any]:
    members = rule.get("properties", {})
    yield {name: sample(root, members[name]) for name in rule.get("required", ()) if name in members}
    values = rule.get("additionalProperties")
    if isinstance(values, dict):
        yield {"key": sample(root, values)}
        if "maxProperties" in rule:
            yield {f"key{i}": sample(root, values) for i in range(rule["maxProperties"])}


ALLOWED: dict[str, Callable[[Json, Json], Iterator[Any]]] = {
    "number": _numbers,
    "integer": _integers,
    "string": _strings,
    "boolean": lambda _root, _rule: iter((True, False)),
    "array": _arrays,
    "object": _objects,
    "null": lambda _root, _rule: iter((None,)),
}


def _all_types(root: Json, spot: Spot) -> set[str]:
    found = {kind for branch in branches(root, spot.rule) for kind in types(branch)}
    return found | ({"integer"} if "number" in found else set())


def _main(root: Json, spot: Spot) -> Json:
    """The branch whose bounds count: the first that is not null."""
    options = list(branches(root, spot.rule))
    return next((b for b in options if types(b) != ("null",)), options[0])


def _wrong_type(root: Json, spot: Spot) -> Iterator[Any]:
    kinds = _all_types(root, spot)
    candidates = [v for kind in kinds if kind in WRONG for v in WRONG[kind]]
    candidates.sort(key=lambda v: isinstance(v, list | dict))
    loose = [v for kind in kinds for v in LAX.get(kind, [])]
    texts = "string" in kinds
    seen: list[Any] = []
    for value in candidates:
        kind = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}[type(value)]
        fits = kind in kinds or (texts and kind == "string")
        if not fits and value not in seen and not any(value is v for v in loose):
            seen.append(value)
            yield value


def _lax(root: Json, spot: Spot) -> Iterator[Any]:
    kinds = _all_types(root, spot)
    for kind in ("number", "integer", "boolean"):
        if kind in kinds and not (kind == "integer" and "number" in kinds):
            yield from LAX[kind]


def _range(root: Json, spot: Spot) -> Iterator[Any]:
    rule = _main(root, spot)
    step = 1 if "integer" in types(rule) else EPSILON
    beyond = [_beyond(rule[name], sign * step) for name, sign in (("minimum", -1), ("maximum", 1)) if name in rule]
    yield from beyond
    values = rule.get("additionalProperties")
    if isinstance(values, dict):
        yield from ({"100": value} for value in _range(root, Spot(("value",), values)))


def _beyond(bound: float, step: float) -> float:
    """Just past the bound; for bounds where a float would swallow the step, well past it."""
    return bound + step if abs(bound) < 2**53 else bound * 10


def _items(root: Json, spot: Spot) -> Iterator[Any]:
    for rule in branches(root, spot.rule):
        if rule.get("minItems", 0) > 0:
            yield [sample(root, rule["items"])] * (rule["minItems"] - 1)
        if "maxItems" in rule:
            yield _different(root, rule["items"], rule["maxItems"] + 1)
        if "maxProperties" in rule:
            yield {f"key{i}": sample(root, rule["additionalProperties"]) for i in range(rule["maxProperties"] + 1)}


def _values(root: Json, spot: Spot) -> Iterator[Any]:
    for rule in branches(root, spot.rule):
        if "items" in rule:
            member = Spot(("item",), rule["items"])
            yield from ([value] for value in list(_wrong_type(root, member))[:1])
        elif isinstance(rule.get("additionalProperties"), dict):
            member = Spot(("value",), rule["additionalProperties"])
            yield from ({"key": value} for value in list(_wrong_type(root, member))[:1])
            if "null" not in _all_types(root, member):
                yield {"key": None}


def _length(root: Json, spot: Spot) -> Iterator[Any]:
    rule = _main(root, spot)
    if "maxLength" in rule:
        yield "a" * (rule["maxLength"] + 1)
    values, names = rule.get("additionalProperties"), rule.get("propertyNames", {})
    if isinstance(values, dict):
        good = sample(root, values)
        yield from ({"a" * (names["maxLength"] + 1): good} for _ in range("maxLength" in names))
        yield from ({"key": "a" * (values["maxLength"] + 1)} for _ in range("maxLength" in values))


RULES: dict[str, Callable[[Json, Spot], Iterator[Any]]] = {
    "missing": lambda _root, _spot: iter((DELETE,)),
    "type": _wrong_type,
    "fraction": lambda _root, _spot: iter((1.5,)),
    "lax": _lax,
    "null": lambda _root, _spot: iter((None,)),
    "range": _range,
    "items": _items,
    "enum": lambda _root, _spot: iter(("no-such-value",)),
    "format": lambda _root, _spot: iter(("not-a-uuid",)),
    "empty": lambda _root, _spot: iter(("",)),
    "length": _length,
    "pattern": lambda _root, _spot: iter(("no spaces, please!",)),
    "values": _values,
    "nonpositive": lambda _root, _spot: iter((0, -1)),
    "negative": lambda _root, _spot: iter((-1,)),
}
