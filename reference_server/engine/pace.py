"""When each token is due: fixed deadlines counted from the start of the answer, so that a late one does not delay the rest."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

__all__ = ["Pace"]

BREATH = 8  # unpaced tokens between two chances for other requests


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds until the first token and between any two; zeros mean as fast as possible."""

    ttft: float = 0.0
    itl: float = 0.0

    async def wait(self, start: float, step: int) -> None:
        """Sleep until token number `step` (from 0) of an answer begun at loop time `start` is due."""
        due = start + self.ttft + step * self.itl
        delay = due - asyncio.get_running_loop().time()
        if delay > 0:
            await asyncio.sleep(delay)
        elif step % BREATH == BREATH - 1:
            await asyncio.sleep(0)
