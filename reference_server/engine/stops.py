"""Cutting at stop strings that may span tokens: text that could become one is held back until it is decided."""

from __future__ import annotations

__all__ = ["StopCutter"]


class StopCutter:
    """Feed it text; it hands out what is safe to show and remembers whether a stop string was met.

    The stop string completed first wins; of two completed by the same piece of text, the one that begins earlier.
    """

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.hit = False

    def push(self, text: str) -> str:
        """The part of the text so far that cannot be part of a stop string; after a hit nothing more comes."""
        if self.hit:
            return ""
        if not self._stops:
            return text
        self._held += text
        cut = min((at for stop in self._stops if (at := self._held.find(stop)) >= 0), default=-1)
        if cut >= 0:
            self.hit = True
            return self._release(cut)
        return self._release(len(self._held) - self._doubtful())

    def flush(self) -> str:
        """What was held back, once it is certain that no more text comes."""
        return "" if self.hit else self._release(len(self._held))

    def _release(self, length: int) -> str:
        shown, self._held = self._held[:length], self._held[length:]
        return shown

    def _doubtful(self) -> int:
        """Length of the longest tail that is the beginning of a stop string."""
        longest = max(len(stop) for stop in self._stops) - 1
        tails = range(min(longest, len(self._held)), 0, -1)
        return next((size for size in tails if self._begins(self._held[-size:])), 0)

    def _begins(self, tail: str) -> bool:
        return any(stop.startswith(tail) for stop in self._stops)
