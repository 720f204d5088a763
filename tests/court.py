"""A judge with a chat to a server whose answers the test decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dialects
from conformance.chat import Chat
from conformance.judge import Judge, Oracle
from conformance.profile import Profile
from conformance.target import Target
from conformance.wire.client import Budget, Client, Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.verdict import Outcome
    from tests.loopback import Loopback, Received


Json = dict[str, Any]
OPENAI = dialects.load("openai")
ANSWER: Json = {"choices": [{"message": {"content": "Hi"}}], "usage": {"prompt_tokens": 4, "completion_tokens": 2}}


class Court:
    """A judge with a chat to a server whose answers the test decides."""

    def __init__(self, server: Loopback, oracles: list[Oracle] | None = None, **limits: int) -> None:
        self.server = server
        self.client = Client(Timeouts(20, 30, 40), budget=Budget(limits.get("requests")))
        self.judge = Judge(self.client, OPENAI, oracles or [], max_tokens=limits.get("tokens"))
        self.chat = Chat(self.client, Target(server.url, "m", "a-long-secret"), OPENAI, Profile(), self.judge.memo)
        self.judge.chat = self.chat

    def check(self, body: Callable[[], Any], **options: bool) -> Outcome:
        outcome = self.judge.run(body, "What is expected.", generated=options.get("generated", False))
        self.judge.inspect()
        return outcome


def answers(*each: bytes) -> Callable[[Received], bytes]:
    """A handler: these answers in order, then the last one for ever."""
    left = list(each)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]
