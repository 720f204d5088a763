"""A choice from SGLang's outputs to events: text, scores, forced and free calls, and truthful finish reasons."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from reference_server.engine import ChatRequest, Event, Finish, Message, Reasoning, Text, Tool, ToolCall, ToolChoice
from reference_server.engine import sglang_request as ask
from reference_server.engine.sglang_calls import Arguments, CallList, Emitter
from reference_server.engine.sglang_choice import LEAST, Calling, Choice, Free, Plain
from reference_server.engine.sglang_vocabulary import Vocabulary
from reference_server.errors import ApiError

STOP: dict[str, Any] = {"type": "stop", "matched": 2}
LENGTH: dict[str, Any] = {"type": "length", "length": 9}
WEATHER = Tool("weather", parameters={"properties": {"city": {"type": "string"}}})


class Tokenizer:
    """Tokens 10 to 265 are the bytes; 2 ends a turn."""

    all_special_ids = (2,)
    added_tokens_decoder = {2: "</s>"}  # noqa: RUF012 - as in transformers

    def get_vocab(self) -> dict[str, int]:
        return {}

    def convert_ids_to_tokens(self, token: int) -> str:
        return "</s>" if token == 2 else f"<0x{token - 10:02X}>"


VOCABULARY = Vocabulary(Tokenizer())


def request(**fields: Any) -> ChatRequest:  # noqa: ANN401 - the fields of ChatRequest
    return ChatRequest("m", (Message("user", "hi"),), **fields)


def output(text: str, end: dict[str, Any] | None = None, **meta: Any) -> dict[str, Any]:  # noqa: ANN401 - as SGLang has it
    ids = [10 + byte for byte in text.encode()]
    return {"text": text, "output_ids": ids, "meta_info": {"finish_reason": end, "completion_tokens": len(ids), **meta}}


def fed(choice: Choice, *outputs: dict[str, Any]) -> list[Event]:
    return [event for each in outputs for event in choice.feed(each)]


def plain(**fields: Any) -> Plain:  # noqa: ANN401 - the fields of ChatRequest
    return Plain(0, request(**fields), VOCABULARY)


# ---------------------------------------------------------------- text


@pytest.mark.parametrize(("end", "reason"), [(STOP, "stop"), (LENGTH, "length")])
def test_text_grows_and_ends_for_the_true_reason(end: dict[str, Any], reason: str) -> None:
    choice = plain()

    assert fed(choice, output("Hi"), output("Hi there", end)) == [Text(0, "Hi"), Text(0, " there"), Finish(0, reason)]
    assert choice.done
    assert choice.spent == len("Hi there")


def test_a_stop_string_ends_the_choice_before_sglang_does() -> None:
    assert fed(plain(stop=("END",)), output("a E"), output("a END of")) == [Text(0, "a "), Finish(0, "stop")]


def test_a_stop_string_completed_by_the_last_token_is_a_stop() -> None:
    assert fed(plain(stop=("END",)), output("a END", LENGTH)) == [Text(0, "a "), Finish(0, "stop")]


def test_a_character_cut_by_the_limit_is_not_shown_and_one_that_was_said_is() -> None:
    cut = {**output("a\ufffd", LENGTH), "output_ids": [10 + byte for byte in b"a\xf0\x9f"]}

    assert fed(plain(), cut) == [Text(0, "a"), Finish(0, "length")]
    assert fed(plain(), output("a\ufffd", LENGTH)) == [Text(0, "a\ufffd"), Finish(0, "length")]


@pytest.mark.parametrize(
    ("message", "status", "cause"),
    [
        ("Failed to compile json grammar: no", 400, "out_of_range"),
        ("The input is too odd", 400, "out_of_range"),
        ("The request queue is full.", 503, "unavailable"),
        ("boom", 500, "unavailable"),
    ],
)
def test_an_answer_that_sglang_gave_up_is_a_refusal(message: str, status: int, cause: str) -> None:
    with pytest.raises(ApiError, match=message) as refused:
        fed(plain(), output("", {"type": "abort", "message": message, "status_code": status}))

    assert refused.value.cause == cause


def test_a_grammar_that_cannot_be_held_is_blamed_on_the_field_that_asked_for_it() -> None:
    end = {"type": "abort", "message": "Failed to compile json grammar: no", "status_code": 400}
    schema = plain(schema={"type": "odd"}, schema_field="format.schema")
    tool = plain(schema={}, tools=(WEATHER,), tool_choice=ToolChoice("required"))

    for choice, field_to_blame in ((schema, "format.schema"), (tool, "tools")):
        with pytest.raises(ApiError, match=f"^{field_to_blame}: the schema cannot be held") as refused:
            fed(choice, output("", end))
        assert refused.value.field == field_to_blame


# ---------------------------------------------------------------- scores


def test_scores_come_with_the_text_of_their_tokens_and_the_end_of_turn_has_none() -> None:
    chosen = [(-0.5, 10 + ord("H"), None), (-0.25, 10 + ord("i"), None), (-0.1, 2, None)]
    ranked = [[(-0.5, 10 + ord("H"), None), (-1.5, 10 + ord("J"), None)]] * 3

    first, last, finish = fed(
        plain(logprobs=1),
        output("H", output_token_logprobs=chosen[:1], output_top_logprobs=ranked[:1]),
        output("Hi", STOP, output_token_logprobs=chosen, output_top_logprobs=ranked),
    )

    assert isinstance(first, Text)
    assert isinstance(last, Text)
    assert [(s.token, s.logprob, s.top) for s in first.tokens] == [(b"H", -0.5, ((b"H", -0.5),))]
    assert [(s.token, s.logprob) for s in last.tokens] == [(b"i", -0.25)]
    assert finish == Finish(0, "stop")


@pytest.mark.parametrize(("value", "told"), [(float("-inf"), LEAST), (None, LEAST), (float("nan"), LEAST), (1e-9, 0.0)])
def test_a_log_probability_is_one_that_json_can_hold(value: float | None, told: float) -> None:
    text, _ = fed(plain(logprobs=0), output("H", STOP, output_token_logprobs=[(value, 10 + ord("H"), None)]))

    assert isinstance(text, Text)
    assert [scored.logprob for scored in text.tokens] == [told]
    assert text.tokens[0].top == ()


# ---------------------------------------------------------------- calls


def arguments_of(events: list[Event]) -> str:
    return "".join(event.arguments for event in events if isinstance(event, ToolCall))


@pytest.mark.parametrize("end", [STOP, LENGTH])
def test_a_forced_call_that_is_complete_ends_as_a_call(end: dict[str, Any]) -> None:
    choice = Calling(0, request(), VOCABULARY, Arguments(Emitter(0, {}), "weather"))

    events = fed(choice, output('{"city'), output('{"city":"Oslo"}', end))

    assert arguments_of(events) == '{"city":"Oslo"}'
    assert events[-1] == Finish(0, "tool_calls")


def test_a_forced_call_that_was_cut_ends_by_length() -> None:
    choice = Calling(0, request(), VOCABULARY, CallList(Emitter(0, {})))

    assert fed(choice, output('[{"name":"weather","arguments":{"ci', LENGTH))[-1] == Finish(0, "length")


@dataclass
class Found:
    text: str = ""
    reasoning: str = ""
    calls: list[tuple[int, str | None, str]] = field(default_factory=list)


class Parser:
    """Tells what it was made to tell, a step for each piece of text."""

    def __init__(self, *steps: Found) -> None:
        self._steps = list(steps)

    def push(self, _: str) -> Found:
        return self._steps.pop(0)

    def end(self) -> Found:
        return self._steps.pop(0) if self._steps else Found()


def free(*steps: Found, **fields: Any) -> Free:  # noqa: ANN401 - the fields of ChatRequest
    return Free(0, request(**fields), VOCABULARY, Parser(*steps), Emitter(0, {}))


def test_reasoning_and_text_are_told_apart() -> None:
    choice = free(Found(reasoning="hm"), Found(text="yes"))

    assert fed(choice, output("a"), output("ab", STOP)) == [Reasoning(0, "hm"), Text(0, "yes"), Finish(0, "stop")]


def test_only_the_tokens_of_the_text_are_scored_where_the_model_thinks_aloud() -> None:
    whole = "<t>no</t>no!</"
    scored = [(-0.5, 10 + byte, None) for byte in whole.encode()]
    choice = free(Found(), Found(reasoning="no"), Found(text="no"), Found(text="!"), Found(), logprobs=0)
    steps = ["<t", "<t>no", "<t>no</t>no", "<t>no</t>no!"]

    parts = [output(text, output_token_logprobs=scored[: len(text)]) for text in steps]
    events = fed(choice, *parts, output(whole, STOP, output_token_logprobs=scored))

    told = [
        (event.text, b"".join(score.token for score in event.tokens)) for event in events if isinstance(event, Text)
    ]
    assert [each for each in told if any(each)] == [("no", b"no"), ("!", b"!")]


def test_two_free_calls_have_their_own_names_arguments_and_ids() -> None:
    calls = [Found(calls=[(0, "f", ""), (0, None, '{"a":')]), Found(calls=[(0, None, "1}"), (1, "g", "{}")])]

    events = fed(free(*calls), output("x"), output("xy", STOP))

    said = [event for event in events if isinstance(event, ToolCall)]
    assert [(call.index, call.name, call.arguments) for call in said] == [
        (0, "f", ""),
        (0, None, '{"a":'),
        (0, None, "1}"),
        (1, "g", ""),
        (1, None, "{}"),
    ]
    assert len({call.id for call in said if call.id}) == 2
    assert events[-1] == Finish(0, "tool_calls")


def test_white_space_after_a_call_is_not_text() -> None:
    events = fed(free(Found(calls=[(0, "f", "{}")]), Found(text="\n")), output("x"), output("xy", STOP))

    assert not [event for event in events if isinstance(event, Text)]


def test_text_before_a_call_keeps_its_place() -> None:
    events = fed(free(Found(text="Let me see."), Found(calls=[(0, "f", "{}")])), output("x"), output("xy", STOP))

    assert [type(event) for event in events] == [Text, ToolCall, ToolCall, Finish]


def test_a_stop_string_cuts_free_text() -> None:
    events = fed(free(Found(text="a EN"), Found(text="D b"), stop=("END",)), output("x"), output("xy", STOP))

    assert events == [Text(0, "a "), Finish(0, "stop")]


# ---------------------------------------------------------------- what is asked


def test_sampling_says_what_the_request_says() -> None:
    asked = ask.sampling(request(temperature=0.5, top_p=0, seed=2**63, stop=("a", ""), frequency_penalty=1), 1, 7)

    assert asked["max_new_tokens"] == 7
    assert asked["temperature"] == 0.5
    assert 0 < asked["top_p"] < 1e-3
    assert asked["frequency_penalty"] == 1
    assert asked["stop"] == ["a"]
    assert 0 <= asked["sampling_seed"] < 2**63


def test_choices_have_seeds_of_their_own_and_none_without_a_seed() -> None:
    assert ask.sampling(request(seed=5), 0, 1)["sampling_seed"] != ask.sampling(request(seed=5), 1, 1)["sampling_seed"]
    assert "sampling_seed" not in ask.sampling(request(), 0, 1)


@pytest.mark.parametrize(
    ("fields", "held"),
    [
        ({}, None),
        ({"schema": {"type": "string"}}, {"type": "string"}),
        ({"schema": True}, {}),
        ({"tools": (WEATHER,)}, None),
        ({"tools": (WEATHER,), "tool_choice": ToolChoice("none")}, None),
    ],
)
def test_an_answer_is_held_to_the_clients_schema(fields: dict[str, Any], held: Any) -> None:  # noqa: ANN401 - any JSON value
    schema = ask.schema(request(**fields))

    assert (None if schema is None else json.loads(schema)) == held


def test_a_call_that_must_be_made_wins_over_the_schema_of_the_answer() -> None:
    named = request(
        tools=(WEATHER,), tool_choice=ToolChoice("named", "weather"), schema={"type": "string"}, stop=("}",)
    )

    schema = ask.schema(named)

    assert schema is not None
    assert json.loads(schema)["properties"] == {"city": {"type": "string"}}
    assert "stop" not in ask.sampling(named, 0, 1)


def test_one_call_is_all_where_parallel_calls_are_not_wanted() -> None:
    fields: dict[str, Any] = {"tools": (WEATHER,), "tool_choice": ToolChoice("required")}
    several, one = ask.schema(request(**fields)), ask.schema(request(**fields, parallel_tool_calls=False))

    assert several is not None
    assert one is not None
    assert json.loads(several)["maxItems"] > json.loads(one)["maxItems"] == 1


def test_the_cost_of_an_answer_counts_the_prompt_once_and_what_was_cached_at_first() -> None:
    total = ask.Total(9)
    total.add({"prompt_tokens": 10, "cached_tokens": 4})
    total.add({"prompt_tokens": 10, "cached_tokens": 9})
    first, second = plain(), plain()
    fed(first, output("abc", STOP))
    fed(second, output("ab", STOP))

    usage = total.usage([first, second])

    assert (usage.prompt, usage.completion, usage.reasoning, usage.cached) == (10, 5, 0, 4)
