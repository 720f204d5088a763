"""The embedded engine through the OpenAI dialect: limits, stops, choices, tools, formats, images, log probabilities."""

from __future__ import annotations

import base64
import io
import json
from math import exp
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.server_process import STORY, Server, chunks, finishes, running, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
            "required": ["location", "unit"],
            "additionalProperties": False,
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "get_time"}}
NAMED = {"type": "function", "function": {"name": "get_weather"}}
PERSON = {
    "type": "json_schema",
    "json_schema": {
        "name": "person",
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
            "required": ["name", "age"],
        },
    },
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as started:
        yield started


def choice(server: Server, **fields: Any) -> Json:  # noqa: ANN401 - any JSON value
    found: Json = server.post("openai", **fields).json()["choices"][0]
    return found


def said(server: Server, **fields: Any) -> str:  # noqa: ANN401 - any JSON value
    text: str = choice(server, **fields)["message"]["content"]
    return text


@pytest.mark.parametrize("limit", [1, 2, 7, 50])
@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_limit_cuts_exactly_and_says_so(server: Server, field: str, limit: int) -> None:
    answer = server.post("openai", content=STORY, **{field: limit}).json()

    assert (limit, "length") == (answer["usage"]["completion_tokens"], answer["choices"][0]["finish_reason"])


def test_an_answer_that_fits_its_limit_exactly_is_not_cut(server: Server) -> None:
    whole = server.post("openai", content="Count to 5").json()
    spent = whole["usage"]["completion_tokens"]
    exact = server.post("openai", content="Count to 5", max_tokens=spent).json()["choices"][0]
    less = server.post("openai", content="Count to 5", max_tokens=spent - 1).json()["choices"][0]

    assert (exact["finish_reason"], exact["message"]["content"]) == ("stop", "1, 2, 3, 4, 5")
    assert (less["finish_reason"], less["message"]["content"] + " ") == ("length", "1, 2, 3, 4, ")


def test_a_limit_of_nothing_is_refused(server: Server) -> None:
    assert [server.post("openai", max_tokens=limit).status_code for limit in (0, -1)] == [400, 400]


def test_no_half_character_is_shown_when_a_limit_cuts_through_one(server: Server) -> None:
    texts = [said(server, content="Repeat exactly: 🎉🎉🎉", max_tokens=limit) for limit in (1, 2, 3, 4)]

    assert texts == ["", "🎉", "🎉🎉", "🎉🎉🎉"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("stop", "kept"), [("7", "1, 2, 3, 4, 5, 6, "), ("5, 6", "1, 2, 3, 4, "), (["9", "3, "], "1, 2, "), ("x", None)]
)
def test_a_stop_string_cuts_even_across_tokens(server: Server, stream: bool, stop: object, kept: str | None) -> None:  # noqa: FBT001
    fields: Json = {"content": "Count to 12", "stop": stop, "stream": stream}
    whole = said(server, content="Count to 12")
    if stream:
        parts = chunks(server.post("openai", **fields))
        text, reason = text_of(parts), finishes(parts)[0]
    else:
        found = choice(server, **fields)
        text, reason = found["message"]["content"], found["finish_reason"]

    assert (whole if kept is None else kept, "stop") == (text, reason)


def test_a_text_is_repeated_to_the_letter(server: Server) -> None:
    for text in ("x", ' "quoted" \\ and\ttabs\nlines ', "naïve 👩\u200d👩\u200d👧 e\u0301 \u2028 \u0000 end"):
        assert said(server, content=f"Repeat exactly: {text}", max_tokens=500) == text.lstrip()


def test_asked_for_words_it_writes_so_many(server: Server) -> None:
    assert len(said(server, content="Write 37 words").split()) == 37


def test_choices_differ_and_usage_covers_them_all(server: Server) -> None:
    answer = server.post("openai", content=STORY, n=4, max_tokens=30).json()

    assert [found["index"] for found in answer["choices"]] == [0, 1, 2, 3]
    assert len({found["message"]["content"] for found in answer["choices"]}) == 4
    assert answer["usage"]["completion_tokens"] == 4 * 30


@pytest.mark.parametrize("fields", [{"temperature": 0}, {"seed": 7}])
def test_answers_repeat_when_asked_to(server: Server, fields: Json) -> None:
    assert len({said(server, content=STORY, max_tokens=30, **fields) for _ in range(3)}) == 1


def test_answers_vary_otherwise(server: Server) -> None:
    assert len({said(server, content=STORY, max_tokens=30) for _ in range(3)}) == 3
    assert said(server, content=STORY, seed=1) != said(server, content=STORY, seed=2)


def test_a_longer_prompt_costs_more_and_parts_cost_the_same_as_text(server: Server) -> None:
    def cost(content: object) -> int:
        spent: int = server.post("openai", content=content, max_tokens=1).json()["usage"]["prompt_tokens"]
        return spent

    assert cost("a word") < cost("a word and another")
    assert (
        cost("a word")
        == cost([{"type": "text", "text": "a word"}])
        == cost([{"type": "text", "text": "a "}, {"type": "text", "text": "word"}])
    )


def test_a_prompt_beyond_the_context_is_refused(server: Server) -> None:
    answer = server.post("openai", content="word " * 40_000)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")


def test_an_answer_stays_within_the_context(server: Server) -> None:
    answer = server.post("openai", content="word " * 32_700, max_tokens=10_000).json()

    assert answer["usage"]["total_tokens"] <= 32_768


def test_a_named_tool_is_called_with_arguments_that_fit(server: Server) -> None:
    found = choice(server, content="What is the weather in Tokyo?", tools=[CLOCK, WEATHER], tool_choice=NAMED)
    call = found["message"]["tool_calls"][0]

    assert (found["message"]["content"], found["finish_reason"], call["function"]["name"]) == (
        None,
        "tool_calls",
        "get_weather",
    )
    assert json.loads(call["function"]["arguments"])["location"] == "Tokyo"
    assert json.loads(call["function"]["arguments"])["unit"] in ("C", "F")


def test_a_required_tool_is_called_and_none_is_not(server: Server) -> None:
    asked: Json = {"content": "Call get_time", "tools": [WEATHER, CLOCK]}

    assert choice(server, tool_choice="required", **asked)["message"]["tool_calls"][0]["function"]["name"] == "get_time"
    assert "tool_calls" not in choice(server, tool_choice="none", **asked)["message"]


def test_left_to_itself_it_calls_only_tools_that_are_named(server: Server) -> None:
    both = choice(
        server, content="Use get_weather for Paris, get_weather for Rome and then get_time", tools=[CLOCK, WEATHER]
    )
    calls = both["message"]["tool_calls"]

    assert "tool_calls" not in choice(server, content="Say hi", tools=[CLOCK, WEATHER])["message"]
    assert [call["function"]["name"] for call in calls] == ["get_weather", "get_weather", "get_time"]
    assert [json.loads(call["function"]["arguments"]).get("location") for call in calls] == ["Paris", "Rome", None]
    assert len({call["id"] for call in calls}) == 3


def test_only_allowed_tools_are_called(server: Server) -> None:
    allowed = {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "get_time"}}]},
    }
    found = choice(server, content="get_weather", tools=[WEATHER, CLOCK], tool_choice=allowed)

    assert found["message"]["tool_calls"][0]["function"]["name"] == "get_time"


def test_parallel_calls_can_be_forbidden(server: Server) -> None:
    asked: Json = {"content": "get_weather and get_time", "tools": [CLOCK, WEATHER]}

    assert len(choice(server, **asked)["message"]["tool_calls"]) == 2
    assert len(choice(server, parallel_tool_calls=False, **asked)["message"]["tool_calls"]) == 1


def test_calls_are_streamed_in_fragments_that_add_up(server: Server) -> None:
    asked: Json = {"content": "get_weather in Oslo", "tools": [WEATHER], "tool_choice": NAMED, "seed": 5}
    plain = choice(server, **asked)["message"]["tool_calls"][0]
    parts = chunks(server.post("openai", stream=True, **asked))
    fragments = [call for part in parts for call in part["choices"][0]["delta"].get("tool_calls", [])]

    assert fragments[0]["function"] == {"name": "get_weather", "arguments": ""}
    assert all(call.keys() == {"index", "function"} for call in fragments[1:])
    assert plain["function"]["arguments"] == "".join(call["function"]["arguments"] for call in fragments)
    assert finishes(parts) == {0: "tool_calls"}


def test_a_limit_cuts_a_call_and_says_so(server: Server) -> None:
    answer = server.post("openai", tools=[WEATHER], tool_choice=NAMED, max_tokens=5).json()

    assert (answer["usage"]["completion_tokens"], answer["choices"][0]["finish_reason"]) == (5, "length")


def test_after_a_tools_message_it_answers_with_the_result(server: Server) -> None:
    asked = {"role": "user", "content": "get_weather in Oslo"}
    message = choice(server, content=asked["content"], tools=[WEATHER])["message"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "minus 4 degrees"}
    found = choice(server, messages=[asked, message, result], tools=[WEATHER])

    assert "minus 4 degrees" in found["message"]["content"]
    assert found["finish_reason"] == "stop"


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_choice": {"type": "function", "function": {"name": "none_such"}}, "tools": [WEATHER]},
        {"tool_choice": "required"},
        {"tool_choice": "bogus", "tools": [WEATHER]},
        {
            "tool_choice": "required",
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "string"}}}],
        },
        {
            "tool_choice": "required",
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": 3}}}],
        },
    ],
)
def test_a_tool_that_cannot_be_called_is_refused(server: Server, fields: Json) -> None:
    assert server.post("openai", **fields).status_code == 400


def test_a_custom_tool_gets_free_text(server: Server) -> None:
    tool = {"type": "custom", "custom": {"name": "run_query"}}
    call = choice(server, content="run_query now", tools=[tool], tool_choice="required")["message"]["tool_calls"][0]

    assert (call["type"], call["custom"]["name"]) == ("custom", "run_query")
    assert call["custom"]["input"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_schema_is_satisfied(server: Server, stream: bool) -> None:  # noqa: FBT001 - a parameter
    answer = server.post("openai", response_format=PERSON, stream=stream)
    text = text_of(chunks(answer)) if stream else answer.json()["choices"][0]["message"]["content"]

    assert json.loads(text).keys() == {"name", "age"}


def test_a_schema_cut_by_the_limit_says_so(server: Server) -> None:
    found = choice(server, response_format=PERSON, max_tokens=4)

    assert found["finish_reason"] == "length"
    with pytest.raises(json.JSONDecodeError):
        json.loads(found["message"]["content"])


def test_json_mode_gives_an_object(server: Server) -> None:
    assert isinstance(json.loads(said(server, response_format={"type": "json_object"})), dict)


@pytest.mark.parametrize("schema", [{"type": "bogus"}, {"pattern": "(", "type": "string"}, {"$ref": "#/$defs/none"}])
def test_a_bad_schema_is_refused_and_hurts_nobody(server: Server, schema: Json) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}

    assert [server.post("openai", response_format=form, stream=stream).status_code for stream in (False, True)] == [
        400,
        400,
    ]
    assert server.post("openai").status_code == 200


def image(kind: str, width: int, height: int) -> str:
    data = io.BytesIO()
    Image.new("RGB", (width, height)).save(data, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(data.getvalue()).decode()}"


def shown(uri: str) -> list[Json]:
    return [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": uri}}]


@pytest.mark.parametrize(("kind", "width", "height"), [("PNG", 1, 1), ("JPEG", 7, 5), ("GIF", 2, 3), ("WEBP", 4, 4)])
def test_an_image_is_opened(server: Server, kind: str, width: int, height: int) -> None:
    assert f"{kind} {width}x{height}" in said(server, content=shown(image(kind, width, height)))


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1/x.png",
        "data:image/png;base64,AAAA",
        "data:image/png;base64,@@@@",
        image("PNG", 1, 1)[:-9],
        "data:text/plain;base64,AAAA",
        "data:image/png;base64,",
        "",
    ],
)
def test_a_bad_image_is_refused(server: Server, uri: str) -> None:
    assert server.post("openai", content=shown(uri)).status_code == 400


def test_log_probabilities_are_finite_and_sum_to_at_most_one(server: Server) -> None:
    found = choice(server, content="Show me some emoji", logprobs=True, top_logprobs=4)
    scored = found["logprobs"]["content"]

    assert b"".join(bytes(token["bytes"]) for token in scored).decode() == found["message"]["content"]
    assert all(len(token["top_logprobs"]) == 4 for token in scored)
    assert all(0 < sum(exp(top["logprob"]) for top in token["top_logprobs"]) <= 1.000001 for token in scored)
    assert all(token["token"] in [top["token"] for top in token["top_logprobs"]] for token in scored)


def test_log_probabilities_are_streamed_with_their_text(server: Server) -> None:
    parts = chunks(server.post("openai", content="Repeat exactly: a 🎉 bcd ef", logprobs=True, stop="d e", stream=True))
    scored = [token for part in parts for token in (part["choices"][0]["logprobs"] or {}).get("content", [])]

    assert text_of(parts) == "a 🎉 bc"
    assert b"".join(bytes(token["bytes"]) for token in scored).decode() == "a 🎉"


def test_log_probabilities_come_only_when_asked(server: Server) -> None:
    assert choice(server)["logprobs"] is None
    assert choice(server, logprobs=True)["logprobs"]["content"][0]["top_logprobs"] == []
