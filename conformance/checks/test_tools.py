from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from conformance import calls
from conformance.capability import excused, honoured, streaming, whole
from conformance.chat import HI, brief
from conformance.fields import shown
from conformance.registry import check, oracle
from conformance.reply import asked, dig
from conformance.sayings import LONGER, SLACK, WRONG, length, prompt_tokens
from conformance.verdict import Inconclusive, Mismatch, NotApplicable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.chat import Chat
    from conformance.explore import Explorer
    from conformance.reply import Reply
    from conformance.wire.exchange import Exchange

Json = dict[str, Any]
TOKENS = 256
AT_ONCE = 4
MANY, FEW = 16, 3
RESULT = '{"celsius": 7, "time": "12:30"}'
TAKEN_BACK = ("role", "content", "tool_calls")  # what else an answer says, as its thoughts, need not be taken back


def _closed(properties: Json) -> Json:
    """An object with exactly these members."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _tool(name: str, parameters: Json, description: str = "Tells what is asked") -> Json:
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


CITY = _closed({"city": {"type": "string"}})
PARAMETERS = {"get_weather": CITY, "get_time": CITY}
CITIES = ("Zürich", "Malmö")
OFFER = [_tool("get_weather", CITY, "Tells the weather in a city"), _tool("get_time", CITY, "Tells the time in a city")]
ASKED = "What is the weather in Paris? Use get_weather."
LATE_NAME = "get-Time_of-Day_in_2_Cities-or_in-the_Country_that_they_belong_to"[:64]
TWICE = "Call get_weather for both cities, Paris and Oslo: once for Paris and once for Oslo."
MODES: dict[str, Json] = {
    "named": {"tool_choice": {"type": "function", "function": {"name": "get_time"}}},
    "required": {"tool_choice": "required"},
    "none": {"tool_choice": "none"},
    "auto": {"tool_choice": "auto"},
    "default": {},
}
FORCED = ("named", "required")
LEAVES = (
    {"type": "string", "enum": ["celsius", "fahrenheit"]},
    {
        "type": "string",
        "enum": ['the "Old" Town', "C:\\temp\\new", "L'Aquila\nItalia"],
    },  # what quotes and escapes spoil
    {"anyOf": [{"type": "boolean"}, {"type": "null"}]},  # how a typed client writes what may be left out
    {"type": "boolean"},
    {"type": "integer", "enum": [1, 2, 3]},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
)
NO_OVERRIDES: tuple[Any, ...] = (
    [{"id": "search"}],
    [{"enabled": False}],
    [{"id": 5, "enabled": False}],
    [{"id": "search", "enabled": "no"}],
    OFFER,
)


def _body(chat: Chat, prompt: str | list[Json], **fields: Any) -> Json:  # noqa: ANN401 - JSON
    model = chat.profile.models.get("tools", chat.target.model)
    return chat.body(prompt, tokens=TOKENS, **{"model": model, **fields})


def _offer(chat: Chat, mode: str, prompt: str = ASKED, **fields: Any) -> Reply:  # noqa: ANN401 - JSON
    """The answer to a prompt with two tools on offer, asked once a run."""
    body = _body(chat, prompt, tools=OFFER, **MODES[mode], **fields)
    exchange: Exchange = chat.memo(f"tools {mode} {prompt} {sorted(fields)}", lambda: chat.post(body))
    return (streaming if "stream" in fields else honoured)(chat, exchange)


def _both(chat: Chat, mode: str, prompt: str | None = None) -> Iterator[Reply]:
    """The whole and the streamed answer of a mode; where some call is required, nothing in the prompt suggests one."""
    chat.offered("tools")
    prompt = prompt or (HI if mode == "required" else ASKED)
    yield _offer(chat, mode, prompt)
    yield _offer(chat, mode, prompt, stream=True)


def _forced(chat: Chat) -> Iterator[tuple[str, Reply]]:
    """(mode, answer) of each mode that forces a call and that the target takes; "required" is not in every document."""
    for mode in FORCED:
        try:
            yield from [(mode, reply) for reply in _both(chat, mode)]
        except Inconclusive:
            if mode == "named":
                raise


def _called(reply: Reply) -> list[Json]:
    """The calls of an answer that had to call: none is a Mismatch unless the token limit came first."""
    found = reply.choice().calls
    if found:
        return found
    if reply.finish == "length":
        raise Inconclusive(f"the answer was cut at {TOKENS} tokens before it called a tool")
    excused(reply.choice())
    raise Mismatch("a tool call, as tool_choice asks", _seen(reply), reply.exchange)


def _some(reply: Reply) -> list[Json]:
    """The calls of an answer to look at; that a call should have come is for the checks of tool_choice to say."""
    found = reply.choice().calls
    if not found:
        raise Inconclusive("the answer that had to call a tool called none, so there is no call to look at")
    return found


def _complete(reply: Reply) -> list[Json]:
    """The calls of an answer that was not cut."""
    found = _some(reply)
    if reply.finish == "length":
        raise Inconclusive(f"the answer was cut at {TOKENS} tokens within a tool call")
    return found


def _seen(reply: Reply) -> str:
    return f"finish_reason {reply.finish!r}, {len(reply.choice().calls)} calls, text {shown(reply.text)}"


def _calls_only(reply: Reply, *names: str) -> None:
    """Raise Mismatch when the answer calls anything but these functions."""
    called = [calls.name(call) for call in reply.choice().calls]
    if not set(called) <= set(names):
        raise Mismatch(f"calls of {' or '.join(names)} only", f"calls of {', '.join(called)}", reply.exchange)


def _says_something(reply: Reply) -> None:
    choice = reply.choice()
    if choice.calls or choice.text or choice.reasoning or choice.declined:
        return
    if reply.finish == "length" or (reply.count("completion_tokens") or 0) <= 1:
        raise Inconclusive("the model ended its answer before it said anything")
    excused(choice)
    raise Mismatch("a tool call or text", _seen(reply), reply.exchange)


@check("tools.named-choice", smoke=True)
def test_named_choice(chat: Chat) -> None:
    """The function that tool_choice names is called, and no other, whole and streamed."""
    for reply in _both(chat, "named"):
        _called(reply)
        _calls_only(reply, "get_time")


@check("tools.none-choice")
def test_none_choice(chat: Chat) -> None:
    """With tool_choice none no tool is called, whole and streamed."""
    for reply in _both(chat, "none"):
        if any(choice.calls for choice in reply.choices) or reply.finish == "tool_calls":
            raise Mismatch("no tool call, as tool_choice none asks", _seen(reply), reply.exchange)


@check("tools.required-choice")
def test_required_choice(chat: Chat) -> None:
    """With tool_choice required some of the offered functions is called, whole and streamed."""
    for reply in _both(chat, "required"):
        _called(reply)
        _calls_only(reply, *PARAMETERS)


@check("tools.auto-no-crash")
def test_auto_no_crash(chat: Chat) -> None:
    """With tools and tool_choice auto, or none given, an answer comes: a call of an offered function, or text."""
    for mode in ("auto", "default"):
        for reply in _both(chat, mode):
            _says_something(reply)
            _calls_only(reply, *PARAMETERS)


@check("tools.late-choice")
def test_late_choice(chat: Chat) -> None:
    """The last of many functions, with every kind of character in its name and without parameters, is called when named."""
    chat.offered("tools")
    many = [_tool(f"get_fact_{number}", CITY) for number in range(MANY - 1)]
    offer = [*many, {"type": "function", "function": {"name": LATE_NAME}}]
    choice = {"type": "function", "function": {"name": LATE_NAME}}
    reply = honoured(chat, chat.post(_body(chat, HI, tools=offer, tool_choice=choice)))
    for call in _called(reply):
        if calls.name(call) != LATE_NAME:
            raise Mismatch(f"a call of {LATE_NAME}", f"of {shown(calls.name(call))}", reply.exchange)


@check("tools.every-choice")
def test_every_choice(chat: Chat) -> None:
    """With n = 2 every choice of a stream calls the function that tool_choice names, and its arguments keep their characters."""
    chat.offered("tools", "n")
    offer = [OFFER[0], _tool("get_time", _closed({"city": {"type": "string", "enum": list(CITIES)}}))]
    body = _body(chat, ASKED, tools=offer, **MODES["named"], n=2, stream=True, **chat.asking_usage)
    reply = streaming(chat, chat.post(body))
    if any(choice.finish == "length" for choice in reply.choices):
        raise Inconclusive(f"a choice was cut at {TOKENS} tokens")
    for choice in reply.choices:
        if not choice.calls:
            excused(choice)
        called = {calls.name(call) for call in choice.calls}
        if called != {"get_time"}:
            observed = f"{shown(sorted(called))} and the text {shown(choice.text)} in choice {choice.index}"
            raise Mismatch("calls of get_time alone in every choice", observed, reply.exchange)
        wrong = next(filter(None, map(_spoiled_city, choice.calls)), None)
        if wrong:
            raise Mismatch(f"{' or '.join(CITIES)} in the arguments, as offered", wrong, reply.exchange)


def _spoiled_city(call: Json) -> str | None:
    """The arguments of a call with one of the cities on offer but for its characters, or None."""
    arguments = dig(call, "function", "arguments")
    forms = {spoil(city) for city in CITIES for spoil in WRONG.values()} - set(CITIES)
    spoilt = isinstance(arguments, str) and any(f'"{form}"' in arguments for form in forms)
    return shown(arguments) if spoilt else None


@check("tools.cut-short")
def test_cut_short(chat: Chat) -> None:
    """The token limit holds for calls: one that it cuts does not say that it is whole."""
    chat.offered("tools")
    limit = {chat.limit: FEW} if chat.limit else {}
    reply = honoured(chat, chat.post(_body(chat, ASKED, tools=OFFER, **MODES["named"]) | limit))
    count = reply.count("completion_tokens")
    if count is None or count < FEW:
        raise Inconclusive("the call took fewer tokens than the limit, or they are not counted")
    arguments = [dig(call, "function", "arguments") for call in reply.choice().calls]
    if reply.finish != "length" and not all(isinstance(a, str) and calls.is_object(a) for a in arguments):
        raise Mismatch("finish_reason 'length' for a call that the limit cut", _seen(reply), reply.exchange)


@check("tools.call-shape")
def test_call_shape(chat: Chat) -> None:
    """A call has an id, the type function, and a function whose name was offered and whose arguments are a string."""
    for _, reply in _forced(chat):
        for call in _some(reply):
            wrong = calls.misshapen(call, PARAMETERS)
            if wrong:
                expected = "a call with an id, the type function, an offered name and arguments as a string"
                raise Mismatch(expected, wrong, reply.exchange)


@oracle("tools.offered-only")
def test_offered_only(reply: Reply) -> None:
    """Only what the request offers is called, in any answer, whole or streamed."""
    found = [name for choice in reply.choices for name in calls.called(choice)]
    if not found or reply.exchange.error:
        raise NotApplicable("no call")
    names = calls.offered(asked(reply.exchange))
    other = next((name for name in found if name not in names), None)
    if other is not None:
        raise Mismatch(f"a call of {' or '.join(sorted(names)) or 'nothing'}", f"of {shown(other)}", reply.exchange)


@check("tools.arguments-valid")
def test_arguments_valid(chat: Chat, explore: Explorer) -> None:
    """The arguments of a forced call are JSON of an object that fits the declared parameters, whatever these are."""
    for _, reply in _forced(chat):
        for call in _complete(reply):
            _fit(reply, call, PARAMETERS.get(calls.name(call), {}))
    if explore.examples > 1:
        names = st.sampled_from(("city", "unit", "days", "exact", "level_2", "kind-of"))
        members = st.dictionaries(names, st.sampled_from(LEAVES), min_size=1, max_size=3)
        explore(members.map(_closed), lambda parameters: _call_with(chat, parameters))


def _call_with(chat: Chat, parameters: Json) -> None:
    """Force a call of a function with these parameters; an answer that was refused or cut shows nothing."""
    body = _body(chat, "Use get_time.", tools=[_tool("get_time", parameters)], **MODES["named"])
    exchange = chat.post(body)
    try:
        reply = honoured(chat, exchange)
        found = _complete(reply)
    except Inconclusive:
        return
    for call in found:
        _fit(reply, call, parameters)


def _fit(reply: Reply, call: Json, parameters: Json) -> None:
    wrong = calls.unfit(call, parameters)
    if wrong:
        raise Mismatch(f"arguments that fit {shown(parameters)}", wrong, reply.exchange)


@check("tools.finish")
def test_finish(chat: Chat) -> None:
    """An answer with a call finishes with tool_calls, one without never does; after a named function stop will do."""
    for mode, reply in _forced(chat):
        _complete(reply)
        allowed = ("tool_calls", "stop") if mode == "named" else ("tool_calls",)
        if reply.finish not in allowed:
            raise Mismatch(f"finish_reason {' or '.join(allowed)} with a call", _seen(reply), reply.exchange)
    for reply in (*_both(chat, "auto"), *_asked_twice(chat)):
        if reply.finish != "length" and (reply.finish == "tool_calls") != bool(reply.choice().calls):
            raise Mismatch("finish_reason tool_calls if and only if a tool was called", _seen(reply), reply.exchange)


@oracle("tools.calls-whole")
def test_calls_whole(reply: Reply) -> None:
    """A choice that finished with tool_calls has called a function with whole arguments: a JSON object."""
    whole(reply)
    finished = [choice for choice in reply.choices if choice.finish == "tool_calls"]
    if not finished:
        raise NotApplicable("no choice finished with tool_calls")
    for choice in finished:
        for call in choice.calls:
            arguments = dig(call, "function", "arguments")
            if dig(call, "function", "name") and isinstance(arguments, str) and not calls.is_object(arguments):
                observed = f"{shown(arguments)} in choice {choice.index}"
                raise Mismatch("arguments that are a JSON object", observed, reply.exchange)


@check("tools.stream-deltas")
def test_stream_deltas(chat: Chat) -> None:
    """Streamed calls come as pieces with an index; together they bring id, type and name, id and name once."""
    replies = [reply for _, reply in _forced(chat)] + _asked_twice(chat)
    if not any(reply.streamed and reply.choice().calls for reply in replies):
        raise Inconclusive("no streamed answer called a tool")
    for reply in replies:
        for problem in calls.pieces(reply):
            expected = "pieces with an index that bring id, type and name, id and name once"
            raise Mismatch(expected, problem, reply.exchange)


@check("tools.round-trip")
def test_round_trip(chat: Chat) -> None:
    """A conversation with a call (content null) and its result is answered, as is one with the target's own call."""
    chat.offered("tools")
    _offer(chat, "default")
    _says_something(chat.accepted(_taken(chat, RESULT)))
    given = _offer(chat, "named")
    found, message = given.choice().calls, dig(given.body, "choices", 0, "message")
    if found and given.finish != "length" and isinstance(message, dict):
        _says_something(_answered(chat, message, found))


@check("tools.result-read")
def test_result_read(chat: Chat) -> None:
    """All of a tool's result and of the call before it reaches the model: longer ones have the prompt tokens of both more."""
    chat.offered("tools")
    more = length(chat)
    short, long = (honoured(chat, _taken(chat, *said)) for said in ((RESULT,), (LONGER, LONGER)))
    few, many = prompt_tokens(short), prompt_tokens(long)
    least = few + more * (1 + SLACK)
    if many < least:
        expected = (
            f"more than {least:.0f} prompt tokens, as short texts make {few} and each of the long ones has {more}"
        )
        raise Mismatch(expected, f"{many}", long.exchange)


def _taken(chat: Chat, result: str, city: str = "Paris") -> Exchange:
    """What comes of a question, its call by a message of our own, and this result; asked once a run."""
    call = {
        "id": "call1a2b3",
        "type": "function",
        "function": {"name": "get_weather", "arguments": json.dumps({"city": city})},
    }
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    exchange: Exchange = chat.memo(f"result {result}", lambda: _given_back(chat, message, [call], result))
    return exchange


def _given_back(chat: Chat, message: Json, found: list[Json], result: str, **fields: Any) -> Exchange:  # noqa: ANN401 - JSON
    """What comes of a question, its calls, and this result for each of them."""
    results = [{"role": "tool", "tool_call_id": call.get("id"), "content": result} for call in found]
    return chat.post(_body(chat, [{"role": "user", "content": ASKED}, message, *results], tools=OFFER, **fields))


def _answered(chat: Chat, message: Json, found: list[Json], **fields: Any) -> Reply:  # noqa: ANN401 - JSON
    """The answer to a question, its calls, and a result for each of them."""
    said = {name: message[name] for name in TAKEN_BACK if name in message}
    return chat.accepted(_given_back(chat, said, found, RESULT, **fields))


@check("tools.several-results")
def test_several_results(chat: Chat) -> None:
    """Several calls of one answer of the target's own are taken back, each with its result, and answered with a stream."""
    plain = next((reply for reply in _several(chat) if not reply.streamed), None)
    if plain is None:
        raise Inconclusive("no whole answer had two calls")
    message = dig(plain.body, "choices", 0, "message")
    _says_something(_answered(chat, message, plain.choice().calls, stream=True, **chat.asking_usage))


@check("tools.ids-unique")
def test_ids_unique(chat: Chat) -> None:
    """No two calls of an answer have the same id."""
    for reply in _several(chat):
        ids = [shown(call.get("id")) for call in reply.choice().calls]
        if len(set(ids)) < len(ids):
            raise Mismatch("a different id for each call of an answer", f"ids {', '.join(ids)}", reply.exchange)


def _asked_twice(chat: Chat) -> list[Reply]:
    """Answers to a prompt that wants two calls, whole and streamed, at temperature 0."""
    chat.offered("tools")
    return [_offer(chat, "default", TWICE, temperature=0, **stream) for stream in ({}, {"stream": True})]


def _several(chat: Chat) -> list[Reply]:
    """Those of them that have two calls and were not cut, or Inconclusive."""
    several = [r for r in _asked_twice(chat) if len(r.choice().calls) > 1 and r.finish != "length"]
    if not several:
        raise Inconclusive("no answer had two calls")
    return several


@check("tools.stream-equals-plain")
def test_stream_equals_plain(chat: Chat) -> None:
    """At temperature 0 a stream makes the calls that the whole answer makes."""
    plain, streamed = _asked_twice(chat)
    if _said(plain) == _said(streamed):
        return
    if "length" in (plain.finish, streamed.finish):
        raise Inconclusive(f"an answer was cut at {TOKENS} tokens")
    again = honoured(chat, chat.post(_body(chat, TWICE, tools=OFFER, temperature=0)))
    if _said(again) != _said(plain):
        raise Inconclusive("two whole answers to the same request differ, so a streamed one may")
    raise Mismatch(f"the calls {shown(_said(plain))}, as not streamed", shown(_said(streamed)), streamed.exchange)


def _said(reply: Reply) -> list[list[Any]]:
    """The names and arguments of an answer's calls."""
    return [[calls.name(call), dig(call, "function", "arguments")] for call in reply.choice().calls]


@check("tools.parallel")
def test_parallel(chat: Chat) -> None:
    """Two calls of one answer are both complete; with parallel_tool_calls false there is at most one."""
    chat.offered("tools")
    if chat.dialect.documents("parallel_tool_calls"):
        for stream in ({}, {"stream": True}):
            reply = _offer(chat, "default", TWICE, parallel_tool_calls=False, **stream)
            if len(reply.choice().calls) > 1:
                expected = "at most one call, as parallel_tool_calls false asks"
                raise Mismatch(expected, _seen(reply), reply.exchange)
    for reply in _several(chat):
        for call in reply.choice().calls:
            wrong = calls.misshapen(call, PARAMETERS)
            if wrong:
                raise Mismatch("every call of an answer complete", wrong, reply.exchange)
            _fit(reply, call, PARAMETERS[calls.name(call)])


@check("tools.no-leak")
def test_no_leak(chat: Chat) -> None:
    """The text of an answer holds no call and no markup of one, whether one request comes at a time or several."""
    replies = [reply for mode in ("named", "none", "auto") for reply in _both(chat, mode)] + _asked_twice(chat)
    body = _body(chat, ASKED, tools=OFFER, **MODES["named"], stream=True)
    replies += [honoured(chat, exchange) for exchange in chat.together([body] * AT_ONCE, AT_ONCE)]
    for reply in replies:
        for choice in reply.choices:
            found = calls.leaked(choice, PARAMETERS)
            if found:
                raise Mismatch("text without a tool call in it", f"{found} in {shown(choice.text)}", reply.exchange)


@check("tools.override-shape")
def test_override_shape(chat: Chat) -> None:
    """Overrides of tools are a list of objects with id and enabled, or null; a list of anything else is refused."""
    chat.offered("tools")
    nothing: tuple[Any, ...] = (None, [])
    for value in nothing:
        chat.accepted(chat.post(chat.body(tools=value)))
    chat.survived(chat.post(chat.body(tools=[{"id": "search", "enabled": False}])))
    for wrong in NO_OVERRIDES:
        exchange = chat.post(chat.body(tools=wrong))
        if exchange.status is None or not 400 <= exchange.status < 500:
            raise Mismatch(f"a 4xx status, as {shown(wrong)} is no list of overrides", brief(exchange), exchange)
