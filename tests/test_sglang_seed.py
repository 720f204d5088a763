"""Draws that a seed decides: the same for the same seed, by the model's own odds, and only among the tokens that top_p keeps."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import Any

import pytest

from reference_server.engine import ChatRequest, Message
from reference_server.engine import sglang_request as ask
from reference_server.engine.sglang_seed import SeededDraw, drawn, parameters


def request(**fields: Any) -> ChatRequest:  # noqa: ANN401 - the fields of ChatRequest
    return ChatRequest("m", (Message("user", "hi"),), **fields)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"seed": 5, "temperature": 1.0}, True),
        ({"seed": None, "temperature": 1.0}, False),
        ({"seed": 5, "temperature": 0.0}, False),
        ({"seed": 5, "temperature": 1.0, "logprobs": 2}, False),
    ],
)
def test_a_seed_decides_where_there_is_something_to_draw(fields: dict[str, Any], *, expected: bool) -> None:
    asked = ask.sampling(request(**fields), 0, 9)

    assert ask.draws(request(**fields)) == expected
    assert ("custom_params" in asked) == expected


def test_each_choice_has_draws_of_its_own() -> None:
    first, second = (ask.sampling(request(seed=5, temperature=1.0), number, 9)["custom_params"] for number in (0, 1))

    assert first["seed"] != second["seed"]


def test_the_scheduler_can_be_sent_the_draw() -> None:
    assert pickle.loads(pickle.dumps(SeededDraw)) is SeededDraw  # noqa: S301 - our own class


# ---------------------------------------------------------------- with torch, as in SGLang's environment


@pytest.fixture(scope="module")
def torch() -> Any:  # noqa: ANN401 - a module
    return pytest.importorskip("torch", reason="torch is not installed here", exc_type=ImportError)


def test_equal_seeds_draw_the_same_tokens_and_others_do_not(torch: Any) -> None:  # noqa: ANN401 - a module
    def tokens(seed: int) -> list[int]:
        given = parameters(seed, 1.0, 1.0)
        return [int(SeededDraw()(torch.zeros(1, 100), [given])[0].argmax()) for _ in range(20)]

    assert tokens(1) == tokens(1)
    assert tokens(1) != tokens(2)
    assert len(set(tokens(1))) > 5


def test_one_token_is_left_in_each_row(torch: Any) -> None:  # noqa: ANN401 - a module
    left = SeededDraw()(torch.randn(3, 50), [parameters(seed, 1.0, 1.0) for seed in range(3)])

    assert [int((row > -float("inf")).sum()) for row in left] == [1, 1, 1]


def test_tokens_come_as_often_as_they_are_likely(torch: Any) -> None:  # noqa: ANN401 - a module
    scores = torch.log(torch.tensor([0.1, 0.6, 0.3]))

    seen = Counter(drawn(scores, 1.0, 1.0, number / 1000) for number in range(1000))

    assert {token: round(count, -1) for token, count in seen.items()} == {0: 100, 1: 600, 2: 300}


@pytest.mark.parametrize(("top_p", "kept"), [(1e-6, {1}), (0.5, {1}), (0.7, {1, 2}), (1.0, {0, 1, 2})])
def test_only_the_tokens_that_top_p_keeps_are_drawn(torch: Any, top_p: float, kept: set[int]) -> None:  # noqa: ANN401 - a module
    scores = torch.log(torch.tensor([0.1, 0.6, 0.3]))

    assert {drawn(scores, 1.0, top_p, number / 100) for number in range(101)} == kept


def test_what_a_grammar_forbids_is_never_drawn(torch: Any) -> None:  # noqa: ANN401 - a module
    scores = torch.tensor([-float("inf"), 0.0, -float("inf"), 0.0])

    assert {drawn(scores, 2.0, 1.0, number / 100) for number in range(101)} == {1, 3}


def test_a_low_temperature_takes_the_likeliest(torch: Any) -> None:  # noqa: ANN401 - a module
    assert {drawn(torch.tensor([1.0, 2.0, 1.5]), 0.01, 1.0, number / 100) for number in range(101)} == {1}
