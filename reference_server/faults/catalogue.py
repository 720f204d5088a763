"""The catalogue of faults, and what a declaration in it means.

`every` holds the names (see `names`) of the checks that turn red in every dialect whose document asks for them, a
dialect's name the names of those that do in that one besides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference_server.alterations import Catalogue
from reference_server.faults.names import means

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dialects import Dialect, Requirement
    from reference_server.alterations import Alteration

__all__ = ["FAULTS", "broken", "requirements"]

FAULTS = Catalogue()


def broken(fault: Alteration, dialect: Dialect) -> frozenset[str]:
    """The checks of a dialect's rows that this fault turns red."""
    names = fault.broken(dialect.id)
    return frozenset(check for row in dialect.requirements for check in row.checks if means(names, check, dialect.id))


def requirements(fault: Alteration, dialect: Dialect) -> Iterator[Requirement]:
    """The rows of a dialect that this fault turns red: those that list a check which it breaks."""
    red = broken(fault, dialect)
    for row in dialect.requirements:
        if not red.isdisjoint(row.checks):
            yield row
