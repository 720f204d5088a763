"""What can be done to one member of a JSON document, and to all members that lie at one path."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["OPERATORS", "Path", "applicable", "change", "paths"]

Path = tuple[str, ...]
ANY = "[]"  # the step into every member of an array
DEEPEST = 9
SWAPS: dict[type, Any] = {str: 7, bool: "yes", int: "7", float: "0.5", dict: [], list: {}, type(None): {"x": 1}}


def _drop(holder: Any, key: Any) -> None:  # noqa: ANN401 - a dict and its key, or a list and its position
    del holder[key]


def _put(value: Callable[[Any], Any]) -> Callable[[Any, Any], None]:
    def act(holder: Any, key: Any) -> None:  # noqa: ANN401 - as above
        holder[key] = value(holder[key])

    return act


def _empty(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    return type(value)()


def _negate(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    return not value if isinstance(value, bool) else -1 - value


def _perturb(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, list):
        return [*value, value[-1]]
    return value + 1


NUMBER = (int, float)
OPERATORS: dict[str, tuple[tuple[type, ...], Callable[[Any, Any], None]]] = {
    "delete": ((object,), _drop),
    "null": ((str, bool, int, float, dict, list), _put(lambda _: None)),
    "swap": ((object,), _put(lambda value: SWAPS[type(value)])),
    "empty": ((str, dict, list), _put(_empty)),
    "zero": (NUMBER, _put(lambda _: 0)),
    "negate": ((bool, *NUMBER), _put(_negate)),
    "perturb": ((str, list, *NUMBER), _put(_perturb)),
    "fraction": ((int,), _put(lambda value: value + 0.5)),
}


def applicable(operator: str, value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether the operator makes another value of this one."""
    kinds, _ = OPERATORS[operator]
    if isinstance(value, bool) and bool not in kinds:
        return object in kinds
    return (
        isinstance(value, kinds)
        and not (operator in ("empty", "zero") and not value)
        and (operator, value) != ("perturb", [])
    )


def paths(document: Any, *, to: Path = ()) -> Iterator[tuple[Path, Any]]:  # noqa: ANN401 - any JSON value
    """Every path below the document with a value there; all members of an array share one path."""
    members: Any = ()
    if isinstance(document, dict):
        members = document.items()
    elif isinstance(document, list):
        members = ((ANY, value) for value in document)
    for step, value in members if len(to) < DEEPEST else ():
        yield (*to, step), value
        yield from paths(value, to=(*to, step))


def change(document: Any, path: Path, operator: str) -> Any:  # noqa: ANN401 - any JSON value
    """The document with the operator applied to every member at the path that it fits; the same object if none."""
    changed = copy.deepcopy(document)
    places = [(holder, key) for holder, key in _places(changed, path) if applicable(operator, holder[key])]
    for holder, key in reversed(places):
        OPERATORS[operator][1](holder, key)
    return changed if places and json.dumps(changed) != json.dumps(document) else document


def _places(value: Any, path: Path) -> list[tuple[Any, Any]]:  # noqa: ANN401 - any JSON value
    step, rest = path[0], path[1:]
    keys: list[Any] = []
    if step == ANY and isinstance(value, list):
        keys = list(range(len(value)))
    elif isinstance(value, dict) and step in value:
        keys = [step]
    if not rest:
        return [(value, key) for key in keys]
    return [place for key in keys for place in _places(value[key], rest)]
