"""Log probabilities of the embedded engine: the emitted token takes at least half of the mass, alternatives share the rest."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

from reference_server.engine import Scored

if TYPE_CHECKING:
    from random import Random

__all__ = ["score"]

_OTHERS = tuple(
    f" {word}".encode()
    for word in [
        "the",
        "a",
        "of",
        "to",
        "and",
        "in",
        "is",
        "it",
        "you",
        "that",
        "he",
        "was",
        "for",
        "on",
        "are",
        "with",
        "as",
        "I",
        "his",
        "they",
        "be",
        "at",
    ]
)


def score(token: bytes, alternatives: int, rng: Random) -> Scored:
    """The token with its log probability and that many best candidates, itself first; the probabilities sum to at most 1."""
    mass = 0.5 + 0.499 * rng.random()
    others = [other for other in _OTHERS if other != token][: max(0, alternatives - 1)]
    rest = [(other, _ln((1 - mass) / 2 ** (rank + 1))) for rank, other in enumerate(others)]
    return Scored(token, _ln(mass), ((token, _ln(mass)), *rest)[:alternatives])


def _ln(mass: float) -> float:
    return round(log(mass), 6)
