"""What the oracle of completion tokens says of answers that are empty or too full."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance.checks.test_usage import test_completion_counted as judged
from conformance.reply import read
from conformance.verdict import Mismatch, NotApplicable
from conformance.wire.exchange import Exchange, Frame, Request

Json = dict[str, Any]


def answer(message: Json, *, tokens: int, finish: str = "stop", asked: Json | None = None, **usage: Any) -> Exchange:  # noqa: ANN401 - JSON
    body = {
        "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", **message}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": 5 + tokens, **usage},
    }
    request = Request(
        "POST", "http://127.0.0.1/v1/chat/completions", (), json.dumps({"messages": [], **(asked or {})}).encode()
    )
    headers = (("content-type", "application/json"),)
    return Exchange("x1", request, 0.0, 0.1, 200, headers, (Frame(0.0, json.dumps(body).encode()),))


def test_an_answer_that_cost_tokens_and_says_nothing_is_blamed() -> None:
    empty: tuple[Json, ...] = (
        {"content": ""},
        {"content": None},
        {},
        {"content": None, "tool_calls": [], "refusal": None},
    )
    for nothing in empty:
        with pytest.raises(Mismatch, match="8 completion tokens"):
            judged(read(answer(nothing, tokens=8)))


@pytest.mark.parametrize(
    "something",
    [
        {"tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"content": None, "refusal": "No."},
        {"content": "", "reasoning_content": "Hm"},
        {"content": None, "audio": {"id": "a"}},
        {"content": None, "function_call": {"name": "f", "arguments": "{}"}},
    ],
)
def test_an_answer_that_says_something_else_than_text_is_not(something: Json) -> None:
    exchange = answer(something, tokens=50)

    judged(read(exchange))


def test_few_tokens_make_an_empty_answer() -> None:
    judged(read(answer({"content": ""}, tokens=7)))


@pytest.mark.parametrize(
    "exchange",
    [
        answer({"content": ""}, tokens=16, finish="length"),
        answer({"content": ""}, tokens=16, finish="content_filter"),
        answer({"content": ""}, tokens=16, asked={"stop": ["x"]}),
        answer({"content": ""}, tokens=16, completion_tokens_details={"reasoning_tokens": 16}),
        Exchange(
            "x1",
            Request("POST", "http://127.0.0.1/", ()),
            0.0,
            0.1,
            200,
            (("content-type", "application/json"),),
            (Frame(0.0, b"{}"),),
        ),
    ],
    ids=["cut", "filtered", "stopped", "thought", "uncounted"],
)
def test_where_tokens_may_be_hidden_nothing_is_said(exchange: Exchange) -> None:
    with pytest.raises(NotApplicable):
        judged(read(exchange))


@pytest.mark.parametrize(("text", "tokens"), [("Hi", 0), ("Hi", -1), ("x" * 2001, 10)])
def test_text_that_so_few_tokens_cannot_make_is_blamed(text: str, tokens: int) -> None:
    with pytest.raises(Mismatch, match="fit"):
        judged(read(answer({"content": text}, tokens=tokens)))


def test_text_that_its_tokens_can_make_is_not() -> None:
    judged(read(answer({"content": "x" * 2000}, tokens=10)))
