"""Rows select checks: which checks run, with which arguments, for which requirements."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from conformance.registry import split

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conformance.options import Options
    from dialects import Requirement

__all__ = ["Selection"]

LEVELS = ("MUST", "SHOULD", "MAY")


@dataclass(frozen=True, slots=True)
class Selection:
    """The judged rows of a run and the check ids that they list, in the order of the rows."""

    rows: tuple[Requirement, ...]
    blocking: frozenset[str]
    by_check: dict[str, list[Requirement]] = field(default_factory=dict)

    @classmethod
    def of(cls, options: Options) -> Selection:
        """The rows of the chosen tiers."""
        rows = tuple(r for r in options.dialect.requirements if r.tier in options.tiers)
        levels, tiers = options.blocking_levels, options.gating
        blocking = frozenset(r.id for r in rows if r.level in levels and r.tier in tiers)
        by_check: dict[str, list[Requirement]] = defaultdict(list)
        for row in rows:
            for check_id in row.checks:
                by_check[check_id].append(row)
        return cls(rows, blocking, dict(by_check))

    def arguments(self, name: str) -> list[str]:
        """The arguments with which rows list this check."""
        found = (split(check_id) for check_id in self.by_check)
        return [argument for base, argument in found if base == name and argument is not None]

    def lists(self, check_id: str) -> bool:
        """Whether some row lists this id."""
        return check_id in self.by_check

    def blocks(self, check_id: str) -> bool:
        """Whether a failure of this check fails the run."""
        return any(row.id in self.blocking for row in self.by_check.get(check_id, ()))

    def rank(self, check_id: str) -> int:
        """How much hangs on this check: 0 for a MUST row, then SHOULD, then MAY."""
        return min((LEVELS.index(row.level) for row in self.by_check.get(check_id, ())), default=len(LEVELS))

    def spared(self, check_id: str) -> bool:
        """Whether it is left to --depth deep: a refusal inside a nested member that the document only implies (MAY)."""
        name, argument = split(check_id)
        levels = {row.level for row in self.by_check.get(check_id, ())}
        return name == "request.rejects" and levels == {"MAY"} and "." in (argument or "")

    def unknown(self, names: Iterable[str]) -> list[str]:
        """The ids that rows list and that no check has."""
        have = set(names)
        return [check_id for check_id in self.by_check if split(check_id)[0] not in have]
