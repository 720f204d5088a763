"""A target may refuse whoever asks too often: the run's own requests wait until they are served, within reason.

A 429 says nothing of what was asked, so no check may take it for an answer: it is waited for as long as Retry-After says, or ever
longer where nothing is said, a minute and a little in all. What is refused after that while the simplest request is served
was not refused for haste, and is judged; after a few of those others are judged sooner. Where several were never served, no
other one is waited for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.verdict import Inconclusive
from conformance.wire.client import BudgetSpent

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.wire.exchange import Exchange

__all__ = ["TOO_MANY", "WHOLE", "LimitSpent", "Patience", "promised_wait"]

WHOLE = re.compile(r"\d+")
TOO_MANY = 429
LONGEST = 65.0  # seconds: the documents' windows are minutes
FIRST = 1.0
ALONE = 2  # requests that were refused while others were served, after which no such one is waited for so long
HOPES = 3  # requests that were never served, after which no other is waited for


def promised_wait(exchange: Exchange) -> float:
    """Seconds for which a 429 says that nothing will be served; 0 where it does not say."""
    value = (exchange.header("retry-after") or "").strip()
    return float(value) if WHOLE.fullmatch(value) else 0.0


class LimitSpent(BudgetSpent):
    """Several requests were never served, nor is the simplest one: the run can't go on with this key."""


@dataclass
class Patience:
    """Waits for the limit of the run's own key to be lifted. `pause` lets time pass; `met` is whether a limit was met.

    `witness` asks the simplest question: where that is served, a request that never is was not refused for haste.
    """

    pause: Callable[[float], None]
    witness: Callable[[], Exchange]
    longest: float = LONGEST
    met: bool = False
    lost: int = 0
    alone: int = 0

    def served(self, ask: Callable[[], Exchange]) -> Exchange:
        """The first exchange that is not refused for haste. Raises Inconclusive or LimitSpent where none came in time."""
        waited, pace = 0.0, FIRST
        longest = self.longest if self.alone < ALONE else FIRST
        exchange = ask()
        while exchange.status == TOO_MANY:
            told = promised_wait(exchange)
            wait = max(told, pace)
            if self.lost >= HOPES or waited + wait > longest:
                return self._given_up(exchange, waited, told=told > self.longest)
            self.pause(wait)
            waited, pace = waited + wait, pace * 2
            self.met = True
            exchange = ask()
        return exchange

    def _given_up(self, exchange: Exchange, waited: float, *, told: bool) -> Exchange:
        """The exchange, where others are served; else there is nothing to say of it."""
        if not told and self.witness().status != TOO_MANY:
            self.alone += 1
            return exchange
        self.lost += 1
        self.met = True
        raise (LimitSpent if self.lost > HOPES else Inconclusive)(_reason(exchange, waited))


def _reason(exchange: Exchange, waited: float) -> str:
    after = exchange.header("retry-after")
    told = f", Retry-After: {after[:20]}" if after else ""
    return f"the rate limit was met and not lifted in {waited:.0f} s (status 429{told}): give a key that may ask more often"
