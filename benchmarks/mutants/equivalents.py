"""Mutants that the documents allow: what they change is still a correct answer. Each with the reason."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.mutants.catalogue import Mutant

__all__ = ["ALLOWED", "reason"]

# (dialects, pattern of the mutant's name, why it is a correct answer). `*` in dialects means all of them.
ALLOWED: tuple[tuple[str, str, str], ...] = (
    ("*", "*:continue-first", "RFC 9110, 15.2: a final answer may be preceded by interim ones"),
)


def reason(dialect: str, mutant: Mutant) -> str | None:
    """Why this mutant is a correct answer in this dialect, or None."""
    for names, pattern, why in ALLOWED:
        if (names == "*" or dialect in names.split()) and fnmatchcase(mutant.name, pattern):
            return why
    return None
