"""Asks for many documented values with few requests, without losing which one is at fault.

A body that is accepted shows that every value in it is. So simple values of independent fields travel together, a round
of bundles before the first single question, and the same body is never asked for twice. Only where a bundle is refused are
its values asked for one by one, and a refusal is always that of the single value's own smallest request.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from conformance.schema import place, spots
from conformance.values import accepted as documented
from conformance.values import strategy, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.chat import Chat
    from conformance.schema import Spot

__all__ = ["accepted", "around", "bodies"]

Json = dict[str, Any]
TOKENS = 16
ALONE = (
    "model",
    "messages",
    "stream",
    "n",
    "audio",
    "modalities",
    "functions",
    "function_call",
    "web_search_options",
    "moderation",
)
"""Fields whose values change what kind of answer is asked for, or that some targets rightly treat on their own."""
PLAIN = ("logprobs",)
"""Capabilities of simple fields."""


def accepted(chat: Chat, where: Spot, value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Raise Mismatch unless the target accepts the value at the spot."""
    shown: set[str] = chat.memo("accepted values", set)
    body = around(chat, where, value)
    if _mark(body) in shown:
        return
    if _simple(chat, where):
        shown |= chat.memo("accepted bundles", lambda: _all_bundles(chat))
    if _mark(body) not in shown:
        chat.accepted(chat.post(body))
        shown.add(_mark(body))


def around(chat: Chat, where: Spot, value: Any) -> Json:  # noqa: ANN401 - any JSON value
    """A request with the value at the spot, as cheap as may be.

    A token limit stands alone: no document says which of two would win. Many choices have one token each.
    """
    alone = where.path[0] in chat.dialect.request.token_limits and value is not None
    tokens = None if alone else 1 if where.path == ("n",) else TOKENS
    return place(chat.dialect.schemas["request"], chat.body(tokens=tokens), where, value)


def bodies(chat: Chat) -> st.SearchStrategy[Json]:
    """Bodies that the document allows: any text, any subset of the simple fields, each value from anywhere in its range."""
    root = chat.dialect.schemas["request"]
    fields = {}
    for column in _columns(chat):
        spot = column[0][0]
        listed = st.sampled_from([value for _, value in column])
        drawn = strategy(spots(root, spot.path[0])[0])
        fields[spot.path[0]] = listed if drawn is None else st.one_of(listed, drawn)
    if chat.dialect.documents("stream"):
        fields["stream"] = st.booleans()
    return st.builds(
        lambda said, chosen: {**chat.body(said), **chosen}, text(), st.fixed_dictionaries({}, optional=fields)
    )


def _mark(body: Json) -> str:
    return json.dumps(body, sort_keys=True)


def _simple(chat: Chat, where: Spot) -> bool:
    alone = (*ALONE, *chat.dialect.request.token_limits)
    offered = all(need in PLAIN and chat.profile.offers(need) for need in where.needs)
    return len(where.path) == 1 and where.path[0] not in alone and not where.beside and offered


def _all_bundles(chat: Chat) -> set[str]:
    """The marks of the single-value bodies whose values came through in an accepted bundle."""
    root, shown = chat.dialect.schemas["request"], set()
    for bundle in _bundles(chat):
        body = chat.body()
        for where, value in bundle:
            body = place(root, body, where, value)
        if chat.post(body).ok:
            shown |= {_mark(place(root, chat.body(), where, value)) for where, value in bundle}
    return shown


def _bundles(chat: Chat) -> Iterator[list[tuple[Spot, Any]]]:
    """The first value of every field, then the second of every field that has one, and so on."""
    columns = list(_columns(chat))
    for row in range(max(map(len, columns), default=0)):
        yield [column[row] for column in columns if row < len(column)]


def _columns(chat: Chat) -> Iterator[list[tuple[Spot, Any]]]:
    root = chat.dialect.schemas["request"]
    for name, rule in root["properties"].items():
        for spot in spots(root, name)[:1]:
            if "x-excludes" in rule:  # stands for another field, which is in the bundle
                continue
            pairs = [pair for pair in documented(root, spot) if _simple(chat, pair[0])]
            if pairs and spot.tier == "seed":
                yield pairs
