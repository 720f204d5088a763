"""From an answer that SGLang repeats in full each time to the text that is new and safe to show.

Three things are held back: a character of which only some bytes are there, a text that may become a stop string, and the
log probabilities of tokens whose text has not been shown.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from reference_server.engine.stops import StopCutter

if TYPE_CHECKING:
    from reference_server.engine import Scored

__all__ = ["Growth", "Ledger", "Shown"]

UNFINISHED = "\N{REPLACEMENT CHARACTER}"  # what a decoder writes for bytes that are no character yet


class Growth:
    """Hands out what a cumulative text has gained, in whole characters."""

    def __init__(self) -> None:
        self._seen = 0

    def of(self, text: str, *, genuine: bool = False) -> str:
        """The new part of the text. `genuine`: the replacement character at its end is one that the model said."""
        safe = text if genuine else text.rstrip(UNFINISHED)
        gained, self._seen = safe[self._seen :], max(self._seen, len(safe))
        return gained


class Ledger:
    """Log probabilities in the order of their tokens, waiting for the bytes of their text to be shown."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Scored]] = deque()
        self._made = 0
        self._shown = 0

    def add(self, scored: Scored) -> None:
        """One more token."""
        self._made += len(scored.token)
        self._waiting.append((self._made, scored))

    def release(self, text: str, *, last: bool = False) -> tuple[Scored, ...]:
        """The tokens whose text has been shown once this text is; with `last` all that are left."""
        self._shown += len(text.encode())
        ready = []
        while self._waiting and (last or self._waiting[0][0] <= self._shown):
            ready.append(self._waiting.popleft()[1])
        return tuple(ready)

    def skip(self, text: str) -> None:
        """Forget the tokens of a text that is not shown."""
        self._shown += len(text.encode())
        while self._waiting and self._waiting[0][0] <= self._shown:
            self._waiting.popleft()


class Shown:
    """The text of one choice on its way to the client: cut at stop strings, with the scores that go along."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._cutter = StopCutter(stops)
        self._ledger = Ledger()

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met."""
        return self._cutter.hit

    def score(self, scored: Scored) -> None:
        """Keep a token's log probability until its text is shown."""
        self._ledger.add(scored)

    def skip(self, text: str) -> None:
        """Forget the scores of a text that is no part of what is shown."""
        self._ledger.skip(text)

    def push(self, text: str, *, last: bool) -> tuple[str, tuple[Scored, ...]]:
        """(text that may be shown now, the scores of the tokens that are shown with it)."""
        shown = self._cutter.push(text)
        if last:
            shown += self._cutter.flush()
        return shown, self._ledger.release(shown, last=last and not self._cutter.hit)
