"""What all endpoints share: the engine, the keys, the limits, the sessions, the journal, and what is altered on purpose."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from reference_server.alterations import Alterations
from reference_server.errors import ApiError
from reference_server.journal import Journal
from reference_server.keys import KeyRing
from reference_server.ratelimit import Limiter
from reference_server.sessions import Sessions

if TYPE_CHECKING:
    from reference_server.engine import Engine

__all__ = ["Context", "Demand"]


@dataclass(slots=True)
class Demand:
    """A refusal ordered over the control plane: the next `times` chats, on this path if one is given, fail by `cause`."""

    cause: str
    times: int = 1
    path: str | None = None


@dataclass(slots=True)
class Context:
    """One server's shared state. `node` stays the same as long as the process lives."""

    engine: Engine
    keys: KeyRing = field(default_factory=KeyRing.built_in)
    sessions: Sessions = field(default_factory=Sessions)
    alterations: Alterations = field(default_factory=Alterations)
    limiter: Limiter = field(default_factory=Limiter)
    journal: Journal = field(default_factory=Journal)
    demands: list[Demand] = field(default_factory=list)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    node: str = field(default_factory=lambda: f"node-{uuid4().hex[:12]}")

    def refuse_on_demand(self, path: str) -> None:
        """Raise the ApiError that somebody ordered for this path, if any."""
        for demand in self.demands:
            if demand.times > 0 and demand.path in (None, path):
                demand.times -= 1
                raise ApiError(demand.cause, f"Ordered over the control plane: {demand.cause}", retry_after=1)
