"""Tokens and stop strings: nothing is lost, nothing is shown too early."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.engine.stops import StopCutter
from reference_server.engine.tokens import Assembler, count, split

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
few_letters = st.text("ab", max_size=40)


@given(texts)
def test_tokens_joined_are_the_text(text: str) -> None:
    assert b"".join(split(text)) == text.encode()


@given(texts)
def test_tokens_are_short_and_never_empty(text: str) -> None:
    assert all(1 <= len(token) <= 9 for token in split(text))


@given(texts, texts)
def test_a_longer_text_has_more_tokens_or_as_many_at_its_seam(first: str, second: str) -> None:
    assert count(first + second) >= max(count(first), count(second)) - 1


@pytest.mark.parametrize("text", ["🎉", "e\u0301", "日本", "ü"])
def test_characters_outside_ascii_are_cut_into_tokens_of_three_bytes(text: str) -> None:
    beyond = len(text.encode().lstrip(b"e"))

    assert [len(token) for token in split(text) if token != b"e"] == [3] * (beyond // 3) + [beyond % 3] * (
        beyond % 3 > 0
    )


@given(texts)
def test_text_put_together_from_tokens_is_whole_at_every_step(text: str) -> None:
    assembler = Assembler()
    shown = ""
    for token in split(text):
        shown += assembler.push(token)
        assert text.startswith(shown)
        assert "\N{REPLACEMENT CHARACTER}" not in shown or "\N{REPLACEMENT CHARACTER}" in text

    assert shown == text
    assert assembler.complete


def test_an_emoji_appears_only_with_its_last_byte() -> None:
    assembler = Assembler()

    assert [assembler.push(token) for token in split("🎉")] == ["", "🎉"]


@given(st.lists(few_letters, max_size=12), st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=4))
def test_no_text_shown_ever_holds_a_stop_string(pieces: list[str], stops: list[str]) -> None:
    cutter = StopCutter(tuple(stops))
    shown = "".join(map(cutter.push, pieces)) + cutter.flush()

    assert not any(stop in shown for stop in stops)


@given(st.lists(few_letters, max_size=12), st.lists(st.text("ab", min_size=1, max_size=4), max_size=4))
def test_text_is_cut_exactly_when_a_stop_string_occurs(pieces: list[str], stops: list[str]) -> None:
    cutter = StopCutter(tuple(stops))
    shown = "".join(map(cutter.push, pieces)) + cutter.flush()
    whole = "".join(pieces)

    assert cutter.hit == any(stop in whole for stop in stops)
    assert whole.startswith(shown)
    assert cutter.hit or shown == whole


@given(few_letters, st.text("ab", min_size=1, max_size=4))
def test_with_one_stop_string_the_cut_does_not_depend_on_the_pieces(text: str, stop: str) -> None:
    by_letter = StopCutter((stop,))
    at_once = StopCutter((stop,))

    assert "".join(map(by_letter.push, text)) + by_letter.flush() == at_once.push(text) + at_once.flush()


@given(st.lists(few_letters, max_size=12), st.text("ab", min_size=1, max_size=4))
def test_no_more_is_held_back_than_could_begin_a_stop_string(pieces: list[str], stop: str) -> None:
    cutter = StopCutter((stop,))
    fed = shown = 0
    for piece in pieces:
        fed += len(piece)
        shown += len(cutter.push(piece))
        assert cutter.hit or fed - shown < len(stop)
