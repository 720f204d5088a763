from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from conformance.capability import lever_model
from conformance.chat import brief
from conformance.registry import check
from conformance.verdict import Inconclusive, Mismatch, NotApplicable, Untested
from conformance.window import WHOLE, SpentWindow, Window, promised_wait

if TYPE_CHECKING:
    from conformance.chat import Chat
    from conformance.explore import Explorer
    from conformance.wire.exchange import Exchange

Json = dict[str, Any]
WINDOW = 60.0
MOST = 100
MARGIN = 2
CALLS = 4
WALKS, STEPS = 2, 5
# Numbers of headers are read as float: int() refuses more than 4,300 digits, which a target may send.
DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
LONG_TASK = "Count from 1 to 20000, every number, without leaving any out."
ALLOWED_SECONDS = 1
SERVER_ERROR = 500
SLACK = 2.0


def _burst(chat: Chat) -> list[Exchange]:
    """Requests with the limited key, plain and streamed in turn, until one is refused with 429; once a run.

    At most the limit and two more: a window that was used a little before is full sooner.
    """
    key = chat.lever("limited")
    limit = chat.profile.limits.get("requests_per_minute")
    if limit is None:
        raise Untested("needs the limit of the limited key: limits.requests_per_minute in --profile")
    if limit > MOST:
        raise Untested(f"the limited key allows {limit} requests a minute: give one that allows at most {MOST}")
    exchanges: list[Exchange] = chat.memo("burst", lambda: _until_refused(chat, key, limit + MARGIN))
    return exchanges


def _until_refused(chat: Chat, key: str, most: int) -> list[Exchange]:
    exchanges: list[Exchange] = []
    while len(exchanges) < most and (not exchanges or exchanges[-1].status != 429):
        body = chat.body(tokens=4, stream=bool(len(exchanges) % 2))
        exchanges.append(chat.post(body, key=key))
        if not exchanges[-1].ok and exchanges[-1].status != 429:
            break
    return exchanges


def _over(chat: Chat) -> Exchange:
    """The first refusal with 429; Mismatch when the burst met none, Inconclusive when it was no burst."""
    exchanges = _burst(chat)
    last = exchanges[-1]
    if last.status == 429:
        return last
    if not last.ok:
        raise Inconclusive(f"the limited key was not served: {brief(last)}")
    taken = last.started + last.seconds - exchanges[0].started
    if taken > WINDOW:
        raise Inconclusive(f"{len(exchanges)} requests took {taken:.0f} s, longer than the window")
    limit = chat.profile.limits["requests_per_minute"]
    expected = f"a 429 within {len(exchanges)} requests with a key that allows {limit} a minute"
    raise Mismatch(expected, f"{len(exchanges)} answers in {taken:.1f} s", last)


@check("limits.rate-limited")
def test_rate_limited(chat: Chat) -> None:
    """Beyond its limit a key gets 429, streamed or not, as long as Retry-After says."""
    refused = _burst(chat)[-1]
    if (refused.status or 0) >= SERVER_ERROR and chat.ask():  # while others are served it is the limit that is told so
        raise Mismatch("429, as soon as the limit of the key is spent", brief(refused), refused)
    last = _over(chat)
    key = chat.lever("limited")
    for stream in (False, True):
        exchange = chat.post(chat.body(tokens=4, stream=stream), key=key)
        if exchange.status != 429 and exchange.started + exchange.seconds - last.started < promised_wait(last):
            raise Mismatch("429 again, before the time of Retry-After is over", brief(exchange), exchange)


@check("limits.window")
def test_window(chat: Chat, explore: Explorer) -> None:
    """While the window of a key is spent it gets 429 and other keys are served, in whatever order they ask, streamed or not."""
    window = Window(chat.lever("limited"))
    if window.key == chat.target.key:
        raise Untested("the limited key is the run's own key: name another one as keys.limited in --profile")
    window.refused(_over(chat))

    def walk() -> None:
        explore.walk(lambda: SpentWindow(chat, window), walks=min(explore.examples, WALKS), steps=STEPS, shrink=False)

    walk()
    if window.reopened(chat, explore):
        walk()


@check("limits.retry-after")
def test_retry_after(chat: Chat) -> None:
    """A 429 tells when to come back: seconds or an HTTP date (RFC 9110, 10.2.3); always, where that is documented."""
    rule = chat.dialect.ratelimit.retry_after
    if rule == "never":
        raise NotApplicable("the document has no Retry-After")
    last = _over(chat)
    value = last.header("retry-after")
    if value is None and rule == "may":
        raise NotApplicable("this 429 has no Retry-After, and the document does not demand one")
    if value is None or not _is_moment(value.strip()):
        raise Mismatch("Retry-After with whole seconds or an HTTP date", f"Retry-After: {value}", last)


@check("limits.retry-after-seconds")
def test_retry_after_seconds(chat: Chat) -> None:
    """A Retry-After that comes with a 429 is a whole number of seconds, at least 1."""
    last = _over(chat)
    value = last.header("retry-after")
    if value is None:
        raise NotApplicable("this 429 has no Retry-After, and the document does not demand one")
    if not WHOLE.fullmatch(value.strip()) or float(value) < 1:
        raise Mismatch("Retry-After with whole seconds, at least 1", f"Retry-After: {value}", last)


def _is_moment(value: str) -> bool:
    if WHOLE.fullmatch(value):
        return True
    try:
        return parsedate_to_datetime(value).tzinfo is not None
    except (ValueError, OverflowError):
        return False


@check("limits.headers")
def test_headers(chat: Chat) -> None:
    """Every answer has each documented rate-limit header: whole numbers, what remains within the limit."""
    names = _promised(chat)
    refused = chat.memo("limits refused", lambda: chat.post(chat.body(messages=5)))
    for exchange in (chat.plain().exchange, chat.streamed().exchange, refused):
        values = {name: exchange.header(name) for name in names}
        for name, value in values.items():
            if value is None or not _well_formed(name, value.strip()):
                raise Mismatch(f"the header {name} with a whole number", f"{name}: {value}", exchange)
        for name in names:
            limit = (exchange.header(re.sub("(?i)remaining", "limit", name)) or "").strip()
            if "remaining" in name.lower() and WHOLE.fullmatch(limit) and float(values[name] or 0) > float(limit):
                raise Mismatch(f"{name} of at most {limit}, the limit", f"{name}: {values[name]}", exchange)


def _promised(chat: Chat) -> tuple[str, ...]:
    names = chat.dialect.ratelimit.headers
    if not names:
        raise NotApplicable("the document has no rate-limit headers")
    return names


def _well_formed(name: str, value: str) -> bool:
    """Whole numbers; a reset may be a duration such as 6m0s, too."""
    return bool(WHOLE.fullmatch(value) or ("reset" in name.lower() and DURATION.fullmatch(value)))


@check("limits.remaining-decreases")
def test_remaining_decreases(chat: Chat) -> None:
    """What remains goes down from one request to the next within a window."""
    names = [name for name in _promised(chat) if "remaining" in name.lower() and "token" not in name.lower()]
    if not names:
        raise NotApplicable("the document has no header for the requests that remain")
    exchanges = _series(chat)
    counts = [float(v) for e in exchanges if WHOLE.fullmatch(v := (e.header(names[0]) or "").strip())]
    if len(counts) < len(exchanges):
        raise Mismatch(
            f"{names[0]} with a whole number", f"{len(exchanges) - len(counts)} answers without", exchanges[-1]
        )
    if any(later < sooner for sooner, later in pairwise(counts)):
        return
    limit = exchanges[-1].header(re.sub("(?i)remaining", "limit", names[0]))
    seen = f"{names[0]}: {', '.join(f'{count:.0f}' for count in counts)} in {len(counts)} requests"
    if all(count and f"{count:.0f}" != limit for count in counts):
        raise Inconclusive(f"{seen}; older requests may have left a sliding window as fast as these came, or faster")
    raise Mismatch(f"{names[0]} going down", seen, exchanges[-1])


def _series(chat: Chat) -> list[Exchange]:
    """Answers one after the other: those of the burst with the limited key, or else a few of their own."""
    try:
        answered = [exchange for exchange in _burst(chat) if exchange.ok]
    except Untested:
        answered = []
    return answered if len(answered) > 1 else [chat.ask(tokens=4).exchange for _ in range(CALLS)]


@check("limits.no-credit")
def test_no_credit(chat: Chat) -> None:
    """A key without credit is refused with the documented status, streamed or not."""
    _refuses(chat, "no_credit", (402, 403, 429), key=chat.lever("no_credit"))


@check("limits.forbidden")
def test_forbidden(chat: Chat) -> None:
    """A key without the permission is refused with the documented status, streamed or not."""
    _refuses(chat, "forbidden", (401, 403), key=chat.lever("forbidden"))


@check("limits.unavailable")
def test_unavailable(chat: Chat) -> None:
    """A model that is out of service is refused with the documented status, streamed or not."""
    _refuses(chat, "unavailable", (503,), model=lever_model(chat, "unavailable", "a model that is out of service"))


def _refuses(
    chat: Chat, cause: str, otherwise: tuple[int, ...], *, key: str | None = None, model: str | None = None
) -> None:
    """Ask, plain and streamed, and insist on a status of the cause."""
    documented = chat.dialect.cause(cause)
    statuses = documented.status if documented else otherwise
    for stream in (False, True):
        exchange = chat.post(chat.body(model=model or chat.target.model, stream=stream), key=key)
        if exchange.status not in statuses:
            raise Mismatch(f"status {' or '.join(map(str, statuses))}", brief(exchange), exchange)


@check("limits.timeout")
def test_timeout(chat: Chat) -> None:
    """A request that outlives the time that it allows is answered with the documented status."""
    documented = chat.dialect.cause("timeout")
    statuses = documented.status if documented else (504,)
    model = chat.profile.models.get("slow", chat.target.model)
    fields: Json = {"timeout_secs": ALLOWED_SECONDS} if chat.dialect.documents("timeout_secs") else {}
    if not fields and model == chat.target.model:
        raise Untested("needs a model that takes too long: name it as models.slow in --profile")
    exchange = chat.post(chat.body(LONG_TASK, tokens=2048, model=model, **fields))
    if exchange.status in statuses:
        return
    if exchange.ok and fields and exchange.seconds < ALLOWED_SECONDS + SLACK:
        took = f"the answer came after {exchange.seconds:.1f} s, within the {ALLOWED_SECONDS} s that it may take"
        raise Untested(f"{took}: name a slower model as models.slow in --profile")
    raise Mismatch(
        f"status {' or '.join(map(str, statuses))}", f"{brief(exchange)} after {exchange.seconds:.1f} s", exchange
    )
