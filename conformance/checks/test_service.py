from __future__ import annotations

import dataclasses
import gzip
import json
from typing import TYPE_CHECKING

from conformance.chat import brief
from conformance.registry import check, oracle
from conformance.reply import asked, dig, read
from conformance.verdict import Mismatch, NotApplicable
from conformance.wire import strict_json

if TYPE_CHECKING:
    from conformance.chat import Chat
    from conformance.explore import Explorer
    from conformance.profile import Profile
    from conformance.wire.exchange import Exchange
    from dialects import Dialect

SERVER_ERROR = 500
METHOD_NOT_ALLOWED = 405
EXPECTATION_FAILED = 417
NOT_OFFERED = (404, 405)
GUARDED = (401, 403)
PARTS = {
    "syntax": ("not JSON",),
    "numbers": ("the literal",),
    "utf8": ("bytes that are not UTF-8",),
    "bom": ("a byte order mark",),
    "duplicates": ("the key",),
    "surrogates": ("a lone surrogate",),
}
BAD_INPUTS = (b"{", b"[]", b'{"model": 5}', b'{"messages": "x"}', b"\xff\xfe", b"")
WORDS = (
    "kumquat",
    "ocelot",
    "zeppelin",
    "tundra",
    "bassoon",
    "fjord",
    "gazebo",
    "walnut",
)  # by one of them a leak is seen
AT_ONCE, SAID_TIMES = len(WORDS), 6
GZIP = b"\x1f\x8b"
UNPACKED = ("gzip", "x-gzip", "deflate")  # by the client, before anybody looks at the body


@check("service.chat-answers", per="path", smoke=True)
def test_chat_answers(chat: Chat, path: str) -> None:
    """A minimal request to the documented path is answered with status 200 and a JSON object."""
    reply = chat.plain() if path in ("", chat.path) else chat.ask(path=path)
    if reply.exchange.status != 200 or not reply.body:
        raise Mismatch("status 200 and a JSON object", brief(reply.exchange), reply.exchange)


@check("service.paths-agree")
def test_paths_agree(chat: Chat) -> None:
    """All documented chat paths answer alike: the same members, and refusals with the same status."""
    first, *others = chat.dialect.paths.chat
    members, refusal = set(chat.ask(path=first).body), chat.post(b"{", path=first)
    for path in others:
        other = chat.ask(path=path)
        if set(other.body) != members:
            raise Mismatch(f"the members {sorted(members)}, as on {first}", f"{sorted(other.body)}", other.exchange)
        chat.refused(chat.post(b"{", path=path), refusal.status or 400)


@check("service.get-is-refused")
def test_get_is_refused(chat: Chat) -> None:
    """GET on the chat path is refused with 404 or 405."""
    chat.refused(chat.fetch(chat.path), *NOT_OFFERED, *GUARDED)


@check("service.get-lists-or-refuses")
def test_get_lists_or_refuses(chat: Chat) -> None:
    """GET on the chat path lists stored completions, or is refused with 404 or 405."""
    exchange = chat.fetch(chat.path)
    if exchange.ok and dig(exchange.json, "object") == "list":
        return
    chat.refused(exchange, *NOT_OFFERED, *GUARDED)


@check("service.method-refused")
def test_method_refused(chat: Chat) -> None:
    """PUT, PATCH and DELETE on the chat path are refused, not served and not a server error."""
    for method in ("PUT", "PATCH", "DELETE"):
        exchange = chat.fetch(chat.path, method, b"{}" if method != "DELETE" else b"")
        if exchange.status != 501:
            chat.refused(exchange)


@check("service.unknown-path-is-refused")
def test_unknown_path_is_refused(chat: Chat) -> None:
    """A path that nobody documents is refused with a 4xx status."""
    chat.refused(chat.post(chat.body(), path=f"{chat.path}-nothing"))


@check("service.accepts-json-charset")
def test_accepts_json_charset(chat: Chat) -> None:
    """A charset parameter on application/json changes nothing, nor does the case of these words."""
    chat.accepted(chat.post(chat.body(), headers={"content-type": "Application/JSON; Charset=utf-8"}))


@check("service.chunked-request")
def test_chunked_request(chat: Chat) -> None:
    """A request body in chunked transfer coding is read, or refused with 411, by all that speak HTTP/1.1."""
    data = json.dumps(chat.body()).encode()
    exchange = chat.post(data, pieces=[data[:20], data[20:]])
    if not exchange.ok and exchange.version == "HTTP/1.0":
        raise NotApplicable("the target speaks HTTP/1.0, which knows no chunks (RFC 9112, 6.1)")
    if exchange.status != 411:
        chat.accepted(exchange)


@check("service.expect-continue")
def test_expect_continue(chat: Chat) -> None:
    """A request that announces its body with `Expect: 100-continue` is answered, or refused with 417."""
    exchange = chat.post(chat.body(), headers={"expect": "100-continue"})
    if exchange.status != EXPECTATION_FAILED:
        chat.accepted(exchange)


@check("service.compressed-request")
def test_compressed_request(chat: Chat) -> None:
    """A compressed request body is read or refused with a 4xx status, never taken for broken insides of the server."""
    packed = gzip.compress(json.dumps(chat.body()).encode())
    chat.survived(chat.post(packed, headers={"content-encoding": "gzip"}))


@check("service.other-forms-of-the-path")
def test_other_forms_of_the_path(chat: Chat) -> None:
    """A trailing slash, a doubled slash, another case and a query string are served or refused, never a server error."""
    request = chat.target.request(chat.path, json.dumps(chat.body()).encode())
    base, path = request.url.removesuffix(chat.path), chat.path
    for spelled in (f"{path}/", path.replace("/chat", "//chat"), path.upper(), f"{path}?x=%00%ff"):
        chat.survived(chat.client.send(dataclasses.replace(request, url=base + spelled)))


@check("service.content-type-refused")
def test_content_type_refused(chat: Chat) -> None:
    """Another media type, or none, is refused or ignored, never a server error."""
    cause = chat.dialect.cause("wrong_content_type")
    for kind in ("text/plain", None):
        exchange = chat.survived(chat.post(chat.body(), headers={"content-type": kind}))
        if not exchange.ok:
            chat.refused(exchange, *({*cause.status, 400, 415, 422} if cause else ()))


@check("service.alive-after-errors", smoke=True)
def test_alive_after_errors(chat: Chat, explore: Explorer) -> None:
    """After a bad request, and after a series of them, the target answers a good one."""
    alone = BAD_INPUTS[:2] if explore.examples > 1 else ()  # a record keeps a dozen exchanges; smoke has forty in all
    for data in alone:
        chat.post(data)
        chat.ask()
    for data in BAD_INPUTS:
        chat.post(data)
    chat.ask()


@check("service.health")
def test_health(chat: Chat) -> None:
    """The documented health path answers with status 200 and JSON."""
    exchange = chat.fetch(chat.dialect.paths.health or "/health")
    if exchange.status != 200 or exchange.json is None:
        raise Mismatch("status 200 and JSON", brief(exchange), exchange)


@check("service.concurrent-answers")
def test_concurrent_answers(chat: Chat) -> None:
    """Requests at the same time are all answered, each with its own answer."""
    nonces = [f"nonce-{i}{i * 7919 + 104729}" for i in range(AT_ONCE)]
    said = [f"{nonce} {' '.join([word] * SAID_TIMES)}" for nonce, word in zip(nonces, WORDS, strict=True)]
    bodies = [chat.body(f"Repeat exactly: {text}", tokens=48) for text in said]
    bodies = [{**body, "stream": True} if i % 2 else body for i, body in enumerate(bodies)]
    replies = [chat.accepted(exchange) for exchange in chat.together(bodies, AT_ONCE)]
    for nonce, word, reply in zip(nonces, WORDS, replies, strict=True):
        strangers = [other for other in (*nonces, *WORDS) if other not in (nonce, word) and other in reply.text]
        if strangers:
            raise Mismatch(
                f"no text of another request beside {nonce}", f"{strangers[0]} in {reply.text[:80]!r}", reply.exchange
            )
    ids = [reply.id for reply in replies if isinstance(reply.id, str)]
    if len(set(ids)) < len(ids):
        twice = next(reply for reply in replies if ids.count(reply.id) > 1)
        raise Mismatch("an id of its own for each answer", f"the id {twice.id!r} twice", twice.exchange)


@check("service.disconnect-survives")
def test_disconnect_survives(chat: Chat) -> None:
    """A client that hangs up in the middle of a stream harms nobody: the next requests are answered."""
    for _ in range(3):
        chat.post(chat.body("Write a long story about the sea.", tokens=200, stream=True), stop_after=1)
    for _ in range(2):  # the target may notice only while it answers the first
        chat.ask()


@oracle("service.json-content-type")
def test_json_content_type(exchange: Exchange) -> None:
    """An answer that is JSON, of the chat or of another path, has the media type application/json."""
    if not exchange.ok or exchange.aborted or asked(exchange).get("stream") not in (None, False):
        raise NotApplicable("no whole answer was asked for")
    if not isinstance(asked(exchange).get("messages"), list) and not isinstance(exchange.json, dict | list):
        raise NotApplicable("no JSON")
    if not _claims_json(exchange):
        raise Mismatch("media type application/json", f"{exchange.media_type or 'none'}", exchange)


@oracle("service.strict-json", per="part")
def test_strict_json(exchange: Exchange, part: str) -> None:
    """Every JSON body, and every JSON payload of a stream, is strict JSON: one value, UTF-8, no NaN, no key twice."""
    departures = _departures(exchange)
    if not exchange.streamed and not _claims_json(exchange):
        raise NotApplicable("the answer does not claim to be JSON")
    wanted = PARTS.get(part) or tuple(w for words in PARTS.values() for w in words)
    found = [d for d in departures if d.startswith(wanted)]
    if found:
        raise Mismatch("strict JSON (RFC 8259)", found[0], exchange)


@oracle("service.body-complete")
def test_body_complete(exchange: Exchange) -> None:
    """A whole answer, a refusal too, is as long as its Content-Length or its chunks say; none is cut off."""
    if exchange.aborted or exchange.status is None or exchange.streamed:
        raise NotApplicable("no whole answer")
    if exchange.error and not _coded(exchange):
        raise Mismatch("a body that ends as its head promises", brief(exchange), exchange)


@oracle("service.content-coding")
def test_content_coding(exchange: Exchange) -> None:
    """A body is coded as its Content-Encoding says: what is called compressed unpacks, what is not is plain."""
    if exchange.aborted or not (exchange.body or exchange.error):
        raise NotApplicable("no body")
    if not _coded(exchange):
        if exchange.body.startswith(GZIP):
            raise Mismatch("a body in no coding, as none is named", "gzip", exchange)
        return
    coding = exchange.header("content-encoding")
    if exchange.error:
        raise Mismatch(f"a body in the coding {coding}", f"{exchange.error}", exchange)
    if coding not in UNPACKED and (exchange.json is not None or exchange.body.startswith(b"data:")):
        raise Mismatch(f"a body in the coding {coding}", f"plain text: {brief(exchange)}", exchange)


@oracle("service.allow-listed")
def test_allow_listed(exchange: Exchange) -> None:
    """A refusal with 405 lists the methods that are allowed in the header Allow."""
    if exchange.status != METHOD_NOT_ALLOWED:
        raise NotApplicable("no answer with 405 was seen")
    if exchange.header("allow") is None:
        raise Mismatch("the header Allow", "none", exchange)


@oracle("service.no-server-error")
def test_no_server_error(exchange: Exchange, dialect: Dialect, profile: Profile) -> None:
    """No request of a client, right or wrong, is answered with a server error or a broken connection."""
    if exchange.aborted:
        raise NotApplicable("the exchange was cut on purpose")
    if exchange.status is None and (exchange.error or "").startswith("connect"):
        raise NotApplicable("nobody listens: the run ends, and says so")
    if exchange.status is None:
        raise Mismatch("an answer", f"none ({exchange.error})", exchange)
    if (
        exchange.status >= SERVER_ERROR
        and exchange.status != 501
        and exchange.status not in _excused(exchange, dialect, profile)
    ):
        raise Mismatch("a status below 500", brief(exchange), exchange)


def _excused(exchange: Exchange, dialect: Dialect, profile: Profile) -> set[int]:
    """Server errors that the document promises for what was asked: an unavailable model, a time-out of the caller's.

    A body that was broken by chance may name a model that nobody has.
    """
    body = asked(exchange)
    causes = []
    if body.get("model") == dialect.models.unknown or (exchange.undefined and "model" in body):
        causes += ["unknown_model"]
    if body.get("model") in (profile.models.get("unavailable"), profile.models.get("slow")):
        causes += ["unavailable", "timeout"]
    if {"timeout_secs", "max_ttft_ms"} & set(body):
        causes += ["timeout", "unavailable"]
    return {status for name in causes if (cause := dialect.cause(name)) for status in cause.status}


def _coded(exchange: Exchange) -> bool:
    return (exchange.header("content-encoding") or "identity").strip().lower() != "identity"


def _claims_json(exchange: Exchange) -> bool:
    return exchange.media_type == "application/json" or exchange.media_type.endswith("+json")


def _departures(exchange: Exchange) -> list[str]:
    if exchange.streamed:
        return [d for chunk in read(exchange).chunks for d in chunk.departures]
    if exchange.aborted:
        raise NotApplicable("the exchange was cut on purpose")
    if not _claims_json(exchange) or exchange.status is None or exchange.request.method == "HEAD" or exchange.error:
        raise NotApplicable("the answer does not claim to be JSON")
    if exchange.status in (204, 304) and not exchange.body:
        raise NotApplicable("no body")
    try:
        return strict_json.read(exchange.body)[1]
    except strict_json.NotJson as error:
        return [f"not JSON: {error}"]
