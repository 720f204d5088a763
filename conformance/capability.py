"""Answers to requests for what a target may leave out: a clean refusal decides nothing; some models are levers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.chat import brief
from conformance.reply import asked
from conformance.verdict import Inconclusive, Mismatch, NotApplicable, Untested

if TYPE_CHECKING:
    from conformance.chat import Chat
    from conformance.reply import Choice, Reply
    from conformance.wire.exchange import Exchange

__all__ = ["excused", "honoured", "lever_model", "streaming", "whole"]


def honoured(chat: Chat, exchange: Exchange) -> Reply:
    """The answer; a 4xx is Inconclusive (rows on accepted requests judge it), a 5xx or a broken answer a Mismatch."""
    if exchange.status is not None and 400 <= exchange.status < 500:  # noqa: PLR2004 - the class of refusals
        raise Inconclusive(f"the request was refused, so nothing was shown: {brief(exchange)}")
    return chat.accepted(exchange)


def streaming(chat: Chat, exchange: Exchange) -> Reply:
    """The streamed answer; a refusal is a Mismatch where the same request not streamed is answered, else as above."""
    try:
        return honoured(chat, exchange)
    except Inconclusive:
        if not chat.post(_unstreamed(asked(exchange))).ok:
            raise
    expected = "a stream, as the same request not streamed is answered"
    raise Mismatch(expected, brief(exchange), exchange)


def _unstreamed(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in ("stream", "stream_options")}


def excused(choice: Choice) -> None:
    """Raise Inconclusive where a choice has no text and says why."""
    if not choice.text and choice.excuse:
        raise Inconclusive(f"no text came: {choice.excuse}")


def lever_model(chat: Chat, name: str, what: str) -> str:
    """The model that the profile names for this lever, or Untested."""
    model = chat.profile.models.get(name)
    if model is None:
        raise Untested(f"needs {what}: name it as models.{name} in --profile")
    return model


def whole(reply: Reply) -> Reply:
    """The answer; one that broke off, is an error or has no choice is left to the rows that say so."""
    failed = any(isinstance(chunk.value, dict) and chunk.value.get("error") for chunk in reply.chunks)
    if reply.exchange.error or failed or not reply.choices:
        raise NotApplicable("the answer broke off, or has no choices")
    return reply
