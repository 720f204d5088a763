"""The flow of a stream, which the dialects share: who speaks first, when a finish may go out, where usage stands.

What a chunk and a choice look like is each dialect's own and comes in as two functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference_server.engine import Finish, Text, Usage
from reference_server.wire import base

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_server.engine import Event, Json, Scored

__all__ = ["Stream"]


class Stream:
    """An encoder. `chunk(choices, usage)` and `choice(index, delta, finish, tokens)` build the dialect's objects.

    `opening` is the delta sent for every choice before its first content, `lead` what the first delta carries besides.
    `usage`: own (a chunk without choices at the end), with_finish (in the chunk of the last finish) or none.
    """

    def __init__(
        self,
        chunk: Callable[[list[Json], Usage | None], Json],
        choice: Callable[[int, Json, str | None, tuple[Scored, ...]], Json],
        n: int = 1,
        *,
        opening: Json | None = None,
        lead: Json | None = None,
        usage: str = "none",
    ) -> None:
        self._chunk = chunk
        self._choice = choice
        self._n = n
        self._opening = opening
        self._lead = dict.fromkeys(range(n), lead or {})
        self._usage = usage
        self._held: Finish | None = None

    def open(self) -> list[Json]:
        """The opening delta of every choice, where the dialect has one."""
        if self._opening is None:
            return []
        return [self._one(index, dict(self._opening), None) for index in range(self._n)]

    def push(self, event: Event) -> list[Json]:
        """A chunk for what was said; a finish waits for the next event, which may be the usage that goes with it."""
        if isinstance(event, Usage):
            return self._end(event)
        chunks = self.close()
        if isinstance(event, Finish):
            self._held = event
            return chunks
        tokens = event.tokens if isinstance(event, Text) else ()
        said = {**self._lead[event.choice], **base.delta(event)}
        self._lead[event.choice] = {}
        return [*chunks, self._one(event.choice, said, None, tokens)]

    def close(self) -> list[Json]:
        """The finish that still waits, if any."""
        held, self._held = self._held, None
        return [self._one(held.choice, {}, held.reason)] if held else []

    def _end(self, usage: Usage) -> list[Json]:
        if self._usage == "with_finish" and self._held:
            held, self._held = self._held, None
            return [self._chunk([self._choice(held.choice, {}, held.reason, ())], usage)]
        return [*self.close(), *([self._chunk([], usage)] if self._usage == "own" else [])]

    def _one(self, index: int, delta: Json, finish: str | None, tokens: tuple[Scored, ...] = ()) -> Json:
        return self._chunk([self._choice(index, delta, finish, tokens)], None)
