"""Targets that think before they speak, or decline to: what the token limit cut is not blamed, what is missing is."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

import dialects
from conformance.chat import SHORT, THINKING, Chat
from conformance.checks import test_chat, test_logprobs, test_stream, test_structured_output, test_tools
from conformance.profile import Profile
from conformance.target import Target
from conformance.verdict import Conclusion, Inconclusive, Mismatch
from conformance.wire.client import Client
from tests.plain_service import MODEL, Alter, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = dict[str, Any]
SPEAKING = (
    test_chat.test_text_present,
    test_stream.test_text_present,
    test_logprobs.test_present,
    test_logprobs.test_streamed,
    test_logprobs.test_values,
)


@pytest.fixture
def asking() -> Iterator[Callable[[Alter], Chat]]:
    client, services = Client(), []

    def make(alter: Alter) -> Chat:
        services.append(Service(alter).__enter__())
        return Chat(client, Target(services[-1].url, MODEL, "a-long-key"), dialects.load("openai"), Profile(), {})

    yield make
    client.close()
    for service in services:
        service.__exit__()


def silent(body: Json, **change: Any) -> Json:  # noqa: ANN401 - JSON
    """The answer without a word."""
    choices = [
        {
            **c,
            "message": {**c["message"], "content": "", **change.get("message", {})},
            "finish_reason": change["finish"],
        }
        for c in body["choices"]
    ]
    choices = [{**c, "logprobs": c["logprobs"] and {"content": [], "refusal": None}} for c in choices]
    return {**body, "choices": choices}


def thinks(room: int) -> Alter:
    """Says nothing within a limit of fewer than `room` tokens."""

    def whole(asked: Json, body: Json) -> Json:
        limit = asked.get("max_completion_tokens") or asked.get("max_tokens") or room
        return silent(body, finish="length") if limit < room else body

    return Alter(whole=whole)


def judge(check: Callable[..., None], chat: Chat) -> str:
    try:
        check(chat)
    except Mismatch:
        return "fail"
    except Conclusion as conclusion:
        return conclusion.verdict
    return "pass"


@pytest.mark.parametrize("check", SPEAKING, ids=lambda check: f"{check.__module__}.{check.__name__}")
def test_a_target_that_thinks_first_is_given_room(asking: Callable[[Alter], Chat], check: Callable[..., None]) -> None:
    assert judge(check, asking(thinks(SHORT * 4))) in ("pass", "untested")


@pytest.mark.parametrize("check", SPEAKING, ids=lambda check: f"{check.__module__}.{check.__name__}")
def test_one_that_thinks_without_end_is_not_blamed(asking: Callable[[Alter], Chat], check: Callable[..., None]) -> None:
    assert judge(check, asking(thinks(THINKING * 2))) in ("inconclusive", "untested")


@pytest.mark.parametrize("check", SPEAKING[:3], ids=["whole", "streamed", "logprobs"])
def test_one_that_ends_by_itself_without_a_word_is(asking: Callable[[Alter], Chat], check: Callable[..., None]) -> None:
    chat = asking(Alter(whole=lambda _, body: silent(body, finish="stop")))

    assert judge(check, chat) == "fail"


def test_room_is_made_only_where_it_is_needed(asking: Callable[[Alter], Chat]) -> None:
    assert asking(Alter()).room(12) == 12
    assert asking(thinks(SHORT + 1)).room(12) == THINKING


def declines() -> Alter:
    no = {"content": None, "refusal": "I can't help with that."}
    return Alter(whole=lambda _, body: silent(body, finish="stop", message=no))


def test_a_refusal_in_words_is_no_missing_text(asking: Callable[[Alter], Chat]) -> None:
    assert judge(test_chat.test_text_present, asking(declines())) == "inconclusive"


def test_a_refusal_or_a_filter_is_no_broken_promise_of_json(asking: Callable[[Alter], Chat]) -> None:
    filtered = Alter(whole=lambda _, body: silent(body, finish="content_filter"))
    for alter in (declines(), filtered):
        assert judge(test_structured_output.test_json_object, asking(alter)) == "inconclusive"


def test_a_refusal_is_an_answer_to_the_result_of_a_tool(asking: Callable[[Alter], Chat]) -> None:
    def whole(asked: Json, body: Json) -> Json:
        message = {"content": None, "refusal": "No."}
        return silent(body, finish="stop", message=message) if asked["messages"][-1]["role"] == "tool" else body

    with suppress(Inconclusive):
        test_tools.test_round_trip(asking(Alter(whole=whole)))
