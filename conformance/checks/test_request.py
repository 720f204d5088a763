from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from conformance import bundles
from conformance.chat import HI, STORY, brief
from conformance.registry import check
from conformance.reply import dig
from conformance.schema import Spot, place, spots, valid
from conformance.values import CAUSES, accepted, broken, mutilated, text
from conformance.verdict import Inconclusive, Mismatch

if TYPE_CHECKING:
    from conformance.chat import Chat
    from conformance.explore import Explorer
    from conformance.reply import Reply
    from conformance.wire.exchange import Exchange

Json = dict[str, Any]
MULTI_TURN = [
    {"role": "system", "content": "You answer in few words."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hi! What can I do for you?"},
    *({"role": role, "content": said} for said in "abcd" for role in ("user", "assistant")),
    {"role": "user", "content": "Say hi again"},
]
SOUND = [{"role": "user", "content": HI}, {"role": "assistant", "content": "Hi!"}]
# Two of the system's messages, one of them late, two questions at once: no document says that roles take turns.
ANY_TURNS = [
    {"role": "system", "content": "You answer in few words."},
    {"role": "system", "content": "You are friendly."},
    {"role": "user", "content": "Hello"},
    {"role": "user", "content": "Is anybody there?"},
    {"role": "assistant", "content": "Hi! What can I do for you?"},
    {"role": "system", "content": "Now be brief."},
    {"role": "user", "content": "Say hi again"},
]
PATIENCE = 45.0
BUDGETS = ("timeout_secs", "max_ttft_ms")
OTHER_FIELDS: Json = {
    "top_p": 0.9,
    "stop": ["###"],
    "n": 1,
    "seed": 7,
    "user": "someone",
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "logprobs": False,
    "stream_options": {"include_usage": True},
    "tool_choice": "none",
    "response_format": {"type": "text"},
    "metadata": {"key": "value"},
}
HOSTILE: dict[str, bytes] = {
    "a cut object": b'{"model": "x", "messages": [{"role": "user", "content": "Say',
    "text after the object": b'{"model": "x"} trailing',
    "a NaN literal": b'{"model": "MODEL", "messages": [{"role": "user", "content": "Say hi"}], "temperature": NaN}',
    "an Infinity literal": b'{"model": "MODEL", "messages": [{"role": "user", "content": "Say hi"}], "temperature": -Infinity}',
    "a key twice": b'{"model": "MODEL", "model": "MODEL", "messages": [{"role": "user", "content": "Say hi"}]}',
    "a lone surrogate": b'{"model": "MODEL", "messages": [{"role": "user", "content": "Say hi \\ud83d"}]}',
    "bytes that are not UTF-8": b'{"model": "MODEL", "messages": [{"role": "user", "content": "Say \xff\xfe"}]}',
    "a byte order mark": b'\xef\xbb\xbf{"model": "MODEL", "messages": [{"role": "user", "content": "Say hi"}]}',
    "an absurd number": b'{"model": "MODEL", "messages": [{"role": "user", "content": "Say hi"}], "temperature": 1e999999}',
    "10 000 open brackets": b"[" * 10_000,
    "10 000 levels": b'{"model": "MODEL", "messages": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "a NUL byte": b'{"model": "MODEL", "messages": [{"role": "user", "content": "Say \x00 hi"}]}',
}


@check("request.accepts", per="field")
def test_accepts(chat: Chat, field: str) -> None:
    """Every documented value of the field is accepted: bounds, enumerations, null where it is allowed, each form."""
    name, _, only = field.partition("=")
    pairs = _documented(chat, name, only)
    asked = [pair for pair in pairs if name == "messages.role" or _role_taken(chat, pair[0])]
    if any(not where.needs for where, _ in asked):
        asked = [pair for pair in asked if _tools_taken(chat, pair[0])]
    if not asked:
        raise Inconclusive("every message that has it has a role that is refused, which is the row of that role")
    for where, value in asked:
        chat.offered(*sorted(where.needs))
        bundles.accepted(chat, where, value)


@check("request.valid-bodies")
def test_valid_bodies(chat: Chat, explore: Explorer) -> None:
    """Any combination of documented values, each from anywhere in its range, is answered, streamed or not."""
    explore(bundles.bodies(chat), lambda body: _take(chat, body))


@check("request.rejects", per="rule")
def test_rejects(chat: Chat, explore: Explorer, rule: str) -> None:
    """A value that breaks one documented rule of the field is refused with the documented status."""
    field, _, kind = rule.rpartition(":")
    spot, bodies = _breaking(chat, field, kind)
    chat.offered(*sorted(spot.needs))
    cause = chat.dialect.cause(CAUSES.get(kind, "out_of_range"))
    every = (
        explore.examples > 20 or kind == "range" or field in ("model", "messages", "messages.role", "messages.content")
    )
    for body in bodies if every else bodies[:1]:
        chat.refused(_bounded(chat, _late(body, spot), kind), *(cause.status if cause else ()))


@check("request.undefined-values", per="field")
def test_undefined_values(chat: Chat, field: str) -> None:
    """Values of which the document says nothing are answered or refused, never with a server error or a hang."""
    root = chat.dialect.schemas["request"]
    for spot in _own(chat, field)[:1]:
        for value in spot.rule.get("x-silent", ()):
            body = {"stream": True, **place(root, chat.body(), spot, value)}
            exchange = chat.post(body, stop_after=3, undefined=True)
            if field not in BUDGETS or exchange.status not in (503, 504):  # a budget of no time may rightly be missed
                chat.survived(exchange)


@check("request.malformed-json", smoke=True)
def test_malformed_json(chat: Chat) -> None:
    """A body that is no JSON is refused with the documented status."""
    first = chat.provoked("malformed_json", lambda: chat.post(b'{"model": '))
    _refused_for(chat, "malformed_json", [first, b"hello"])


@check("request.not-an-object", smoke=True)
def test_not_an_object(chat: Chat) -> None:
    """A JSON body that is no object is refused with the documented status."""
    first = chat.provoked("not_object", lambda: chat.post(b"[]"))
    _refused_for(chat, "not_object", [first, b'"hello"', b"null"])


@check("request.empty-body")
def test_empty_body(chat: Chat) -> None:
    """An empty body is refused with the documented status."""
    _refused_for(chat, "malformed_json", [b""])


@check("request.hostile-json")
def test_hostile_json(chat: Chat) -> None:
    """Broken, absurd and malicious bodies are refused or read in bounded time, never with a server error or a cut."""
    for what, data in HOSTILE.items():
        bounded = f'{{"{chat.limit}": 16, "model": "MODEL"' if chat.limit else '{"model": "MODEL"'
        body = data.replace(b'{"model": "MODEL"', bounded.encode())
        exchange = chat.post(body.replace(b"MODEL", json.dumps(chat.target.model)[1:-1].encode()), total=PATIENCE)
        if exchange.status is None or exchange.status >= 500:
            raise Mismatch(f"a status below 500 for {what}", brief(exchange), exchange)


@check("request.broken-bytes")
def test_broken_bytes(chat: Chat, explore: Explorer) -> None:
    """A valid body with bytes cut off, changed or put in is read or refused, never a server error or a cut connection."""
    data = json.dumps(chat.body()).encode()
    explore(mutilated(data), lambda body: chat.survived(chat.post(body, total=PATIENCE, undefined=True)))


@check("request.json-spelling")
def test_json_spelling(chat: Chat) -> None:
    """White space, the order of members and escaped characters change nothing."""
    body = chat.body()
    backwards = dict(reversed(body.items()))
    messages_first = {"messages": body["messages"]} | body
    escaped = json.dumps(body).replace("Say", "\\u0053a\\u0079").replace('"messages"', '"\\u006dessages"')
    spelt = "\r\n\t " + json.dumps(body) + "\n\n"
    for data in (json.dumps(backwards, indent=4), json.dumps(messages_first), escaped, spelt):
        chat.accepted(chat.post(data.encode()))


@check("request.unknown-model", smoke=True)
def test_unknown_model(chat: Chat) -> None:
    """A model that nobody offers is refused with one of the documented statuses or with 404, streamed or not."""
    cause = chat.dialect.cause("unknown_model")
    unknown = chat.dialect.models.unknown
    whole = chat.provoked("unknown_model", lambda: chat.post(chat.body(model=unknown)))
    for exchange in (whole, chat.post(chat.body(model=unknown, stream=True))):
        # 404 is HTTP's own word for what is not there (RFC 9110, 15.5.5); who documents another status has a row for it.
        chat.refused(exchange, *(dict.fromkeys((*cause.status, 404)) if cause else ()))


@check("request.default-model")
def test_default_model(chat: Chat) -> None:
    """A model id without its model part is answered by a default model, which the answer names."""
    project, has_model, _ = chat.target.model.partition("/")
    project = project if has_model else chat.dialect.models.default_of or project
    reply = chat.ask(model=project)
    named = [dig(choice.raw, "model") for choice in reply.choices]
    if not named or not all(isinstance(name, str) and name for name in named):
        raise Mismatch("the name of the model that answered in each choice", f"{named}", reply.exchange)


@check("request.unknown-model-in-project")
def test_unknown_model_in_project(chat: Chat) -> None:
    """A model that the project does not have is refused."""
    cause = chat.dialect.cause("unknown_model")
    project = chat.target.model.partition("/")[0]
    chat.refused(chat.post(chat.body(model=f"{project}/no-such-model-7f3a")), *(cause.status if cause else ()))


@check("request.unknown-field")
def test_unknown_field(chat: Chat) -> None:
    """A field that no document knows is ignored or refused, never a server error."""
    chat.survived(chat.post(chat.body(no_such_field={"x": [1]})))


@check("request.unknown-field-accepted")
def test_unknown_field_accepted(chat: Chat) -> None:
    """A field that no document knows is ignored."""
    chat.accepted(chat.post(chat.body(no_such_field={"x": [1]})))


@check("request.openai-fields")
def test_openai_fields(chat: Chat) -> None:
    """Fields of the OpenAI API that this document does not list are taken or refused, never a server error."""
    for name, value in OTHER_FIELDS.items():
        if not chat.dialect.documents(name):
            chat.survived(chat.post(chat.body(**{name: value})))


@check("request.documented-examples")
def test_documented_examples(chat: Chat) -> None:
    """Each request that the document prints is answered."""
    for name, sample in chat.dialect.samples("request"):
        if not _possible(chat, name):
            continue
        body = {**json.loads(sample), "model": chat.target.model}
        bounded = any(name in body for name in chat.dialect.request.token_limits)
        if chat.limit and not bounded and "response_format" not in body:
            body[chat.limit] = 64
        chat.accepted(chat.post(body))


@check("request.any-text")
def test_any_text(chat: Chat, explore: Explorer) -> None:
    """Any Unicode text is accepted as a message."""
    explore(text(), lambda said: _take(chat, chat.body(said)))


@check("request.empty-messages")
def test_empty_messages(chat: Chat) -> None:
    """An empty list of messages is refused."""
    cause = chat.dialect.cause("out_of_range")
    chat.refused(chat.post(chat.body([])), *(cause.status if cause else ()))


@check("request.empty-messages-safe")
def test_empty_messages_safe(chat: Chat) -> None:
    """An empty list of messages is answered or refused, never a server error."""
    chat.survived(chat.post(chat.body([])))


@check("request.null-is-absent")
def test_null_is_absent(chat: Chat) -> None:
    """The fields that may be null, all null at once, mean what they mean when they are left out."""
    root = chat.dialect.schemas["request"]
    fields = [name for name in root["properties"] if name != chat.limit and _nullable(chat, name)]
    plain, nulls = chat.plain(), chat.accepted(chat.post(chat.body() | dict.fromkeys(fields)))
    for what in ("prompt_tokens", "choices", "finish reason", "log probabilities"):
        given, wanted = _sides(nulls)[what], _sides(plain)[what]
        if given != wanted:
            raise Mismatch(f"{what}: {wanted}, as without {', '.join(fields)}", f"{given}", nulls.exchange)


def _nullable(chat: Chat, name: str) -> bool:
    root = chat.dialect.schemas["request"]
    found = [pair for spot in _own(chat, name) for pair in accepted(root, spot)]
    return any(value is None and _offered(chat, spot) for spot, value in found)


def _sides(reply: Reply) -> dict[str, object]:
    """What two answers to the same request have in common."""
    return {
        "prompt_tokens": reply.count("prompt_tokens"),
        "choices": len(reply.choices),
        # Chance decides whether a model that draws its words is done before its limit.
        "finish reason": "stop or length" if reply.finish in ("stop", "length") else reply.finish,
        "log probabilities": any(choice.logprobs for choice in reply.choices),
    }


@check("request.stream-default", smoke=True)
def test_stream_default(chat: Chat) -> None:
    """Without stream, and with stream false, the answer is one JSON document."""
    chat.plain()
    bundles.accepted(chat, _own(chat, "stream")[0], value=False)


@check("request.text-parts")
def test_text_parts(chat: Chat) -> None:
    """A list with one text part means the same as the plain string: it is accepted and counts as many prompt tokens."""
    parts = chat.ask([{"role": "user", "content": [{"type": "text", "text": HI}]}])
    plain, count = chat.plain().count("prompt_tokens"), parts.count("prompt_tokens")
    if plain is not None and count is not None and abs(plain - count) > 2:
        raise Mismatch(f"{plain} prompt tokens, as for the plain string", f"{count}", parts.exchange)


@check("request.multi-turn")
def test_multi_turn(chat: Chat) -> None:
    """A conversation of system, user and assistant messages is answered."""
    bundles.accepted(chat, _own(chat, "messages")[0], MULTI_TURN)


@check("request.any-turns")
def test_any_turns(chat: Chat) -> None:
    """Messages may follow each other in any order: several of the system, one of them late, two questions in a row."""
    chat.ask(ANY_TURNS)


@check("request.token-limit-aliases")
def test_token_limit_aliases(chat: Chat) -> None:
    """Each documented field that bounds the answer's tokens bounds them."""
    for name in chat.dialect.request.token_limits:
        reply = chat.accepted(chat.post(chat.body(STORY, tokens=None) | {name: 7}))
        count = reply.count("completion_tokens")
        if count is None:
            raise Inconclusive("the answer does not say how many tokens it has")
        if count > 7:
            raise Mismatch(f"at most 7 completion tokens with {name} = 7", f"{count}", reply.exchange)


@check("request.oversized-prompt")
def test_oversized_prompt(chat: Chat, explore: Explorer) -> None:
    """A prompt far beyond the context is refused in bounded time, and the target answers afterwards."""
    tokens = chat.profile.limits.get("context_tokens")
    if tokens is None and explore.examples < 20:
        raise Inconclusive(
            "how long the context is stands in the profile (limits.context_tokens), or is tried at --depth deep"
        )
    prompt = "lighthouse " * (4 * (tokens or 250_000))
    exchange = chat.post(chat.body(prompt), total=PATIENCE)
    if exchange.ok:
        raise Inconclusive(f"the prompt of {len(prompt)} characters was accepted: the context is longer")
    cause = chat.dialect.cause("context_overflow")
    chat.refused(exchange, *((*cause.status, 413) if cause else ()))
    chat.ask()


def _documented(chat: Chat, name: str, only: str) -> list[tuple[Spot, Any]]:
    """The values to try, as (spot, value)."""
    found = _own(chat, name)
    if name == "model":
        return [(found[0], chat.target.model)]
    if name == "messages":
        return [(found[0], [{"role": "user", "content": HI}]), (found[0], MULTI_TURN)]
    pairs = [pair for spot in found for pair in accepted(chat.dialect.schemas["request"], spot)]
    if only:
        named = [(spot, value) for spot, value in pairs if _scalar(value) == only]
        return named or [(found[0], json.loads(only))]
    return [pair for pair in pairs if _offered(chat, pair[0])] or pairs


def _role_taken(chat: Chat, where: Spot) -> bool:
    """Whether the target takes the simplest message of the role in which the spot lies: else nothing follows for the spot."""
    messages = [node for step, (node, _) in zip(where.path, where.chain, strict=False) if step == "messages"]
    role = messages[0].get("properties", {}).get("role", {}).get("const") if messages else None
    if role in (None, "user"):
        return True
    taken: dict[str, bool] = chat.memo("roles taken", dict)
    if role not in taken:
        taken[role] = not any(_turned_down(chat, *pair) for pair in _documented(chat, "messages.role", role))
    return taken[role]


def _tools_taken(chat: Chat, where: Spot) -> bool:
    """Whether the target takes tools, where the spot needs them: what a field is without them says nothing of the field."""
    if "tools" not in where.needs:
        return True
    return not _turned_down(chat, *_documented(chat, "tools", "")[0])


def _turned_down(chat: Chat, where: Spot, value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether the target refuses the value as the client's mistake."""
    try:
        bundles.accepted(chat, where, value)
    except Mismatch as refusal:
        status = refusal.exchange.status if refusal.exchange else None
        return status is not None and 400 <= status < 500
    return False


def _scalar(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return value if isinstance(value, str) else json.dumps(value)


def _own(chat: Chat, field: str) -> list[Spot]:
    """The field's spots of its most authoritative tier."""
    found = spots(chat.dialect.schemas["request"], field)
    return [spot for spot in found if spot.tier == "seed"] or found


def _offered(chat: Chat, spot: Spot) -> bool:
    return all(chat.profile.offers(need) for need in spot.needs)


def _breaking(chat: Chat, field: str, kind: str) -> tuple[Spot, list[Json]]:
    """The first spot, a user message's before others, where values of this kind break the request's schema, and the bodies.

    Zero and below for a token limit without a stated minimum break no schema: they go to the first spot.
    """
    root = chat.dialect.schemas["request"]
    found = sorted(
        _own(chat, field), key=lambda spot: (not _offered(chat, spot), spot.beside is not None, not _is_user(spot))
    )
    keep = _has_no_null if chat.dialect.request.null_is_absent else bool
    made = [(spot, [bundles.around(chat, spot, v) for v in broken(root, spot, kind) if keep([v])]) for spot in found]
    for spot, bodies in made:
        invalid = [body for body in bodies if not valid(root, root, body)]
        if invalid:
            return spot, invalid
    return made[0]


def _has_no_null(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is not None and all(map(_has_no_null, members))


def _is_user(spot: Spot) -> bool:
    """Whether a spot in a message lies in the user's, which every request has."""
    holder = spot.chain[-1][0] if spot.chain else {}
    role = holder.get("properties", {}).get("role", {})
    return spot.path[0] != "messages" or len(spot.path) == 1 or role.get("const", "user") == "user"


def _take(chat: Chat, body: Json) -> None:
    chat.accepted(chat.post(body))


def _late(body: Json, spot: Spot) -> Json:
    """The body with sound messages before the first, where the spot lies in a message: not the first alone is to be read."""
    if spot.path[0] != "messages" or len(spot.path) == 1:
        return body
    return {**body, "messages": [*SOUND, *body["messages"]]}


def _bounded(chat: Chat, body: Json, kind: str) -> Exchange:
    """Send it; where a careless target would answer without end, read only how the answer begins."""
    limits = [body.get(name) for name in chat.dialect.request.token_limits]
    endless = limits and not any(type(limit) is int for limit in limits)
    if "stream" not in body and (kind in ("nonpositive", "negative") or endless):
        return chat.post({**body, "stream": True}, stop_after=3, undefined=True)
    return chat.post(body, total=PATIENCE)


def _refused_for(chat: Chat, cause: str, sent: list[bytes | Exchange]) -> None:
    """Insist on a refusal of these bodies, and in what came of others."""
    documented = chat.dialect.cause(cause)
    for item in sent:
        exchange = chat.post(item) if isinstance(item, bytes) else item
        chat.refused(exchange, *(documented.status if documented else ()))


def _possible(chat: Chat, sample: str) -> bool:
    """Whether the target offers what a sample needs; a sample's name begins with it."""
    stem = sample.partition(".")[0]
    return all(chat.profile.offers(need) for word, need in NEEDS.items() if word in stem)


NEEDS = {
    "image": "vision",
    "vision": "vision",
    "audio": "audio",
    "tool": "tools",
    "function": "tools",
    "json": "structured_output",
    "logprobs": "logprobs",
}
