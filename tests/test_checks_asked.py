"""What the oracles that look at every answer say of one that does, and does not, keep what was asked."""

from __future__ import annotations

import functools
import json
import time
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pytest

import dialects
from conformance.capability import streaming
from conformance.chat import STORY
from conformance.checks import test_asked, test_chat, test_logprobs, test_structured_output, test_tools, test_usage
from conformance.reply import read
from conformance.sayings import OTHER, SAID, WRONG
from conformance.verdict import Inconclusive, Mismatch, NotApplicable
from conformance.wire.exchange import Exchange, Frame, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.chat import Chat
    from conformance.reply import Reply

Json = dict[str, Any]
OPENAI, DOS = dialects.load("openai"), dialects.load("dos_ai")
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def reply(asked: Json, *choices: Json, date: str | None = None, **body: Any) -> Reply:  # noqa: ANN401 - JSON
    """A whole answer of these choices."""
    made = [{"index": n, "finish_reason": "stop", **choice} for n, choice in enumerate(choices)]
    request = Request(
        "POST", "http://127.0.0.1/v1/chat/completions", (), json.dumps({"messages": [], **asked}).encode()
    )
    headers = (("content-type", "application/json"), *((("date", date),) if date else ()))
    frames = (Frame(0.0, json.dumps({"choices": made, **body}).encode()),)
    return read(Exchange("x1", request, 0.0, 0.1, 200, headers, frames))


def stream(asked: Json, *chunks: Json) -> Reply:
    """A streamed answer of these chunks."""
    request = Request(
        "POST", "http://127.0.0.1/v1/chat/completions", (), json.dumps({"messages": [], **asked}).encode()
    )
    text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    headers = (("content-type", "text/event-stream"),)
    return read(Exchange("x1", request, 0.0, 0.1, 200, headers, (Frame(0.0, text.encode()),)))


def saying(text: str, **members: Any) -> Json:  # noqa: ANN401 - JSON
    return {"message": {"role": "assistant", "content": text}, **members}


def scored(text: str, *tokens: str) -> Json:
    return saying(text, logprobs={"content": [{"token": token, "logprob": -0.1, "bytes": None} for token in tokens]})


def test_a_stop_sequence_in_any_choice_is_seen() -> None:
    test_asked.test_stop_absent(reply({"stop": "x"}, saying("a"), saying("b")))
    with pytest.raises(Mismatch, match="choice 1"):
        test_asked.test_stop_absent(reply({"stop": ["y", "x"]}, saying("a"), saying("bx")))
    for nothing in (None, "", [], [5]):
        with pytest.raises(NotApplicable):
            test_asked.test_stop_absent(reply({"stop": nothing}, saying("x")))


def test_choices_are_counted_where_some_were_asked_for() -> None:
    test_asked.test_choices_asked(reply({"n": 2}, saying("a"), saying("b")))
    with pytest.raises(Mismatch, match="2 choices"):
        test_asked.test_choices_asked(reply({"n": 2}, saying("a")))
    for nothing in ({}, {"n": 0}, {"n": None}, {"n": True}):
        with pytest.raises(NotApplicable):
            test_asked.test_choices_asked(reply(nothing, saying("a")))


def test_an_index_is_a_place() -> None:
    test_asked.test_index_in_place(reply({}, saying("a"), saying("b")))
    with pytest.raises(Mismatch, match="in order"):
        test_asked.test_index_in_place(reply({}, saying("a", index=1), saying("b", index=0)))
    with pytest.raises(NotApplicable):
        test_asked.test_index_in_place(reply({}, saying("a", index=None)))


def kept(asked: Json, *choices: Json) -> None:
    test_structured_output.test_kept(reply(asked, *choices), OPENAI)


def test_json_is_asked_of_every_choice_that_came_to_its_end() -> None:
    wanted = {"response_format": {"type": "json_object"}}
    kept(wanted, saying("{}"), saying("{", finish_reason="length"))
    with pytest.raises(Mismatch, match="choice 1"):
        kept(wanted, saying("{}"), saying("Once"))
    for nothing in ({}, {**wanted, "stop": "x"}, {"response_format": {"type": "text"}}):
        with pytest.raises(NotApplicable):
            kept(nothing, saying("Once"))


def test_a_schema_that_is_not_strict_or_not_usable_promises_nothing() -> None:
    schema = {"type": "object", "required": ["a"]}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
    with pytest.raises(Mismatch, match="'a' is a required property"):
        kept({"response_format": form}, saying("{}"))
    for strict, wrong in (
        (False, schema),
        (None, schema),
        (True, {"type": "wonder"}),
        (True, {"$ref": "#/$defs/nowhere"}),
    ):
        named = {"name": "x", "schema": wrong, "strict": strict}
        with pytest.raises(NotApplicable):
            kept({"response_format": {"type": "json_schema", "json_schema": named}}, saying("{}"))


def test_log_probabilities_are_asked_of_every_choice_and_within_the_limit() -> None:
    asked = {"logprobs": True, "max_tokens": 2}
    test_logprobs.test_asked(reply(asked, scored("a b", "a", " b")), OPENAI)
    with pytest.raises(Mismatch, match="log probabilities of the tokens"):
        test_logprobs.test_asked(reply(asked, scored("a", "a"), saying("b")), OPENAI)
    with pytest.raises(Mismatch, match="at most 2 tokens"):
        test_logprobs.test_asked(reply(asked, scored("a", "a", "a", "a")), OPENAI)
    with pytest.raises(NotApplicable):
        test_logprobs.test_asked(reply({"logprobs": False}, saying("b")), OPENAI)


def test_a_stream_has_usage_where_it_was_asked_for_or_always() -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}
    counts = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    test_usage.test_stream_asked(stream(asked, chunk, {"choices": [], "usage": counts}), OPENAI)
    for dialect, wanted in ((OPENAI, asked), (DOS, {"stream": True})):
        with pytest.raises(Mismatch, match="none in 1 chunks"):
            test_usage.test_stream_asked(stream(wanted, chunk), dialect)
    with pytest.raises(NotApplicable):
        test_usage.test_stream_asked(stream({"stream": True}, chunk), OPENAI)
    with pytest.raises(NotApplicable):
        test_usage.test_stream_asked(stream(asked, chunk, {"error": {"message": "oh"}}), OPENAI)


def test_a_finished_call_has_whole_arguments() -> None:
    def calling(arguments: str, finish: str = "tool_calls") -> Reply:
        call = {**CALL, "function": {"name": "f", "arguments": arguments}}
        return reply({}, {"message": {"content": None, "tool_calls": [call]}, "finish_reason": finish})

    test_tools.test_calls_whole(calling("{}"))
    for broken in ("", "null", '{"a": 1', "[]"):
        with pytest.raises(Mismatch, match="JSON object"):
            test_tools.test_calls_whole(calling(broken))
    with pytest.raises(NotApplicable):
        test_tools.test_calls_whole(calling('{"a"', "length"))


def test_a_time_is_held_against_the_answers_own_date() -> None:
    date, then = "Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777
    test_chat.test_created_is_now(reply({}, saying("a"), date=date, created=then + 1_700))
    for wrong in (then + 7_200, then - 3_600):
        with pytest.raises(Mismatch):
            test_chat.test_created_is_now(reply({}, saying("a"), date=date, created=wrong))


@pytest.mark.parametrize("zone", ["GMT", "-0000", "+0000"])
def test_a_date_is_in_utc_however_it_says_so(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        test_chat.test_created_is_now(
            reply({}, saying("a"), date=f"Sun, 06 Nov 1994 08:49:37 {zone}", created=784_111_777)
        )
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("date", ["", "yesterday", "Sun, 06 Nov 99999999999 08:49:37 GMT", "x" * 70_000])
def test_a_date_that_is_none_is_no_error_of_ours(date: str) -> None:
    test_chat.test_created_is_now(reply({}, saying("a"), date=date, created=int(time.time())))


def test_no_way_to_spoil_a_text_leaves_it_as_it_is() -> None:
    for said in (SAID, OTHER):
        assert [what for what, spoil in WRONG.items() if spoil(said) == said] == []


class Parrot:
    """A chat that repeats what it is told to, in its own way."""

    dialect = OPENAI
    asking_usage: ClassVar[Json] = {}

    def __init__(self, says: Callable[[str], str]) -> None:
        self._says = says

    def memo(self, _: str, make: Callable[[], Reply]) -> Reply:
        return make()

    def body(self, prompt: str, **fields: Any) -> Json:  # noqa: ANN401 - JSON
        return {"prompt": prompt, **fields}

    def post(self, sent: Json | bytes) -> Reply:
        body = json.loads(sent) if isinstance(sent, bytes) else sent
        assert body["stream"] or (isinstance(sent, bytes) and sent.isascii())
        return reply({}, saying(self._says(body["prompt"].removeprefix("Repeat exactly: "))))

    def accepted(self, answer: Reply) -> Reply:
        return answer


def _always(text: str, _: str) -> str:
    return text


def test_an_end_that_begins_like_a_stop_sequence_is_not_lost() -> None:
    begun = "goes\u2603never"
    for kept in ("it goes", "another answer", ""):
        test_asked._held_back("it goes", begun, cast("Chat", Parrot(functools.partial(_always, kept))))
    with pytest.raises(Mismatch, match="without its end 'goes'"):
        test_asked._held_back("it goes", begun, cast("Chat", Parrot(lambda _: "it ")))


def test_usage_that_was_declined_does_not_come() -> None:
    declined: Json = {"stream_options": {"include_usage": False}}
    counted: Json = {"choices": [], "usage": {"prompt_tokens": 1}}
    test_usage.test_stream_declined(stream(declined, {"choices": []}))
    with pytest.raises(Mismatch, match="include_usage false"):
        test_usage.test_stream_declined(stream(declined, counted))
    with pytest.raises(NotApplicable):
        test_usage.test_stream_declined(stream({}, counted))


def test_a_text_that_always_comes_spoiled_in_one_way_is_seen() -> None:
    test_asked.test_text_intact(cast("Chat", Parrot(str)))
    for spoil in WRONG.values():
        with pytest.raises(Mismatch):
            test_asked.test_text_intact(cast("Chat", Parrot(spoil)))


def test_what_a_model_leaves_out_once_is_no_failure() -> None:
    for forgetful in (lambda text: text.replace("\N{PARTY POPPER}", ""), lambda _: "I will not."):
        with pytest.raises(Inconclusive):
            test_asked.test_text_intact(cast("Chat", Parrot(forgetful)))


def test_a_stop_sequence_ends_a_text_where_it_stands_and_nothing_else_does() -> None:
    full = "one\n\ntwo three"
    for sound in ("one", "one\n", "Well: one"):
        test_asked._ends_at("\n\ntwo", full, reply({}, saying(sound)))
    for wrong in ("on", "", full, "one\n\ntwo"):
        with pytest.raises(Mismatch, match="up to the stop sequence"):
            test_asked._ends_at("\n\ntwo", full, reply({}, saying(wrong)))
    with pytest.raises(Inconclusive):
        test_asked._ends_at("\n\ntwo", full, reply({}, saying("another answer")))


def test_what_is_in_no_text_must_not_stop_one() -> None:
    assert [decoy for decoy in test_asked.DECOYS if decoy in SAID] == []
    assert test_asked.CUT in SAID


def test_choices_with_all_the_tokens_of_their_limits_were_cut() -> None:
    cut, ended = saying("a", finish_reason="length"), saying("a")
    test_chat._cut_alike(reply({}, cut, cut, usage={"completion_tokens": 24}), 24)
    test_chat._cut_alike(reply({}, cut, ended, usage={"completion_tokens": 23}), 24)
    test_chat._cut_alike(reply({}, cut, ended), 24)
    with pytest.raises(Mismatch, match="in choice 1"):
        test_chat._cut_alike(reply({}, cut, ended, usage={"completion_tokens": 24}), 24)


def test_arguments_that_lost_their_characters_are_told_from_other_arguments() -> None:
    def spoiled(arguments: Any) -> str | None:  # noqa: ANN401 - any JSON value
        return test_tools._spoiled_city({**CALL, "function": {"name": "f", "arguments": arguments}})

    for sound in ('{"city": "Zürich"}', '{"city": "Z\\u00fcrich"}', '{"city": "Paris"}', "{}", None):
        assert spoiled(sound) is None
    for wrong in ("Zrich", "Z?rich", "ZÃ¼rich", "Malm"):
        assert spoiled(f'{{"city": "{wrong}"}}') is not None


class Refusing:
    """A chat whose target answers what is not streamed, or nothing."""

    dialect = OPENAI

    def __init__(self, status: int) -> None:
        self._status = status

    def post(self, body: Json) -> Exchange:
        assert "stream" not in body
        return exchange(body, self._status)

    def accepted(self, given: Exchange) -> Reply:
        return read(given)


def exchange(asked: Json, status: int) -> Exchange:
    request = Request("POST", "http://127.0.0.1/v1/chat/completions", (), json.dumps(asked).encode())
    return Exchange("x1", request, 0.0, 0.1, status, (("content-type", "application/json"),), (Frame(0.0, b"{}"),))


def test_a_stream_is_refused_rightly_where_the_whole_answer_is_too() -> None:
    refused = exchange({"messages": [], "stream": True}, 400)
    with pytest.raises(Mismatch, match="not streamed is answered"):
        streaming(cast("Chat", Refusing(200)), refused)
    with pytest.raises(Inconclusive):
        streaming(cast("Chat", Refusing(400)), refused)


def told(asked: Json, count: int, *finishes: str) -> None:
    choices = [saying("a", finish_reason=finish) for finish in finishes]
    test_asked.test_length_told(reply(asked, *choices, usage={"completion_tokens": count}), OPENAI)


def test_length_is_said_where_the_limit_cut_and_nowhere_else() -> None:
    story = {"max_tokens": 16, "messages": [{"role": "user", "content": STORY}]}
    told(story, 16, "length")
    told(story, 12, "stop")
    told({"max_tokens": 16}, 16, "stop")  # it may have ended by itself at that very token
    told({**story, "stop": "x"}, 16, "stop")
    with pytest.raises(Mismatch, match="for a story"):
        told(story, 32, "length", "stop")
    with pytest.raises(Mismatch, match="at the limit of 16 tokens"):
        told({"max_tokens": 16}, 7, "length")
    told({"max_tokens": 16, "n": 2}, 20, "length", "stop")
    told({**story, "max_tokens": 1}, 1, "stop")  # all that a model of one word says
    with pytest.raises(NotApplicable):
        told({}, 7, "length")
