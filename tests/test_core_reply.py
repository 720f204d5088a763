"""An exchange read as an answer: any JSON value is read without a crash, and what is there is found."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.reply import Reply, asked, dig, read
from conformance.wire.exchange import Exchange, Frame, Request

Json = dict[str, Any]
NAMES = (
    "id", "choices", "index", "message", "delta", "content", "role", "finish_reason", "tool_calls", "function", "name",
    "arguments", "usage", "prompt_tokens", "completion_tokens", "logprobs", "type", "reasoning_content", "reasoning",
)  # fmt: skip
scalars = st.none() | st.booleans() | st.integers(-3, 10**20) | st.floats() | st.text(max_size=8)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), inner, max_size=6),
    max_leaves=25,
)  # fmt: skip


def choice_of(inner: st.SearchStrategy[Any], part: str) -> st.SearchStrategy[Json]:
    """Something close to a choice, with any value at any place."""
    call = st.fixed_dictionaries({}, optional={"index": inner, "id": inner, "type": inner, "function": st.fixed_dictionaries({}, optional={"name": inner, "arguments": inner}) | inner})  # fmt: skip
    said = {
        "content": inner,
        "role": inner,
        "tool_calls": st.lists(call | inner, max_size=3) | inner,
        "reasoning": inner,
    }
    fields = {
        "index": inner,
        "finish_reason": inner,
        "logprobs": inner,
        part: st.fixed_dictionaries({}, optional=said) | inner,
    }
    return st.fixed_dictionaries({}, optional=fields)


def like_an_answer(part: str) -> st.SearchStrategy[Any]:
    choices = st.lists(choice_of(anything, part) | anything, max_size=3)
    return (
        st.fixed_dictionaries({}, optional={"id": anything, "choices": choices | anything, "usage": anything})
        | anything
    )


def whole(value: Any) -> Reply:  # noqa: ANN401 - any JSON value
    return answer("application/json", json.dumps(value).encode())


def stream(*events: Any) -> Reply:  # noqa: ANN401 - any JSON value
    lines = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    return answer("text/event-stream", *[b"data: " + line + b"\n\n" for line in lines])


def answer(kind: str, *pieces: bytes) -> Reply:
    request = Request("POST", "http://127.0.0.1/v1", (), b"{}")
    frames = tuple(Frame(0.1 * i, piece) for i, piece in enumerate(pieces))
    return read(Exchange("x1", request, 0.0, 1.0, 200, (("content-type", kind),), frames))


def look(reply: Reply) -> None:
    """Ask for everything."""
    assert isinstance(reply.body, dict)
    assert isinstance(reply.text, str)
    assert isinstance(reply.choice(99).text, str)
    assert reply.finish is None or isinstance(reply.finish, str)
    assert isinstance(reply.usage, dict)
    assert all(isinstance(usage, dict) for usage in reply.usages)
    for name in ("prompt_tokens", "completion_tokens"):
        assert reply.count(name) is None or isinstance(reply.count(name), int)
    assert [choice.index for choice in reply.choices] == sorted(
        choice.index for choice in reply.choices
    ) or not reply.streamed
    for choice in reply.choices:
        assert all(isinstance(text, str) for text in (choice.text, choice.reasoning, *choice.roles, *choice.finishes))
        assert all(isinstance(call, dict) for call in choice.calls)
    assert all(isinstance(position, int) for position in reply.done)
    assert all(isinstance(chunk.choices, list) for chunk in reply.chunks)
    _ = reply.id


# ---------------------------------------------------------------- anything


@given(like_an_answer("message"))
def test_any_json_value_reads_as_an_answer(value: Any) -> None:  # noqa: ANN401 - any JSON value
    look(whole(value))


@given(st.lists(like_an_answer("delta"), max_size=4))
def test_any_json_values_read_as_a_stream(events: list[Any]) -> None:
    look(stream(*events))


@given(
    st.sampled_from(("application/json", "text/event-stream", "", "text/html")),
    st.lists(st.binary(max_size=40), max_size=4),
)
def test_any_bytes_read_as_an_answer(kind: str, pieces: list[bytes]) -> None:
    look(answer(kind, *pieces))


@given(anything, st.lists(st.sampled_from(NAMES) | st.integers(-3, 3), max_size=4))
def test_digging_anywhere_gives_a_value_or_none(value: Any, path: list[str | int]) -> None:  # noqa: ANN401 - any JSON value
    dig(value, *path)


@pytest.mark.parametrize(
    ("value", "path", "expected"),
    [
        ({"a": [{"b": 1}]}, ("a", 0, "b"), 1),
        ({"a": [1, 2]}, ("a", -1), 2),
        ({"a": [1]}, ("a", 1), None),
        ({"a": [1]}, ("a", -2), None),
        ({"a": "text"}, ("a", 0), None),
        ({"a": 1}, ("b",), None),
        (5, (), 5),
    ],
)
def test_a_path_leads_to_its_member(value: Any, path: tuple[str | int, ...], expected: Any) -> None:  # noqa: ANN401
    assert dig(value, *path) == expected


# ---------------------------------------------------------------- whole


def test_a_whole_answer_is_read() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    reply = whole(
        {
            "id": "chatcmpl-1",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"},
                {
                    "index": 1,
                    "message": {"role": "assistant", "content": None, "tool_calls": [call]},
                    "finish_reason": "tool_calls",
                },
            ],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2},
        }
    )

    assert (reply.streamed, reply.id, reply.text, reply.finish) == (False, "chatcmpl-1", "Hi", "stop")
    assert (reply.choice(1).calls, reply.choice(1).text, reply.choice(1).finish) == ([call], "", "tool_calls")
    assert (reply.count("prompt_tokens"), reply.count("completion_tokens"), reply.count("total_tokens")) == (3, 2, None)
    assert (reply.chunks, reply.done) == ((), [])


def test_choices_without_an_index_go_by_their_place() -> None:
    assert [c.index for c in whole({"choices": [{"message": {}}, {"message": {}}]}).choices] == [0, 1]


@pytest.mark.parametrize("count", [True, 1.5, "3", None, [3]])
def test_a_count_that_is_no_integer_is_no_count(count: Any) -> None:  # noqa: ANN401 - any JSON value
    assert whole({"usage": {"prompt_tokens": count}}).count("prompt_tokens") is None


# ---------------------------------------------------------------- streams


def delta(index: int = 0, finish: str | None = None, **said: Any) -> Json:  # noqa: ANN401 - any JSON value
    return {"id": "s1", "choices": [{"index": index, "delta": said, "finish_reason": finish}]}


def test_a_stream_is_folded_by_index() -> None:
    reply = stream(
        delta(0, role="assistant", content=""), delta(1, role="assistant"), delta(1, content="b1"), delta(0, content="a1"),
        delta(1, content="b2", finish="length"), delta(0, content="a2"), delta(0, finish="stop"),
        {"id": "s1", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 4}}, b"[DONE]",
    )  # fmt: skip

    assert (reply.streamed, reply.id, reply.done, len(reply.chunks)) == (True, "s1", [8], 8)
    assert [(c.index, c.text, c.finish, c.roles) for c in reply.choices] == [
        (0, "a1a2", "stop", ["assistant"]),
        (1, "b1b2", "length", ["assistant"]),
    ]
    assert reply.count("completion_tokens") == 4
    assert reply.body == {}


def test_the_pieces_of_a_tool_call_are_joined_by_index() -> None:
    first = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
    second = {"index": 1, "id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}}
    parts = [{"index": 0, "function": {"arguments": text}} for text in ('{"a"', ": 1}")]
    reply = stream(*[delta(tool_calls=[call]) for call in (first, second, *parts)])

    assert [(c["id"], c["function"]) for c in reply.choice().calls] == [
        ("c1", {"name": "f", "arguments": '{"a": 1}'}),
        ("c2", {"name": "g", "arguments": "{}"}),
    ]


def test_a_chunk_that_is_no_strict_json_is_kept_with_what_is_wrong() -> None:
    broken, lenient = stream(b"{oops", b'{"choices": [], "a": NaN}').chunks

    assert (broken.value, broken.departures[0][:9]) == (None, "not JSON:")
    assert lenient.departures == ("the literal NaN",)


def test_reasoning_is_kept_apart_from_text() -> None:
    reply = stream(delta(reasoning_content="think"), delta(reasoning_content="ing"), delta(content="said"))

    assert (reply.choice().reasoning, reply.text) == ("thinking", "said")


@pytest.mark.parametrize(("body", "expected"), [(b'{"n": 1}', {"n": 1}), (b"[]", {}), (b"{", {}), (b"", {})])
def test_what_was_asked_is_an_object_or_nothing(body: bytes, expected: Json) -> None:
    assert asked(Exchange("x", Request("POST", "http://x", (), body), 0.0, 0.0)) == expected
