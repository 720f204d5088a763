from __future__ import annotations

import re
from typing import TYPE_CHECKING

from conformance.chat import OMIT, brief
from conformance.fields import Field, shown
from conformance.registry import check, oracle
from conformance.reply import dig
from conformance.verdict import Inconclusive, Mismatch, NotApplicable, Untested

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.chat import Chat
    from conformance.wire.exchange import Exchange
    from dialects import Dialect

WRONG_KEY = "chat-conformance-no-such-key"
TRACES = (
    re.compile(r"Traceback \(most recent call last\)"),
    re.compile(r'File "[^"]+\.py", line \d+'),
    re.compile(r"\n\s+at [\w.$<>]+ ?\([^)]*:\d+(:\d+)?\)"),
    re.compile(r"goroutine \d+ \["),
    re.compile(r"thread '[^']+' panicked at"),
    re.compile(r"(?<![\w.])/(usr|home|opt|root|app|var|srv|workspace)/[\w./-]+\.(py|go|rs|js|ts|cpp|so)\b"),
)
MARKERS = {"unknown_model": "EntityNotFound"}
STATUS_ONLY = (404, 405, 411, 413, 414, 415, 417, 431)


@oracle("errors.field", per="path")
def test_field(refusal: Exchange, dialect: Dialect, path: str) -> None:
    """The member of a refusal's body is as the document says: there, of its type, one of its values."""
    if not _from_chat(refusal, dialect):
        raise NotApplicable("not an answer of the chat path")
    field = Field.of(dialect, "error", path)
    body = refusal.json
    if not isinstance(body, dict) and len(field.path) == 1:
        raise Mismatch("a JSON object as error body", brief(refusal), refusal)
    problem = next(field.problems(body), None)
    if problem:
        raise Mismatch(field.expectation, f"{problem} in {brief(refusal)}", refusal)


@oracle("errors.body-text")
def test_body_text(refusal: Exchange, dialect: Dialect) -> None:
    """A refusal has a body that is text and not empty."""
    if not _from_chat(refusal, dialect):
        raise NotApplicable("not an answer of the chat path")
    try:
        text = refusal.body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Mismatch("a body that is text", f"bytes that are not UTF-8 at {error.start}", refusal) from error
    if not text.strip():
        raise Mismatch("a body that says what is wrong", f"an empty one (status {refusal.status})", refusal)


@oracle("errors.content-type")
def test_content_type(refusal: Exchange, dialect: Dialect) -> None:
    """A refusal has the media type of its documented form: application/json, or text where the document says text."""
    if not _from_chat(refusal, dialect):
        raise NotApplicable("not an answer of the chat path")
    if dialect.errors.body == "text":
        allowed = refusal.media_type.startswith("text/") or refusal.media_type == "application/json"
    else:
        allowed = refusal.media_type in ("application/json", "application/problem+json")
    if not allowed:
        wanted = "text/plain" if dialect.errors.body == "text" else "application/json"
        raise Mismatch(f"media type {wanted}", f"{refusal.media_type or 'none'} (status {refusal.status})", refusal)


@check("errors.status", per="cause")
def test_status(chat: Chat, cause: str) -> None:
    """The mistake is answered with its documented status."""
    name, _, only = cause.partition("=")
    documented = chat.dialect.cause(name)
    statuses = (int(only),) if only else documented.status if documented else ()
    chat.refused(_provoked(chat, name), *statuses)


@check("errors.type", per="cause")
def test_type(chat: Chat, cause: str) -> None:
    """The mistake's error object has the documented type."""
    documented = chat.dialect.cause(cause)
    exchange = chat.refused(_provoked(chat, cause))
    found = dig(exchange.json, "error", "type")
    if documented and documented.type and found != documented.type:
        raise Mismatch(f"error type {documented.type!r}", f"{shown(found)} (status {exchange.status})", exchange)


@check("errors.code", per="cause")
def test_code(chat: Chat, cause: str) -> None:
    """The mistake's error object has the documented code."""
    documented = chat.dialect.cause(cause)
    exchange = chat.refused(_provoked(chat, cause))
    found = dig(exchange.json, "error", "code")
    if documented and documented.code is not None and found != documented.code:
        raise Mismatch(f"error code {documented.code!r}", f"{shown(found)} (status {exchange.status})", exchange)


@check("errors.marker", per="cause")
def test_marker(chat: Chat, cause: str) -> None:
    """The mistake's message holds the word by which the vendor's clients know it."""
    exchange = chat.refused(_provoked(chat, cause))
    word = MARKERS.get(cause, "")
    if word not in _message(exchange):
        raise Mismatch(f"a message with the word {word}", f"{_message(exchange)[:100]!r}", exchange)


@oracle("errors.message-useful")
def test_message_useful(refusal: Exchange, dialect: Dialect) -> None:
    """A refusal says what is wrong, and gives away no stack trace and no file of the server."""
    if not _from_chat(refusal, dialect):
        raise NotApplicable("not an answer of the chat path")
    if not _message(refusal).strip() and refusal.status not in STATUS_ONLY:
        raise Mismatch("a message that says what is wrong", brief(refusal), refusal)
    sent = refusal.request.body.decode("utf-8", "replace")
    for trace in TRACES:
        found = trace.search(refusal.text)
        if found and found.group() not in sent:
            raise Mismatch("a message without the server's insides", f"{found.group().strip()[:100]!r}", refusal)


@check("errors.param-names-field")
def test_param_names_field(chat: Chat) -> None:
    """Where an error object has param, it names the field at fault."""
    for field, exchange in _one_broken_field(chat):
        param = dig(chat.refused(exchange).json, "error", "param")
        if isinstance(param, str) and param and field not in param:
            raise Mismatch(f"param that names {field!r}", f"{param[:60]!r}", exchange)


@oracle("errors.status-documented")
def test_status_documented(refusal: Exchange, dialect: Dialect) -> None:
    """Every refusal has a status that the document lists, or one that HTTP itself gives to the framing of a request."""
    listed = {status for cause in dialect.errors.causes.values() for status in cause.status}
    if refusal.status not in listed and refusal.status not in (*STATUS_ONLY, 422, 501):
        raise Mismatch(f"one of the statuses {sorted(listed)}", f"{refusal.status}", refusal)


def _message(refusal: Exchange) -> str:
    body = refusal.json
    for path in (("error", "message"), ("error",), ("message",), ("detail",)):
        found = dig(body, *path)
        if isinstance(found, str):
            return found
    return refusal.text if not isinstance(body, dict) else ""


def _from_chat(refusal: Exchange, dialect: Dialect) -> bool:
    """Whether a refusal came from the chat path by POST; what other paths and methods say is their own matter."""
    return refusal.request.method == "POST" and refusal.request.url.endswith(tuple(dialect.paths.chat))


def _one_broken_field(chat: Chat) -> list[tuple[str, Exchange]]:
    found = [("messages", _provoked(chat, "missing_field")), ("stream", chat.post(chat.body(stream="perhaps")))]
    return [
        *found,
        *([("temperature", _provoked(chat, "wrong_type"))] if chat.dialect.documents("temperature") else []),
    ]


def _provoked(chat: Chat, cause: str) -> Exchange:
    """An exchange in which the client makes this mistake; asked once a run."""
    provoke = PROVOKE.get(cause)
    if provoke is None:
        raise Untested(f"nothing outside the target provokes {cause} reliably")
    return chat.provoked(cause, lambda: provoke(chat))


def _keyed(chat: Chat, exchange: Callable[[], Exchange]) -> Exchange:
    chat.keyed()
    return exchange()


def _out_of_range(chat: Chat) -> Exchange:
    from conformance.schema import spots
    from conformance.values import broken

    root = chat.dialect.schemas["request"]
    for name in ("temperature", "top_p", "frequency_penalty", "n", "max_tokens"):
        for spot in spots(root, name):
            values = broken(root, spot, "range")
            if values:
                return chat.post(chat.body(**{name: values[0]}))
    raise Inconclusive("the document states no range")


def _levered(chat: Chat, lever: str) -> Exchange:
    return chat.post(chat.body(), key=chat.lever(lever))


def _unavailable(chat: Chat) -> Exchange:
    model = chat.profile.models.get("unavailable")
    if model is None:
        raise Untested("needs a model that is temporarily unavailable: models.unavailable in --profile")
    return chat.post(chat.body(model=model))


def _context_overflow(chat: Chat) -> Exchange:
    tokens = chat.profile.limits.get("context_tokens")
    if tokens is None:
        raise Untested("needs the length of the context: limits.context_tokens in --profile")
    return chat.post(chat.body("lighthouse " * (2 * tokens)))


PROVOKE: dict[str, Callable[[Chat], Exchange]] = {
    "malformed_json": lambda chat: chat.post(b'{"model": '),
    "not_object": lambda chat: chat.post(b"[]"),
    "missing_field": lambda chat: chat.post(chat.body(messages=OMIT)),
    "wrong_type": lambda chat: chat.post(chat.body(temperature="hot")),
    "out_of_range": _out_of_range,
    "unknown_model": lambda chat: chat.post(chat.body(model=chat.dialect.models.unknown)),
    "wrong_content_type": lambda chat: chat.post(chat.body(), headers={"content-type": "text/plain"}),
    "method_not_allowed": lambda chat: chat.fetch(chat.path, "DELETE"),
    "unknown_path": lambda chat: chat.post(chat.body(), path=f"{chat.path}-nothing"),
    "no_key": lambda chat: _keyed(chat, lambda: chat.post(chat.body(), headers={"authorization": None})),
    "bad_key": lambda chat: _keyed(chat, lambda: chat.post(chat.body(), key=WRONG_KEY)),
    "no_credit": lambda chat: _levered(chat, "no_credit"),
    "forbidden": lambda chat: _levered(chat, "forbidden"),
    "unavailable": _unavailable,
    "context_overflow": _context_overflow,
}
