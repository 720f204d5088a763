"""A target may refuse whoever asks too often: the run's own requests wait until they are served, within reason.

A 429 says nothing of what was asked, so no check may take it for an answer: it is waited for as long as Retry-After says, or ever
longer where nothing is said, a minute and a little in all. Where several requests were never served, no other one is
waited for: what is refused for good has another cause than haste.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance.verdict import Inconclusive

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.wire.exchange import Exchange

__all__ = ["TOO_MANY", "WHOLE", "Patience", "promised_wait"]

WHOLE = re.compile(r"\d+")
TOO_MANY = 429
LONGEST = 65.0  # seconds: the documents' windows are minutes
FIRST = 1.0
HOPES = 3  # requests that were never served, after which no other is waited for


def promised_wait(exchange: Exchange) -> float:
    """Seconds for which a 429 says that nothing will be served; 0 where it does not say."""
    value = (exchange.header("retry-after") or "").strip()
    return float(value) if WHOLE.fullmatch(value) else 0.0


@dataclass
class Patience:
    """Waits for the limit of the run's own key to be lifted. `pause` lets time pass; `met` is whether a limit was met."""

    pause: Callable[[float], None]
    longest: float = LONGEST
    met: bool = False
    lost: int = 0

    def served(self, ask: Callable[[], Exchange]) -> Exchange:
        """The exchange of the first asking that is not refused with 429. Raises Inconclusive where none was in time."""
        waited, pace = 0.0, FIRST
        exchange = ask()
        while exchange.status == TOO_MANY:
            self.met = True
            wait = max(promised_wait(exchange), pace)
            if self.lost >= HOPES or waited + wait > self.longest:
                self.lost += 1
                raise Inconclusive(_reason(exchange, waited))
            self.pause(wait)
            waited, pace = waited + wait, pace * 2
            exchange = ask()
        return exchange


def _reason(exchange: Exchange, waited: float) -> str:
    after = exchange.header("retry-after")
    told = f", Retry-After: {after[:20]}" if after else ""
    return f"the target's rate limit was met and not lifted in {waited:.0f} s (status 429{told}): give a key that may ask more often"
