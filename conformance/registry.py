"""The two marks of a check: `@check` for one that sends requests, `@oracle` for one that looks at every answer.

An id is for life: chapter, dot, kebab-case. `per` names the parameter that takes the argument in brackets when rows list
`id[argument]`. An oracle's first parameter names what it looks at: `exchange` (anything), `answer` (a 2xx whole answer),
`stream` (a 2xx event stream), `reply` (either) or `refusal` (a 4xx or 5xx).
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KINDS", "CheckInfo", "check", "info", "oracle", "split"]

F = TypeVar("F", bound="Callable[..., Any]")
KINDS = ("exchange", "answer", "stream", "reply", "refusal")
ID = re.compile(r"[a-z_]+\.[a-z0-9-]+")
NAME = "conformance_check"


@dataclass(frozen=True, slots=True)
class CheckInfo:
    """What the plugin knows of a check. `smoke` checks run at every depth; `alone` ones need a quiet target."""

    id: str
    per: str | None = None
    smoke: bool = False
    kind: str | None = None


def check(name: str, *, per: str | None = None, smoke: bool = False) -> Callable[[F], F]:
    """Mark a function as the check of this id."""
    return _mark(CheckInfo(_valid(name), per, smoke))


def oracle(name: str, *, per: str | None = None) -> Callable[[F], F]:
    """Mark a function as an oracle: it is called with every exchange of its kind, at every depth."""

    def mark(function: F) -> F:
        kind = next(iter(inspect.signature(function).parameters))
        if kind not in KINDS:
            raise TypeError(f"oracle {name!r}: its first parameter is {kind!r}, allowed are {', '.join(KINDS)}")
        return _mark(CheckInfo(_valid(name), per, smoke=True, kind=kind))(function)

    return mark


def info(function: Callable[..., Any]) -> CheckInfo | None:
    """The mark of a function, or None."""
    return getattr(function, NAME, None)


def split(check_id: str) -> tuple[str, str | None]:
    """The name and the argument of an id as rows write it: `request.accepts[n]` -> ("request.accepts", "n")."""
    name, bracket, rest = check_id.partition("[")
    return name, rest.removesuffix("]") if bracket else None


def _mark(mark: CheckInfo) -> Callable[[F], F]:
    def apply(function: F) -> F:
        if not (function.__doc__ or "").strip():
            raise TypeError(f"check {mark.id!r} has no docstring: it says in one sentence what is expected")
        setattr(function, NAME, mark)
        return function

    return apply


def _valid(name: str) -> str:
    if not ID.fullmatch(name):
        raise TypeError(f"check id {name!r} is not chapter.kebab-case")
    return name
