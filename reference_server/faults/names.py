"""The names by which a declaration says which checks a fault turns red.

usage.sum                      the check
chat.field                     the check with every argument
chat.field[usage]              the check with this argument; errors.status[no_key] is errors.status[no_key=401] too
request.rejects:range          the check with every argument that ends so: request.rejects[FIELD:range]
chat.field[usage.*]            * stands for any characters, here and everywhere
-chat.field[usage.total]       not this one, whatever other names of the declaration mean
usage.sum in dria openai       in these dialects only; `not` in place of `in`: in all the others
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Name", "means", "read"]


@dataclass(frozen=True, slots=True)
class Name:
    """One name, read: `sign` is False for a name that takes checks away."""

    sign: bool
    checks: re.Pattern[str]
    only: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()

    def holds(self, check: str, dialect: str) -> bool:
        """Whether it means this check, which stands in a row of the dialect with its argument."""
        here = dialect not in self.never and (not self.only or dialect in self.only)
        return here and self.checks.fullmatch(check) is not None


@cache
def read(text: str) -> Name:
    """The name that a text writes."""
    checks, *scope = text.removeprefix("-").split()
    dialects = frozenset(scope[1:])
    only, never = (dialects, frozenset()) if scope[:1] == ["in"] else (frozenset(), dialects)
    return Name(not text.startswith("-"), _pattern(checks), only, never)


def means(names: Iterable[str], check: str, dialect: str) -> bool:
    """Whether these names together mean a check."""
    signs = {name.sign for name in map(read, names) if name.holds(check, dialect)}
    return signs == {True}


def _pattern(name: str) -> re.Pattern[str]:
    base, bracket, argument = name.removesuffix("]").partition("[")
    base, _, rule = base.partition(":")
    if bracket:
        return re.compile(rf"{_any(base)}\[{_any(argument)}(=.*)?\]")
    return re.compile(rf"{_any(base)}\[.*:{_any(rule)}\]" if rule else rf"{_any(base)}(\[.*\])?")


def _any(text: str) -> str:
    return re.escape(text).replace(r"\*", ".*")
