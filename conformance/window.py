"""A rate limit's window as a state machine: who is refused while it is spent, who is not, and what comes afterwards."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from conformance.chat import brief
from conformance.patience import TOO_MANY, WHOLE, promised_wait
from conformance.verdict import Inconclusive, Mismatch

if TYPE_CHECKING:
    from conformance.chat import Chat
    from conformance.explore import Explorer
    from conformance.wire.exchange import Exchange

__all__ = ["WHOLE", "SpentWindow", "Window", "promised_wait"]

OTHER = (
    "Say hello"  # the bystander's request differs from the limited one's in more than its key, which no record shows
)
LATE = 1.0
COMEBACKS = 2


@dataclass
class Window:
    """What is known of the limited key's window: `until` is the moment (as in `Exchange.started`) before which it is spent.

    It outlives a walk, as the target's own window does.
    """

    key: str
    until: float = 0.0

    def ask(self, chat: Chat, *, stream: bool = False) -> Exchange:
        """Ask with the limited key."""
        exchange = chat.post(chat.body(tokens=4, stream=stream), key=self.key)
        if exchange.status == TOO_MANY:
            self.refused(exchange)
        return exchange

    def refused(self, exchange: Exchange) -> None:
        """Take note of a 429."""
        self.until = max(self.until, exchange.started + promised_wait(exchange))

    def reopened(self, chat: Chat, explore: Explorer) -> bool:
        """Wait until it should be open, and ask: whether the run had the patience. Raises Mismatch where it stays shut.

        A refusal is believed at the second try: others may use the same key.
        """
        for _ in range(COMEBACKS):
            wait = self.until + LATE - time.time()
            if not self.until or wait > explore.patience:
                return False
            explore.wait(wait)
            exchange = self.ask(chat)
            if exchange.ok:
                self.until = 0.0
                return True
        raise Mismatch("an answer, as the time of Retry-After is over", brief(exchange), exchange)

    def spent_at(self, moment: float) -> bool:
        """Whether a refusal has said that nothing is served yet."""
        return moment < self.until


class SpentWindow(RuleBasedStateMachine):
    """A client with a limited key, whose window is spent at first, and one with another key, in any order, streaming or not.

    One rule and not two: hypothesis leaves whole rules out of a walk, and a run takes few walks.
    """

    def __init__(self, chat: Chat, window: Window) -> None:
        super().__init__()
        self.chat, self.window = chat, window
        self.steps: list[str] = []

    @rule(limited=st.booleans(), stream=st.booleans())
    def ask(self, *, limited: bool, stream: bool) -> None:
        """The limited key gets 429 while its window is spent, then 429 or an answer; the other key is served as ever."""
        exchange = self.window.ask(self.chat, stream=stream) if limited else self._other(stream=stream)
        who = "the limited key" if limited else "another key"
        self.steps.append(f"{who}{', streamed' if stream else ''}: {exchange.status or exchange.error}")
        expected = self._expected(exchange, limited=limited)
        if expected:
            raise Mismatch(expected, f"{brief(exchange)} (after a 429: {'; '.join(self.steps)})", exchange)

    def _other(self, *, stream: bool) -> Exchange:
        """A request with the run's own key, which does not wait: that it is not held up is what is asked."""
        exchange = self.chat.post(self.chat.body(OTHER, tokens=5, stream=stream), patient=False)
        if exchange.status == TOO_MANY and self.chat.patience.met:
            raise Inconclusive("the run's own key met its own limit too, so nothing follows from a 429")
        return exchange

    def _expected(self, exchange: Exchange, *, limited: bool) -> str | None:
        """What should have come instead, or None."""
        if not limited:
            return None if exchange.ok else "an answer for another key, whose limit is not spent"
        if exchange.status == TOO_MANY:
            return None
        if not exchange.ok:
            return "429, as the limit of the key is spent, or an answer"
        early = self.window.spent_at(exchange.started + exchange.seconds)
        return "429 again, before the time of Retry-After is over" if early else None
