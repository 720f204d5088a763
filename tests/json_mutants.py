"""JSON values that are a little wrong, drawn by chance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

DELETE: Any = object()
OTHER_VALUES: tuple[Any, ...] = (DELETE, None, 5, -1.5, "x", "", [], {}, [5], {"a": 1}, True, [None], [[]], 10**400)


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401 - any JSON value
    """The way to every member of a JSON value."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, member in members:
        yield (*way, step)
        yield from places(member, (*way, step))


def mutant(value: Any, chance: Random) -> Any:  # noqa: ANN401 - any JSON value
    """A copy in which one member is another value, or missing."""
    copy = json.loads(json.dumps(value))
    *steps, last = chance.choice(list(places(copy)))
    holder = copy
    for step in steps:
        holder = holder[step]
    other = chance.choice(OTHER_VALUES)
    if other is DELETE:
        del holder[last]
    else:
        holder[last] = other
    return copy
