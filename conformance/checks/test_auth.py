from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.chat import brief
from conformance.registry import check, oracle
from conformance.verdict import Mismatch, NotApplicable

if TYPE_CHECKING:
    from conformance.chat import Chat
    from conformance.wire.exchange import Exchange

WRONG_KEY = "chat-conformance-no-such-key"
UNAUTHORIZED = 401


def _refused(chat: Chat, cause: str, exchange: Exchange) -> None:
    """The status that the document gives for this cause; 401 or 403 where it gives none."""
    documented = chat.dialect.cause(cause)
    chat.refused(exchange, *(documented.status if documented else (401, 403)))


def _without_key(chat: Chat, path: str) -> Exchange:
    """What a request without a key gets on a path, asked once a run."""
    place = "" if path == chat.path else f" on {path}"
    return chat.provoked(f"no_key{place}", lambda: chat.post(chat.body(), path=path, headers={"authorization": None}))


def _with_wrong_key(chat: Chat, path: str) -> Exchange:
    """What a request with a key that nobody issued gets on a path, asked once a run."""
    place = "" if path == chat.path else f" on {path}"
    return chat.provoked(f"bad_key{place}", lambda: chat.post(chat.body(), path=path, key=WRONG_KEY))


@check("auth.missing-key", smoke=True)
def test_missing_key(chat: Chat) -> None:
    """A request without a key is refused with the documented status."""
    chat.keyed()
    _refused(chat, "no_key", _without_key(chat, chat.path))


@check("auth.wrong-key", smoke=True)
def test_wrong_key(chat: Chat) -> None:
    """A request with a key that nobody issued is refused with the documented status."""
    chat.keyed()
    _refused(chat, "bad_key", _with_wrong_key(chat, chat.path))


@check("auth.other-scheme")
def test_other_scheme(chat: Chat) -> None:
    """The key under another authentication scheme is refused with the documented status."""
    chat.keyed()
    _refused(chat, "bad_key", chat.post(chat.body(), headers={"authorization": f"Basic {WRONG_KEY}"}))


@check("auth.empty-bearer")
def test_empty_bearer(chat: Chat) -> None:
    """A Bearer header without a key is refused with the documented status."""
    chat.keyed()
    documented = [c.status for c in map(chat.dialect.cause, ("no_key", "bad_key")) if c]
    statuses = {status for group in documented for status in group} or {401, 403}
    chat.refused(chat.post(chat.body(), headers={"authorization": "Bearer"}), *sorted(statuses))


@check("auth.streamed-request-refused", smoke=True)
def test_streamed_request_refused(chat: Chat) -> None:
    """A streamed request without a valid key gets its status at once, never a 200 event stream."""
    chat.keyed()
    _refused(chat, "no_key", chat.post(chat.body(stream=True), headers={"authorization": None}))
    _refused(chat, "bad_key", chat.post(chat.body(stream=True), key=WRONG_KEY))


@check("auth.every-path")
def test_every_path(chat: Chat) -> None:
    """Every documented chat path refuses a request without a key and one with a wrong key."""
    chat.keyed()
    for path in chat.dialect.paths.chat:
        _refused(chat, "no_key", _without_key(chat, path))
        _refused(chat, "bad_key", _with_wrong_key(chat, path))


@check("auth.scheme-case")
def test_scheme_case(chat: Chat) -> None:
    """The scheme's name is case-insensitive (RFC 9110, 11.1): "bearer" works as "Bearer" does."""
    chat.keyed()
    chat.accepted(chat.post(chat.body(), headers={"authorization": f"bearer {chat.target.key}"}))


@check("auth.api-key-header")
def test_api_key_header(chat: Chat) -> None:
    """Each documented header that may carry the bare key works in place of Authorization."""
    chat.keyed()
    for name in chat.dialect.auth.headers:
        chat.accepted(chat.post(chat.body(), headers={"authorization": None, name: chat.target.key}))


@oracle("auth.key-not-echoed")
def test_key_not_echoed(exchange: Exchange) -> None:
    """No answer holds the key that was sent."""
    key = exchange.request.key
    if not key or len(key) < 12:
        raise NotApplicable("the key is too short to tell its echo from chance")
    places = [name for name, value in exchange.headers if key in value]
    if key.encode() in exchange.body:
        places.append("the body")
    if places:
        raise Mismatch(
            "an answer without the key that was sent", f"the key in {', '.join(places)}: {brief(exchange)}", exchange
        )


@oracle("auth.challenge")
def test_challenge(exchange: Exchange) -> None:
    """A refusal with 401 says in WWW-Authenticate how to do better."""
    if exchange.status != UNAUTHORIZED:
        raise NotApplicable("no answer with 401 was seen")
    if not (exchange.header("www-authenticate") or "").strip():
        raise Mismatch("a challenge in the header WWW-Authenticate", "none", exchange)
