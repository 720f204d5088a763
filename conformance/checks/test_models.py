from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from conformance.chat import brief
from conformance.fields import Field, shown
from conformance.registry import check
from conformance.reply import dig
from conformance.verdict import Inconclusive, Mismatch, NotApplicable

if TYPE_CHECKING:
    from conformance.chat import Chat
    from conformance.wire.exchange import Exchange

Json = dict[str, Any]


def _list(chat: Chat) -> Exchange:
    """The list of models, fetched once a run."""
    path = chat.dialect.paths.models
    if path is None:
        raise NotApplicable("the document has no list of models")
    exchange: Exchange = chat.memo("models", lambda: chat.fetch(path))
    if exchange.status != 200 or not isinstance(exchange.json, dict):
        raise Mismatch("status 200 and a JSON object", brief(exchange), exchange)
    return exchange


def _ids(exchange: Exchange) -> list[str]:
    data = dig(exchange.json, "data")
    found = [dig(model, "id") for model in data] if isinstance(data, list) else []
    return [name for name in found if isinstance(name, str)]


@check("models.list", smoke=True)
def test_list(chat: Chat) -> None:
    """The list of models is a JSON object whose data names at least one model, each name once."""
    exchange = _list(chat)
    ids = _ids(exchange)
    if not ids or len(set(ids)) < len(ids):
        raise Mismatch("data with at least one model, each id once", f"the ids {shown(ids)}", exchange)


@check("models.field", per="path")
def test_field(chat: Chat, path: str) -> None:
    """The member of the list, or of every model in it, is as documented."""
    exchange = _list(chat)
    rule = Field(chat.dialect.schemas["models"], path, null_is_absent=chat.dialect.response.null_is_absent)
    for problem in rule.problems(exchange.json):
        raise Mismatch(rule.expectation, problem, exchange)


@check("models.lists-the-judged")
def test_lists_the_judged(chat: Chat) -> None:
    """The list has the model that is being judged."""
    exchange = _list(chat)
    if chat.target.model not in _ids(exchange):
        raise Mismatch(f"{chat.target.model} among the models", shown(_ids(exchange)), exchange)


@check("models.retrieve")
def test_retrieve(chat: Chat) -> None:
    """A listed model is found under its id and has that id; an id that nobody has is refused."""
    path = chat.dialect.paths.model
    if path is None:
        raise NotApplicable("the document has no path of one model")
    listed = _ids(_list(chat))
    if not listed:
        raise Inconclusive("no model is listed that could be looked up")
    name = chat.target.model if chat.target.model in listed else listed[0]
    exchange = _one(chat, path, name)
    if exchange.status != 200 or dig(exchange.json, "id") != name:
        raise Mismatch(f"the model with the id {name}", brief(exchange), exchange)
    chat.refused(chat.fetch(path.format(model=quote(chat.dialect.models.unknown, safe=""))))


def _one(chat: Chat, path: str, name: str) -> Exchange:
    """The model of that name; a name with a slash may lie under the slash itself or under its escaped form."""
    exchange = chat.fetch(path.format(model=quote(name, safe="")))
    return exchange if exchange.ok or "/" not in name else chat.fetch(path.format(model=quote(name)))
