"""What the suite once held against correct servers that are unlike ours: each line here was a false alarm."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import dialects
from conformance import calls
from conformance.chat import Chat
from conformance.checks import (
    test_asked,
    test_chat,
    test_clients,
    test_errors,
    test_limits,
    test_logprobs,
    test_request,
    test_service,
    test_stream,
    test_structured_output,
    test_tools,
)
from conformance.profile import Profile
from conformance.reply import Reply, read
from conformance.target import Target
from conformance.verdict import Inconclusive, Mismatch, NotApplicable
from conformance.wire.client import Client
from conformance.wire.exchange import Exchange, Frame, Request
from tests.loopback import Loopback
from tests.plain_service import MODEL, Alter, Service, error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = dict[str, Any]


@pytest.fixture
def asking() -> Iterator[Callable[..., tuple[Chat, list[Json]]]]:
    """A chat with a service that refuses what it is told to, and all that the service was asked."""
    client, services, sent = Client(), [], []

    def make(
        dialect: str, model: str, status: int = 400, refused: Callable[[Json], object] = lambda _: False
    ) -> tuple[Chat, list[Json]]:
        def refuse(asked: Json, *_: object) -> tuple[int, Json] | None:
            sent.append(asked)
            return (status, error("no")) if refused(asked) else None

        services.append(Service(Alter(refuse=refuse)).__enter__())
        target = Target(services[-1].url, model, "a-key")
        return Chat(client, target, dialects.load(dialect), Profile(), {}), sent

    yield make
    client.close()
    for service in services:
        service.__exit__()


def test_the_default_model_is_asked_of_the_targets_own_project(
    asking: Callable[..., tuple[Chat, list[Json]]],
) -> None:
    chat, sent = asking("adaptive", "shop/helper", 404, lambda asked: asked["model"].partition("/")[0] != "shop")
    with pytest.raises(Mismatch, match="name of the model"):  # the plain service took it, and names none in its choices
        test_request.test_default_model(chat)
    assert [asked["model"] for asked in sent] == ["shop"]


def test_nothing_is_null_that_only_another_page_allows_to_be(
    asking: Callable[..., tuple[Chat, list[Json]]],
) -> None:
    chat, sent = asking("adaptive", "shop/helper")
    test_request.test_null_is_absent(chat)

    nulls = {name for name, value in sent[-1].items() if value is None}
    assert {"stop", "temperature", "top_p"} <= nulls
    assert not nulls & {"labels", "metadata", "stream", "n"}


def test_null_for_top_logprobs_is_nobodys_promise(asking: Callable[..., tuple[Chat, list[Json]]]) -> None:
    chat, _ = asking("openai", "m", 400, lambda asked: "top_logprobs" in asked and asked["top_logprobs"] is None)

    test_request.test_null_is_absent(chat)
    test_request.test_accepts(chat, "top_logprobs")
    with pytest.raises(Mismatch):
        test_request.test_accepts(
            asking("openai", "m", 400, lambda asked: asked.get("top_logprobs") == 20)[0], "top_logprobs"
        )


@pytest.mark.parametrize("name", dialects.known())
def test_an_unknown_model_may_be_not_found(asking: Callable[..., tuple[Chat, list[Json]]], name: str) -> None:
    unknown = dialects.load(name).models.unknown
    for status in (404, 418):
        chat, _ = asking(name, "m", status, lambda asked: asked["model"] == unknown)
        if status == 404:
            test_request.test_unknown_model(chat)
        else:
            with pytest.raises(Mismatch):
                test_request.test_unknown_model(chat)


@pytest.mark.parametrize("name", dialects.known())
def test_no_row_demands_the_refusal_of_what_the_page_is_silent_about(name: str) -> None:
    from conformance.schema import spots
    from conformance.values import broken

    dialect = dialects.load(name)
    root = dialect.schemas["request"]
    demanded = []
    for row in dialect.requirements:
        for check in row.checks if row.level != "MAY" and row.tier == "seed" else ():
            argument = check.removeprefix("request.rejects[").removesuffix("]")
            field, _, kind = argument.rpartition(":")
            if check == argument or kind == "missing":
                continue
            for spot in spots(root, field):
                silent = [repr(value) for value in spot.rule.get("x-silent", ())]
                demanded += [(row.id, check) for value in broken(root, spot, kind) if repr(value) in silent]

    assert demanded == []


def answered(asked: Json, text: str, **members: Any) -> Reply:  # noqa: ANN401 - JSON
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}], **members}
    request = Request("POST", "http://127.0.0.1/v1/chat/completions", (), json.dumps(asked).encode())
    headers = (("content-type", "application/json"),)
    return read(Exchange("x1", request, 0.0, 0.1, 200, headers, (Frame(0.0, json.dumps(body).encode()),)))


def test_a_model_may_repeat_what_was_said_to_it() -> None:
    said = "Say hi to \x01\x7f <s> \ufffd"
    echo = answered({"messages": [{"role": "user", "content": [{"type": "text", "text": said}]}]}, f"You said: {said}")

    for part in ("control", "replacement", "special-tokens"):
        test_chat.test_text_clean(echo, part)
    with pytest.raises(Mismatch, match="x02"):
        test_chat.test_text_clean(answered({"messages": [{"role": "user", "content": said}]}, "\x02"), "control")


def test_a_dated_release_is_the_model_that_was_asked_for() -> None:
    test_chat.test_model_echoed(answered({"model": "small"}, "Hi", model="small-2026-01-31"))
    with pytest.raises(Mismatch, match="smaller"):
        test_chat.test_model_echoed(answered({"model": "small"}, "Hi", model="smaller"))
    with pytest.raises(Mismatch):
        test_chat.test_model_echoed(answered({"model": "small"}, "Hi", model="small-mini"))


@pytest.mark.parametrize(("version", "blamed"), [(b"HTTP/1.0", False), (b"HTTP/1.1", True)])
def test_chunks_are_asked_of_nobody_who_speaks_http_1_0(*, version: bytes, blamed: bool) -> None:
    refusal = version + b" 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    client = Client()
    try:
        with Loopback(lambda _: [refusal]) as server:
            chat = Chat(client, Target(server.url, "m", "a-key"), dialects.load("openai"), Profile(), {})
            with pytest.raises(Mismatch if blamed else NotApplicable):
                test_service.test_chunked_request(chat)
    finally:
        client.close()


def test_a_stream_need_not_say_how_it_ended_where_no_page_says_that_it_does(
    asking: Callable[..., tuple[Chat, list[Json]]],
) -> None:
    body = b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\ndata: [DONE]\n\n'
    request = Request("POST", "http://127.0.0.1/v1/chat/completions", (), b'{"messages": [], "stream": true}')
    headers = (("content-type", "text/event-stream"),)
    silent = read(Exchange("x1", request, 0.0, 0.1, 200, headers, (Frame(0.0, body),)))

    assert asking("dria", "m")[0].unfinished(silent)
    assert not asking("openai", "m")[0].unfinished(silent)
    assert not asking("dria", "m")[0].unfinished(answered({}, "Hi"))


def cut(status: int, *frames: bytes, aborted: bool = False) -> Exchange:
    """An answer of these pieces to a plain question."""
    request = Request("POST", "http://127.0.0.1/v1/chat/completions", (), b'{"messages": []}')
    pieces = tuple(Frame(n / 100, data) for n, data in enumerate(frames))
    head = (("content-type", "application/json"),)
    return Exchange("x1", request, 0.0, 0.1, status, head, pieces, aborted=aborted)


def test_json_of_which_the_client_read_the_beginning_alone_is_not_called_broken() -> None:
    pieces = (b'{"error', b'": {"me', b'ssage":')
    with pytest.raises(NotApplicable, match="on purpose"):
        test_service.test_strict_json(cut(400, *pieces, aborted=True), "syntax")
    with pytest.raises(Mismatch, match="RFC 8259"):
        test_service.test_strict_json(cut(400, *pieces), "syntax")


@pytest.mark.parametrize(("status", "fine"), [(411, True), (417, True), (418, False)])
def test_the_framing_of_a_request_may_be_refused_as_http_says(*, status: int, fine: bool) -> None:
    refusal, openai = cut(status, b'{"error": {"message": "no"}}'), dialects.load("openai")
    if fine:
        test_errors.test_status_documented(refusal, openai)
        return
    with pytest.raises(Mismatch, match="418"):
        test_errors.test_status_documented(refusal, openai)


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("name", ["openai", "aqueduct"])
def test_tools_that_are_refused_are_no_fault_of_content(
    asking: Callable[..., tuple[Chat, list[Json]]], name: str, status: int
) -> None:
    chat, _ = asking(name, "small-model", status, lambda asked: asked.get("tools"))
    test_request.test_accepts(chat, "messages.content")
    chat.target = replace(chat.target, key=None)  # the plain service takes any key
    test_clients.test_openai_python(chat)
    with pytest.raises(Mismatch, match=str(status)):
        test_request.test_accepts(chat, "tools")


def test_a_server_error_for_tools_excuses_no_content(asking: Callable[..., tuple[Chat, list[Json]]]) -> None:
    chat, _ = asking("aqueduct", "small-model", 500, lambda asked: asked.get("tools"))
    with pytest.raises(Mismatch, match="500"):
        test_request.test_accepts(chat, "messages.content")


@pytest.mark.parametrize(("text", "sticks"), [('{"answer": "hi"}', False), (' {"last": 5', True), ("{last", False)])
def test_a_model_that_always_speaks_json_remembers_nothing(*, text: str, sticks: bool) -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]}
    request = Request("POST", "http://127.0.0.1/v1/chat/completions", (), b'{"messages": [], "stream": true}')
    frames = (Frame(0.0, f"data: {json.dumps(chunk)}\n\n".encode()),)
    reply = read(Exchange("x1", request, 0.0, 0.1, 200, (("content-type", "text/event-stream"),), frames))
    if sticks:
        with pytest.raises(Mismatch, match="JSON of the format"):
            test_asked._forgotten(reply, scores=True)
    else:
        test_asked._forgotten(reply, scores=True)


@pytest.mark.parametrize(("field", "capability"), [("logprobs", "logprobs"), ("top_logprobs", "logprobs"), ("n", "n")])
def test_a_field_of_what_is_not_offered_is_not_asked_for(
    asking: Callable[..., tuple[Chat, list[Json]]], field: str, capability: str
) -> None:
    chat, sent = asking("openai", "small-model")
    chat.profile = Profile(lacks=frozenset((capability,)))
    with pytest.raises(NotApplicable, match=capability):
        test_request.test_accepts(chat, field)
    assert not sent


def test_log_probabilities_that_are_not_offered_are_not_asked_for(
    asking: Callable[..., tuple[Chat, list[Json]]],
) -> None:
    chat, sent = asking("openai", "small-model")
    chat.profile = Profile(lacks=frozenset(("logprobs",)))
    for asks in (test_logprobs.test_present, test_logprobs.test_streamed, test_logprobs.test_every_choice):
        with pytest.raises(NotApplicable, match="logprobs"):
            asks(chat)
    assert not sent


def without_a_word(finish: str, **message: Any) -> Callable[[Json, Json], Json]:  # noqa: ANN401 - JSON
    """Makes an answer one that says nothing and ended so."""
    said = {"role": "assistant", "content": None, **message}
    return lambda _, body: {
        **body,
        "choices": [{**choice, "message": said, "finish_reason": finish} for choice in body["choices"]],
    }


DECLINED, FILTERED = without_a_word("stop", refusal="I can't."), without_a_word("content_filter")


@pytest.mark.parametrize("alter", [DECLINED, FILTERED])
def test_a_refusal_of_the_model_is_no_broken_format_and_no_missing_call(alter: Callable[[Json, Json], Json]) -> None:
    client = Client()
    with Service(Alter(whole=alter)) as service:
        chat = Chat(client, Target(service.url, MODEL, "a-key"), dialects.load("openai"), Profile(), {})
        for ask in (test_structured_output.test_cut_short, test_tools.test_named_choice):
            with pytest.raises(Inconclusive, match=r"declined|filter"):
                ask(chat)
        reply = chat.ask(response_format={"type": "json_object"})
    client.close()
    with pytest.raises(NotApplicable):
        test_structured_output.test_kept(reply, dialects.load("openai"))


def test_an_answer_that_a_filter_ended_did_not_come_to_its_own_end() -> None:
    client = Client()
    with Service(Alter(whole=FILTERED)) as service:
        chat = Chat(client, Target(service.url, MODEL, "a-key"), dialects.load("openai"), Profile(), {})
        with pytest.raises(Inconclusive, match="filter"):
            test_chat.test_natural_finish(chat)
    client.close()


def test_thoughts_need_not_be_taken_back() -> None:
    def thinking(_: Json, body: Json) -> Json:
        choices = [{**c, "message": {**c["message"], "reasoning_content": "hm"}} for c in body["choices"]]
        return {**body, "choices": choices}

    def refuse(asked: Json, *_: object) -> tuple[int, Json] | None:
        return (400, error("no thoughts")) if any("reasoning_content" in m for m in asked["messages"]) else None

    client = Client()
    with Service(Alter(whole=thinking, refuse=refuse)) as service:
        chat = Chat(client, Target(service.url, MODEL, "a-key"), dialects.load("openai"), Profile(), {})
        test_tools.test_round_trip(chat)
        test_tools.test_several_results(chat)
    client.close()


def test_a_stop_sequence_may_end_thoughts() -> None:
    ended = answered({}, "", usage={})
    ended.body["choices"][0]["finish_reason"] = "stop"
    assert test_chat._ends_before(read(ended.exchange), "1, 2, 3")
    thought = {"role": "assistant", "content": "", "reasoning_content": "The user wants 1, 2,"}
    ended.body["choices"][0]["message"] = thought
    with pytest.raises(Inconclusive, match="thoughts"):
        test_chat._ends_before(Reply(replace_body(ended.exchange, ended.body), streamed=False), "1, 2, 3")


def replace_body(exchange: Exchange, body: Json) -> Exchange:
    return replace(exchange, frames=(Frame(0.0, json.dumps(body).encode()),))


@pytest.mark.parametrize(
    ("pieces", "fine"),
    [
        (["the " * 20, "the " * 20], True),
        (["the ", "the " * 2, "the " * 3, "the " * 4, "the " * 5], True),
        (["a b c d e f g h i j k l m n o p q r s t ", "a b c d e f g h i j k l m n o p q r s t u v"], False),
        (["One", "One day", "One day a", "One day a ship", "One day a ship came"], False),
    ],
)
def test_a_model_that_goes_round_in_circles_repeats_no_stream(*, pieces: list[str], fine: bool) -> None:
    chunks = [{"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]} for piece in pieces]
    text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    request = Request("POST", "http://127.0.0.1/v1/chat/completions", (), b'{"messages": [], "stream": true}')
    head = (("content-type", "text/event-stream"),)
    stream = read(Exchange("x1", request, 0.0, 0.1, 200, head, (Frame(0.0, text.encode()),)))
    if fine:
        test_stream.test_incremental(stream)
    else:
        with pytest.raises(Mismatch, match="the text so far again"):
            test_stream.test_incremental(stream)


def test_parts_of_characters_without_bytes_spell_what_nobody_can_tell() -> None:
    parts = [{"token": "\ufffd", "logprob": -0.1, "bytes": None, "top_logprobs": []}] * 3
    reply = answered({"logprobs": True, "messages": []}, "日")
    body = {**reply.body, "choices": [{**reply.body["choices"][0], "logprobs": {"content": parts}}]}
    openai = dialects.load("openai")
    test_logprobs.test_asked(read(replace_body(reply.exchange, body)), openai)
    body["choices"][0]["logprobs"] = {"content": [{**parts[0], "token": "x"}]}
    with pytest.raises(Mismatch, match="spell"):
        test_logprobs.test_asked(read(replace_body(reply.exchange, body)), openai)


def streamed(*frames: str) -> Reply:
    request = Request("POST", "http://127.0.0.1/v1/chat/completions", (), b'{"messages": [], "stream": true}')
    head = (("content-type", "text/event-stream"),)
    return read(Exchange("x1", request, 0.0, 0.1, 200, head, (Frame(0.0, "".join(frames).encode()),)))


def test_an_event_without_data_now_and_then_is_a_sign_of_life() -> None:
    said, alive = "data: {}\n\n", "event: ping\n\n"
    test_stream.test_framing(streamed(alive, said, said, said))
    with pytest.raises(Mismatch, match="data in every event"):
        test_stream.test_framing(streamed(alive, said, alive, said))


CALL: Json = {"id": "call_1", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}


def in_pieces(*pieces: Json, finish: str = "tool_calls") -> Reply:
    """A stream of a call in these pieces."""
    deltas: list[Json] = [{"tool_calls": [{"index": 0, **piece}]} for piece in pieces]
    choices: list[Json] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": finish})
    return streamed(*(f"data: {json.dumps({'choices': [choice]})}\n\n" for choice in choices))


LATE: tuple[Json, ...] = (
    {"id": "call_1"},
    {"type": "function", "function": {"name": "get_time"}},
    {"function": {"arguments": "{}"}},
)


def test_any_piece_of_a_call_may_bring_its_name() -> None:
    assert list(calls.pieces(in_pieces(CALL))) == []
    assert list(calls.pieces(in_pieces(*LATE))) == []
    assert list(calls.pieces(in_pieces(LATE[0], finish="length"))) == []


def test_what_no_piece_brings_is_missing_and_what_comes_twice_is_told() -> None:
    assert "no type and no name in any piece" in "".join(calls.pieces(in_pieces(LATE[0])))
    assert "id again in a later piece" in "".join(calls.pieces(in_pieces(CALL, {"id": "call_1"})))
    named = {"function": {"name": "get_time"}}
    assert "name again in a later piece" in "".join(calls.pieces(in_pieces(*LATE, named)))


@pytest.mark.parametrize(("name", "silent"), [("adaptive", True), ("adaptive", False), ("openai", True)])
def test_choices_need_a_finish_reason_where_one_is_promised_or_another_has_one(name: str, silent: bool) -> None:  # noqa: FBT001
    def unfinished(_: Json, body: Json) -> Json:
        for choice in body["choices"][0 if silent else 1 :]:
            choice.pop("finish_reason", None)
        return body

    with Service(Alter(whole=unfinished)) as service:
        client = Client()
        target = Target(service.url, "shop/helper", "a-key")
        chat = Chat(client, target, dialects.load(name), Profile(), {})
        if name == "adaptive" and silent:
            test_chat.test_n_choices(chat, chat.dialect)
        else:
            with pytest.raises(Mismatch, match="finish reason"):
                test_chat.test_n_choices(chat, chat.dialect)
        client.close()


@pytest.mark.parametrize(
    ("left", "error"),
    [(["58", "59", "59"], Inconclusive), (["60", "60"], Mismatch), (["59", "60"], Mismatch), (["0", "0"], Mismatch)],
)
def test_remaining_requests_may_rise_below_the_limit_where_older_ones_leave_the_window(
    monkeypatch: pytest.MonkeyPatch, left: list[str], error: type[Exception]
) -> None:
    told = [{"x-ratelimit-remaining-requests": count, "x-ratelimit-limit-requests": "60"} for count in left]
    monkeypatch.setattr(test_limits, "_promised", lambda _: ["x-ratelimit-remaining-requests"])
    monkeypatch.setattr(test_limits, "_series", lambda _: [SimpleNamespace(header=headers.get) for headers in told])

    with pytest.raises(error):
        test_limits.test_remaining_decreases(None)  # type: ignore[arg-type]  # nothing is asked
