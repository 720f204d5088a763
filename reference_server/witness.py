"""What would have happened: takes the place of `Alterations`, changes nothing, and notes whom each answer would have given away.

Every watched alteration is tried on a copy of what passes its places. One that would have changed something is noted; so
a run against a sound server tells which alterations a client would have met, and with them which of its questions need
not be asked again of an altered server: an answer that nothing touched is the sound one.

Noted too much does no harm. So alterations that remember earlier requests, and those that act where an answer can't be seen
beforehand, count as met by every request.
"""

from __future__ import annotations

import copy
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reference_server.alterations import PLACES, Alterations
from reference_server.answers import Trail

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reference_server.alterations import Act, Alteration

__all__ = ["Witness"]

UNSEEN = {"bytes", "gone"}
# Whoever leaves out a check changes only answers that this check would have refused.
LEAVING: ContextVar[frozenset[str]] = ContextVar("LEAVING", default=frozenset())


class Witness(Alterations):
    """Watches these; `take` gives the names of those that would have changed something since the last time."""

    def __init__(self, watched: Iterable[Alteration]) -> None:
        super().__init__()
        watched = tuple(watched)
        self._always = frozenset(a.name for a in watched if a.remembers or UNSEEN & a.acts.keys())
        seen = [a for a in watched if a.name not in self._always]
        self._watched = {p: [(a.name, a.acts[p]) for a in seen if p in a.acts] for p in PLACES}
        self._met: set[str] = set()

    def apply(self, place: str, value: Any, context: Any = None) -> Any:  # noqa: ANN401 - each place has its own type
        """The value as it is."""
        if place == "refusal":
            self._met |= LEAVING.get()
        leaving = set()
        for name, act in self._watched[place]:
            if name not in self._met:
                ended, changed = _tried(act, value, _own(context, name))
                if place == "skip" and not ended:
                    leaving |= {name} if changed else set()
                elif changed:
                    self._met.add(name)
        if place == "skip":
            LEAVING.set(frozenset(leaving))
        return value

    def any(self, place: str) -> bool:
        """Whether an answer must come by here, to be seen."""
        return place == "write"

    def take(self) -> list[str]:
        """Who would have changed something since the last time, in the order of the names."""
        met, self._met = self._met | self._always, set()
        return sorted(met)


def _tried(act: Act, value: Any, context: Any) -> tuple[bool, bool]:  # noqa: ANN401
    """(whether the answer would have ended there, whether the value would have come out otherwise or not at all)."""
    given = value if isinstance(value, Exception) else copy.deepcopy(value)
    try:
        made = act(given, context)
    except Exception:  # noqa: BLE001 - whatever is raised there, the answer would have been another
        return True, True
    return False, made is not value if isinstance(value, Exception) else bool(made != value)


def _own(context: Any, name: str) -> Any:  # noqa: ANN401
    """The context with notes for this alteration alone, so that none finds another's."""
    if not isinstance(context, Trail):
        return context
    own = context.memo.get((Witness, name))
    if own is None:
        own = context.memo[Witness, name] = replace(context, memo={})
    return own
