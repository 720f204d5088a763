"""What goes wrong with a chat service, and how: the faults that the later chapters' checks must see, by check."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from tests.plain_service import MODEL, Alter, error, model

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]


def keeps(asked: Json, key: str, number: int) -> tuple[int, Any] | None:
    """The refusals of a service in order: keys, models, a limit of three for the limited key."""
    if key == "limited-key" and number >= 3:
        return 429, error("slow down")
    if asked["model"] == "slow":
        return 504, error("too late")
    if asked["model"] == "unavailable":
        return 503, error("not now")
    if asked["model"] == "text-only" and isinstance(asked["messages"][0]["content"], list):
        return 400, error("no images")
    by_key = {"no_credit-key": (402, error("pay")), "forbidden-key": (403, error("no"))}
    if "chat-conformance-no-such-key" in key:
        return 401, error("who are you")
    return by_key.get(key)


def overrides(asked: Json, _key: str, _number: int) -> tuple[int, Any] | None:
    """The refusals of a service whose tools are overrides, as in Adaptive's document."""
    tools = asked.get("tools") or []
    fit = all(isinstance(tool.get("id"), str) and isinstance(tool.get("enabled"), bool) for tool in tools)
    return None if fit else (400, error("tools: id and enabled"))


def spent(number: int) -> tuple[int, Any] | None:
    """The refusal of a service that serves three requests and no more."""
    return (429, error("slow down")) if number >= 3 else None


def forgetful() -> Callable[[Json, Json], object]:
    """A service that opens sessions, and another one when a client comes back to one of them."""
    minted: set[str] = set()

    def alter(asked: Json, body: Json) -> None:
        if asked.get("session_id") in minted:
            body.update(session_id="3f0c9a52-6b1e-4d57-9f38-2f4f7a1c8e60")
        elif not asked.get("session_id"):
            minted.add(body["session_id"])

    return alter


def limits(number: int) -> dict[str, str]:
    """Rate-limit headers that count down, of OpenAI's names."""
    kinds = ("requests", "tokens")
    names = {f"x-ratelimit-limit-{kind}": "60" for kind in kinds}
    names |= {f"x-ratelimit-remaining-{kind}": str(60 - number) for kind in kinds}
    return names | {f"x-ratelimit-reset-{kind}": "6m0s" for kind in kinds} | {"retry-after": "7"}


def refusing(status: int, when: Callable[[Json], Any] = lambda _: True) -> Alter:
    """Refuse those requests with that status."""
    return Alter(
        refuse=lambda asked, key, n: (status, error("no")) if when(asked) else keeps(asked, key, n), headers=limits
    )


def saying(change: Callable[[Json, Json], object], when: Callable[[Json], Any] = lambda _: True) -> Alter:
    """Change the message of those answers, whole and streamed; `change(message, choice)` does it in place."""

    def whole(asked: Json, body: Json) -> Json:
        changed = deepcopy(body)
        if when(asked):
            change(changed["choices"][0]["message"], changed["choices"][0])
        return changed

    return Alter(refuse=keeps, whole=whole, headers=limits)


def streaming(change: Callable[[list[Json]], Any]) -> Alter:
    """Change the chunks of every stream in place."""

    def chunks(_: Json, came: list[Json]) -> list[Json]:
        changed = deepcopy(came)
        change(changed)
        return changed

    return Alter(refuse=keeps, chunks=chunks, headers=limits)


def text(words: str, *, finish: str = "stop") -> Callable[[Json, Json], None]:
    def change(message: Json, choice: Json) -> None:
        message.pop("tool_calls", None)
        message["content"] = words
        choice["finish_reason"] = finish

    return change


def calls(change: Callable[[Json], Any]) -> Callable[[Json, Json], None]:
    """Change every call in place."""

    def each(message: Json, _: Json) -> None:
        for call in message.get("tool_calls", []):
            change(call)

    return each


def pieces(change: Callable[[int, Json], Any]) -> Callable[[list[Json]], None]:
    """Change every piece of a streamed call in place; its number is counted over the stream."""

    def each(chunks: list[Json]) -> None:
        found = [piece for chunk in chunks for piece in chunk["choices"][0]["delta"].get("tool_calls", [])]
        for number, piece in enumerate(found):
            change(number, piece)

    return each


def scored(change: Callable[[Json], Any]) -> Alter:
    """Change every token of log probabilities in place."""

    def each(_: Json, choice: Json) -> None:
        for token in (choice["logprobs"] or {}).get("content", []):
            change(token)

    return saying(each)


def arguments(value: Any) -> Callable[[Json], None]:  # noqa: ANN401 - any JSON value
    return lambda call: call["function"].update(arguments=value)


def choice_is(name: str) -> Callable[[Json], bool]:
    return lambda asked: asked.get("tool_choice") == name


def listing(*entries: Json) -> Alter:
    return Alter(refuse=keeps, models={"object": "list", "data": list(entries)})


def after_finish(chunks: list[Json]) -> None:
    late = [chunk for chunk in chunks if chunk["choices"][0]["delta"].get("tool_calls")]
    chunks += late[-1:]


def header(name: str, value: str) -> Alter:
    return Alter(refuse=keeps, headers=lambda number: {**limits(number), name: value})


def session(change: Callable[[Json, Json], Any]) -> Alter:
    """Change the whole body in place: `change(asked, body)`."""

    def whole(asked: Json, body: Json) -> Json:
        changed = deepcopy(body)
        change(asked, changed)
        return changed

    return Alter(refuse=keeps, whole=whole)


def second_call_as_text(message: Json, _: Json) -> None:
    if len(message.get("tool_calls", [])) > 1:
        dropped = message["tool_calls"].pop()["function"]
        message["content"] = json.dumps({"name": dropped["name"], "arguments": {"city": "Oslo"}})


def varying(finger: bool = False) -> Alter:  # noqa: FBT001, FBT002 - one switch of one helper
    """A target that never repeats itself when sampling; with `finger` because each answer has another backend."""
    number = iter(range(1000))

    def whole(asked: Json, body: Json) -> Json:
        changed = deepcopy(body)
        turn = next(number)
        if asked.get("temperature") != 0 or not finger:
            changed["choices"][0]["message"]["content"] = f"Another answer, number {turn}"
        if finger:
            changed["system_fingerprint"] = f"fp-{turn}"
        return changed

    return Alter(refuse=keeps, whole=whole)


def seed_ignored(asked: Json, body: Json) -> None:
    if asked.get("seed") is not None:
        body["choices"][0]["message"]["content"] = body["id"]


def no_calls(chunks: list[Json]) -> None:
    for chunk in chunks:
        chunk["choices"][0]["delta"].pop("tool_calls", None)


def twice(asked: Json, body: Json) -> Json:
    """Two calls whatever parallel_tool_calls says."""
    changed = deepcopy(body)
    message = changed["choices"][0]["message"]
    if asked.get("parallel_tool_calls") is False and message.get("tool_calls"):
        message["tool_calls"].append({**message["tool_calls"][0], "id": "call_9"})
    return changed


def renamed(change: Callable[[str], str]) -> Callable[[Json], object]:
    """Change the name in a call."""
    return lambda call: call["function"].update(name=change(call["function"]["name"]))


def second_says(words: str) -> Callable[[list[Json]], None]:
    """Change the second choice of a stream into text."""

    def change(chunks: list[Json]) -> None:
        for chunk in chunks:
            choice = chunk["choices"][0]
            if choice["index"] and choice["delta"].pop("tool_calls", None):
                choice["delta"]["content"] = words

    return change


def second_is(words: str) -> Callable[[Json, Json], Json]:
    """Give the second choice another text."""

    def change(_: Json, body: Json) -> Json:
        for choice in body["choices"][1:]:
            choice["message"]["content"] = words
        return body

    return change


def unscored_second(_: Json, body: Json) -> Json:
    """The second choice without log probabilities."""
    for choice in body["choices"][1:]:
        choice["logprobs"] = None
    return body


def changed_json(change: Callable[[Json], object]) -> Callable[[Json, Json], None]:
    """Change the JSON of a text where it has members to change."""

    def each(message: Json, _: Json) -> None:
        value = json.loads(message["content"])
        before = dict(value)
        change(value)
        if value.keys() == before.keys():
            message["content"] = json.dumps(value)

    return each


HONEST = Alter(refuse=keeps, headers=limits)
NO_JSON = text("Once upon a time")
NO_JSON_THERE = text("Once upon a time")
HEAVY = [{"token": " x", "logprob": 0.0, "bytes": None}] * 2
CALL_TEXT = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'
FAULTS: dict[str, dict[str, Alter]] = {
    "tools.named-choice": {
        "another function is called": saying(calls(lambda call: call["function"].update(name="get_weather"))),
        "the choice is ignored": saying(text("It is sunny")),
        "the choice is ignored in streams": streaming(no_calls),
        "the server fails": refusing(500, lambda asked: "tool_choice" in asked),
    },
    "tools.none-choice": {
        "a tool is called": saying(lambda m, _: m.update(tool_calls=[{"id": "x"}]), choice_is("none")),
        "it ends as if one had been": saying(lambda _, c: c.update(finish_reason="tool_calls"), choice_is("none")),
    },
    "tools.required-choice": {
        "text comes": saying(text("It is sunny"), choice_is("required")),
        "a function that nobody offered": saying(calls(lambda call: call["function"].update(name="get_wether"))),
        "a name that is no string": saying(calls(lambda call: call["function"].update(name=["get_weather"]))),
    },
    "tools.auto-no-crash": {
        "the server fails": refusing(500, choice_is("auto")),
        "nothing comes": saying(text("")),
    },
    "tools.call-shape": {
        "arguments as an object": saying(calls(arguments({"city": "Paris"}))),
        "an empty id": saying(calls(lambda call: call.update(id=""))),
        "no type": saying(calls(lambda call: call.pop("type"))),
    },
    "tools.offered-only": {
        "a function that nobody offered": saying(calls(lambda call: call["function"].update(name="drop_tables"))),
        "the same in a stream": streaming(
            pieces(lambda _, piece: piece["function"].get("name") and piece["function"].update(name="drop_tables"))
        ),
    },
    "tools.calls-whole": {
        "cut arguments": saying(calls(arguments('{"city": "Par'))),
        "no arguments": saying(calls(arguments(""))),
        "null": saying(calls(arguments("null"))),
    },
    "tools.late-choice": {
        "dashes become underscores": saying(calls(renamed(lambda name: name.replace("-", "_")))),
        "the name is cut": saying(calls(renamed(lambda name: name[:16]))),
        "the first is called": saying(calls(lambda call: call["function"].update(name="get_fact_0"))),
        "text comes": saying(text("It is noon")),
    },
    "tools.every-choice": {
        "the first choice alone calls": streaming(second_says("It is sunny")),
        "the server fails": refusing(500, lambda asked: asked.get("n")),
    },
    "tools.cut-short": {
        "a cut call says that it is whole": saying(calls(arguments('{"city": "Par'))),
    },
    "tools.several-results": {
        "two results are refused": refusing(400, lambda asked: str(asked["messages"]).count("tool_call_id") > 1),
    },
    "tools.stream-equals-plain": {
        "the second call is not streamed": streaming(pieces(lambda n, piece: piece.update(index=0) if n > 1 else None)),
        "other arguments are streamed": streaming(
            pieces(lambda n, piece: n % 2 and piece["function"].update(arguments='{"city": "Rome"}'))
        ),
    },
    "tools.arguments-valid": {
        "cut arguments": saying(calls(arguments('{"city": "Par'))),
        "doubled arguments": saying(calls(arguments('{"city": "Paris"}{"city": "Paris"}'))),
        "a list of arguments": saying(calls(arguments('["Paris"]'))),
        "a member too few": saying(calls(arguments("{}"))),
        "the same arguments for all": saying(calls(arguments('{"city": "Paris"}'))),
    },
    "tools.finish": {
        "stop after a required call": saying(lambda _, c: c.update(finish_reason="stop"), choice_is("required")),
        "stop after a call by itself": saying(lambda _, c: c.update(finish_reason="stop"), choice_is("auto")),
        "tool_calls without a call": saying(text("It is sunny", finish="tool_calls"), choice_is("auto")),
    },
    "tools.stream-deltas": {
        "no index": streaming(pieces(lambda _, piece: piece.pop("index"))),
        "an index as text": streaming(pieces(lambda _, piece: piece.update(index=str(piece["index"])))),
        "indexes from 1": streaming(pieces(lambda _, piece: piece.update(index=piece["index"] + 1))),
        "the id in every piece": streaming(pieces(lambda _, piece: piece.update(id="call_0"))),
        "the name in every piece": streaming(pieces(lambda _, p: p["function"].update(name="get_time"))),
        "no id at all": streaming(pieces(lambda _, piece: piece.update(id=None))),
        "no type at all": streaming(pieces(lambda _, piece: piece.pop("type", None))),
        "arguments as an object": streaming(pieces(lambda _, p: p["function"].update(arguments={}))),
        "a piece after the end": streaming(after_finish),
    },
    "tools.round-trip": {
        "null content is refused": refusing(400, lambda a: any(m["content"] is None for m in a["messages"])),
        "results are refused": refusing(422, lambda asked: asked["messages"][-1]["role"] == "tool"),
        "results break the server": refusing(500, lambda asked: asked["messages"][-1]["role"] == "tool"),
        "nothing is said": saying(text(""), lambda asked: asked["messages"][-1]["role"] == "tool"),
    },
    "tools.result-read": {
        "results are taken and not read": session(
            lambda asked, body: asked["messages"][-1]["role"] == "tool" and body["usage"].update(prompt_tokens=40)
        ),
    },
    "tools.ids-unique": {"one id for all": saying(calls(lambda call: call.update(id="call_0")))},
    "tools.parallel": {
        "the switch is ignored": Alter(whole=twice, refuse=keeps),
        "broken calls": saying(calls(arguments('{"city": "Par'))),
    },
    "tools.no-leak": {
        "markup beside a call": saying(lambda m, _: m.update(content="<tool_call>"), choice_is("auto")),
        "markup in place of a call": saying(text(f"Sure. {CALL_TEXT}"), choice_is("auto")),
        "a call as JSON": saying(text('{"name": "get_time", "parameters": {}}'), choice_is("none")),
        "the second call as text": saying(second_call_as_text),
    },
    "tools.override-shape": {
        "anything is taken": Alter(),
        "null is refused": refusing(400, lambda asked: asked.get("tools", 0) is None),
        "an unknown id breaks the server": refusing(500, lambda asked: asked.get("tools")),
    },
    "structured_output.json-schema": {
        "the format is ignored": saying(NO_JSON),
        "JSON that does not fit": saying(text('{"name": 5}')),
        "a member too many": saying(text('{"name": "a", "inhabitants": 1, "coastal": true, "more": 1}')),
        "a fence around it": saying(lambda m, _: m.update(content=f"```json\n{m['content']}\n```")),
        "an answer cut before it was JSON": saying(text("Once upon", finish="length")),
        "the same JSON for all": saying(text('{"name": "a", "inhabitants": 1, "coastal": true}')),
    },
    "structured_output.kept": {
        "the format is ignored": saying(NO_JSON),
        "the second choice is free": Alter(refuse=keeps, whole=second_is("Once upon a time")),
    },
    "structured_output.keywords": {
        "a reference is not followed": saying(changed_json(lambda value: value.update(mayor={}))),
        "an enumeration is ignored": saying(changed_json(lambda value: value.update(size="huge"))),
        "a bound is ignored": saying(changed_json(lambda value: value.update(districts=9))),
        "a pattern is ignored": saying(changed_json(lambda value: value.update(code="no"))),
    },
    "structured_output.together": {
        "a format is ignored in a conversation": saying(NO_JSON_THERE, lambda asked: len(asked["messages"]) > 1),
        "the second choice is free": Alter(refuse=keeps, whole=second_is("Once upon a time")),
    },
    "structured_output.cut-short": {
        "cut JSON says that it is whole": saying(text('{"name": "At')),
    },
    "structured_output.json-object": {
        "the format is ignored": saying(NO_JSON),
        "a list": saying(text("[1]")),
        "two objects": saying(text("{} {}")),
    },
    "structured_output.streamed": {
        "the format is ignored in streams": streaming(
            lambda chunks: chunks[1]["choices"][0]["delta"].update(content="Hi")
        ),
        "the last piece is lost": streaming(
            lambda chunks: chunks[1]["choices"][0]["delta"].update(
                content=chunks[1]["choices"][0]["delta"]["content"][:-1]
            )
        ),
    },
    "structured_output.bad-schema": {
        "a schema breaks the server": refusing(500, lambda asked: "wonder" in str(asked)),
        "a format breaks the server": refusing(500, lambda asked: asked.get("response_format") == {}),
        "it is gone afterwards": Alter(
            refuse=lambda _asked, _key, number: (503, error("gone")) if number > 5 else None
        ),
    },
    "structured_output.bounded": {
        "white space without an end": saying(text("{" + " " * 900, finish="length")),
        "digits without an end": saying(text('{"districts": ' + "1" * 300 + "}")),
    },
    "vision.image-accepted": {
        "images are refused": refusing(400, lambda asked: isinstance(asked["messages"][0]["content"], list)),
        "images break the server": refusing(500, lambda asked: isinstance(asked["messages"][0]["content"], list)),
        "images are dropped": session(
            lambda _, body: body["usage"].update(prompt_tokens=9) or body["choices"][0]["message"].update(content="Sea")
        ),
    },
    "vision.every-part": {
        "the first two parts are read": session(
            lambda asked, body: len(asked["messages"][0]["content"]) == 4 and body["usage"].update(prompt_tokens=60)
        ),
    },
    "vision.bad-image": {"any image is taken": Alter(opens_images=False)},
    "vision.text-model-refuses": {"images are passed over": Alter()},
    "sessions.echo": {
        "another session": session(lambda _, body: body.update(session_id="3f0c9a52-6b1e-4d57-9f38-2f4f7a1c8e60")),
        "no session": session(lambda _, body: body.pop("session_id")),
        "a session that is no UUID": session(lambda _, body: body.update(session_id="mine")),
        "one of its own is not known again": session(forgetful()),
        "sessions in streams are mixed up": streaming(lambda chunks: chunks[-1].update(session_id="other")),
    },
    "sessions.minted": {
        "the same for all": session(lambda _, body: body.update(session_id="3f0c9a52-6b1e-4d57-9f38-2f4f7a1c8e60")),
        "null is repeated": session(
            lambda asked, body: body.update(session_id=asked.get("session_id", body["session_id"]))
        ),
    },
    "sessions.labels": {
        "an empty map is refused": refusing(400, lambda asked: asked.get("labels") == {}),
        "keys with dots only": refusing(400, lambda asked: any("." not in key for key in asked.get("labels", {}))),
    },
    "sessions.metadata-alias": {
        "both break the server": refusing(500, lambda asked: "labels" in asked and "metadata" in asked),
        "a conflict breaks the server": refusing(
            500, lambda a: a.get("labels", a.get("metadata")) != a.get("metadata")
        ),
    },
    "sessions.completion-id-history": {
        "the id is refused": refusing(400, lambda asked: "completion_id" in str(asked["messages"])),
        "the session is lost": session(lambda a, b: len(a["messages"]) > 1 and b.update(session_id="3" * 32)),
    },
    "sessions.ttft-budget": {
        "no budget breaks the server": refusing(500, lambda asked: asked.get("max_ttft_ms") == 0),
        "a large budget is refused": refusing(400, lambda asked: asked.get("max_ttft_ms") == 60_000),
    },
    "sessions.streaming-typo": {"it is refused": refusing(400, lambda asked: "streaming" in asked)},
    "limits.rate-limited": {
        "there is no limit": Alter(),
        "streams are not limited": Alter(
            refuse=lambda asked, key, n: None if asked.get("stream") else keeps(asked, key, n), headers=limits
        ),
    },
    "limits.window": {
        "everybody is refused": Alter(refuse=lambda _asked, _key, n: spent(n), headers=limits),
        "streams are served again": Alter(
            refuse=lambda asked, key, n: None if asked.get("stream") and n > 3 else keeps(asked, key, n), headers=limits
        ),
        "it is refused once": Alter(refuse=lambda _asked, _key, n: spent(n) if n == 3 else None, headers=limits),
        "the second refusal breaks the server": Alter(
            refuse=lambda asked, key, n: (500, error("oh")) if key == "limited-key" and n > 3 else keeps(asked, key, n),
            headers=limits,
        ),
        "the others get an outage": Alter(
            refuse=lambda asked, key, n: (503, error("later")) if n > 3 and key[0] == "t" else keeps(asked, key, n),
            headers=limits,
        ),
    },
    "limits.retry-after": {
        "there is none": Alter(refuse=keeps),
        "words": header("retry-after", "soon"),
        "a negative number": header("retry-after", "-1"),
        "a fraction": header("retry-after", "1.5"),
    },
    "limits.retry-after-seconds": {
        "zero": header("retry-after", "0"),
        "a date": header("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"),
    },
    "limits.headers": {
        "there are none": Alter(refuse=keeps),
        "one is missing": Alter(headers=lambda n: {k: v for k, v in limits(n).items() if "reset-tokens" not in k}),
        "no number": header("x-ratelimit-remaining-requests", "many"),
        "more remains than there is": header("x-ratelimit-remaining-tokens", "61"),
    },
    "limits.remaining-decreases": {"it stands still": header("x-ratelimit-remaining-requests", "60")},
    "limits.no-credit": {"it is served": Alter(), "it breaks the server": refusing(500)},
    "limits.forbidden": {"it is served": Alter(), "it is not found": refusing(404)},
    "limits.unavailable": {"it is served": Alter(), "it is said to be unknown": refusing(404)},
    "limits.timeout": {"it breaks the server": refusing(500)},
    "logprobs.present": {
        "none come": saying(lambda _, choice: choice.update(logprobs=None)),
        "they are of another text": scored(lambda token: token.update({"token": "x", "bytes": [120]})),
        "the last is lost": saying(lambda _, choice: choice["logprobs"]["content"].pop()),
    },
    "logprobs.streamed": {
        "none come": streaming(lambda chunks: [c["choices"][0].update(logprobs=None) for c in chunks]),
    },
    "logprobs.asked": {
        "none come": saying(lambda _, choice: choice.update(logprobs=None)),
        "every token is told again and again": saying(
            lambda _, choice: choice["logprobs"].update(content=choice["logprobs"]["content"] * 20)
        ),
    },
    "logprobs.every-choice": {
        "the second choice has none": Alter(refuse=keeps, whole=unscored_second),
    },
    "logprobs.values": {
        "probabilities": scored(lambda token: token.update(logprob=0.6)),
        "not a number": scored(lambda token: token.update(logprob=float("nan"))),
        "minus infinity": scored(lambda token: token.update(logprob=float("-inf"))),
        "null": scored(lambda token: token.update(logprob=None)),
        "an integer beyond all floats": scored(lambda token: token.update(logprob=-(10**400))),
        "text": scored(lambda token: token.update(logprob="-0.5")),
        "bytes of another token": scored(lambda token: token.update(bytes=[120])),
        "one alternative twice": scored(
            lambda token: token.update(top_logprobs=[{"token": " x", "logprob": -3.0, "bytes": None}] * 2)
        ),
        "alternatives beyond certainty": scored(lambda token: token.update(top_logprobs=HEAVY)),
    },
    "logprobs.top-count": {
        "always two": scored(lambda token: token.update(top_logprobs=HEAVY)),
        "never any": scored(lambda token: token.update(top_logprobs=[])),
    },
    "logprobs.absent-unasked": {
        "they come": saying(lambda _, choice: choice.update(logprobs={"content": [{"token": "x", "logprob": -1.0}]})),
    },
    "sampling.temperature-zero-repeats": {"it never repeats itself": varying()},
    "sampling.seed-repeats": {"the seed is ignored": session(seed_ignored)},
    "sampling.penalties-accepted": {
        "the end of the range is refused": refusing(400, lambda asked: asked.get("presence_penalty") == -2),
    },
    "sampling.logit-bias-safe": {
        "an unknown token breaks the server": refusing(500, lambda asked: "-1" in asked.get("logit_bias", {})),
        "it is gone afterwards": Alter(
            refuse=lambda _asked, _key, number: (503, error("gone")) if number > 3 else None
        ),
    },
    "models.list": {"it is empty": listing(), "one id twice": listing(model(MODEL), model(MODEL))},
    "models.field[data.owned_by]": {"it is missing": listing({"id": MODEL, "object": "model", "created": 1})},
    "models.field[data.created]": {"it is text": listing({**model(MODEL), "created": "1"})},
    "models.lists-the-judged": {"it is not listed": listing(model("another-model"))},
    "models.retrieve": {
        "another one is found": Alter(one=lambda _, found: {**found, "id": "x"} if found else None),
        "what is listed is not found": Alter(one=lambda _name, _found: None),
        "anything is found": Alter(one=lambda name, _: model(name)),
    },
    "clients.openai-python": {
        "no choices": Alter(refuse=keeps, whole=lambda _, body: {**body, "choices": []}),
        "no text": saying(text("")),
        "the server fails": refusing(500),
        "a wrong key is taken": Alter(),
        "a call with broken arguments": saying(calls(arguments('{"city": "Par'))),
    },
    "clients.openai-python-stream": {
        "no text": streaming(lambda chunks: [c["choices"][0].update(delta={}) for c in chunks]),
        "no usage": Alter(refuse=keeps),
        "one document": Alter(chunks=lambda _asked, _chunks: []),
    },
}
