"""What the server saw and did: the last requests without their keys, and counters."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import uuid4

__all__ = ["Journal", "Visit"]

KEPT = 500


@dataclass(slots=True)
class Visit:
    """One request from its arrival on. `headers` are added to its answer; `order` is what was understood of it."""

    method: str
    path: str
    id: str = field(default_factory=lambda: uuid4().hex)
    arrived: float = field(default_factory=time.time)
    headers: dict[str, str] = field(default_factory=dict)
    dialect: str | None = None
    order: dict[str, Any] | None = None
    cause: str | None = None
    status: int | None = None
    ended: str | None = None


class Journal:
    """The last visits, newest last, and how many generations began, ended and were given up."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._visits: deque[Visit] = deque(maxlen=KEPT)
        self.counters: Counter[str] = Counter()

    def add(self, visit: Visit) -> None:
        """Remember a visit; it may still change."""
        self._visits.append(visit)
        self.counters["requests"] += 1

    def visits(self) -> list[dict[str, Any]]:
        """The last visits as JSON objects."""
        return [asdict(visit) for visit in self._visits]
