"""What a check may conclude beside passing, and how several conclusions make one.

AssertionError
    Mismatch        the target did not do what the document says; carries expected, observed and the exchange
Conclusion
    Inconclusive    tried, but the target did not cooperate (an answer cut short, no two equal answers, ...)
    Untested        needs a lever that the profile lacks (a no-credit key, a key at all, ...)
    NotApplicable   the dialect or the target's claimed capabilities exclude it
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conformance.wire.exchange import Exchange

__all__ = ["Conclusion", "Inconclusive", "Mismatch", "NotApplicable", "Outcome", "Untested"]


class Mismatch(AssertionError):
    """The target departs from the document: what was expected, what came, and in which exchange."""

    def __init__(self, expected: str, observed: str, exchange: Exchange | None = None) -> None:
        super().__init__(f"expected {expected}; came {observed}")
        self.expected, self.observed, self.exchange = expected, observed, exchange


class Conclusion(Exception):
    """A verdict other than pass and fail; `str()` is its reason."""

    verdict = "error"


class Inconclusive(Conclusion):
    """It was tried and nothing follows from what came."""

    verdict = "inconclusive"


class Untested(Conclusion):
    """It could not be tried without a lever that the profile may give."""

    verdict = "untested"


class NotApplicable(Conclusion):
    """The dialect lacks it, or the target does not claim it."""

    verdict = "not-applicable"


@dataclass(slots=True)
class Outcome:
    """The verdict of one check with its reason and evidence (exchange ids)."""

    verdict: str
    reason: str | None = None
    expected: str | None = None
    observed: str | None = None
    evidence: list[str] = field(default_factory=list)
    seconds: float = 0.0
