"""From SGLang's cumulative texts to what is new and safe to show: whole characters, no stop string, scores in step."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reference_server.engine import Scored
from reference_server.engine.sglang_text import UNFINISHED, Growth, Ledger, Shown

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def prefixes(data: bytes, cuts: list[int]) -> list[str]:
    """What a decoder shows of growing bytes: a replacement character where the last character is incomplete."""
    ends = [*sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[:end].decode("utf-8", "replace") for end in ends]


@given(text=texts, cuts=st.lists(st.integers(0, 160), max_size=30))
def test_growth_adds_up_to_the_text_wherever_its_bytes_are_cut(text: str, cuts: list[int]) -> None:
    growth = Growth()
    said = text.rstrip(UNFINISHED)

    gained = "".join(growth.of(prefix) for prefix in prefixes(text.encode(), cuts))

    assert said == gained


@given(text=texts)
def test_a_replacement_character_that_the_model_said_is_shown(text: str) -> None:
    assert text + UNFINISHED == Growth().of(text + UNFINISHED, genuine=True)


def test_a_character_that_never_became_whole_is_not_shown() -> None:
    growth = Growth()

    assert [growth.of(text) for text in ("a", "a\ufffd", "a\ufffd")] == ["a", "", ""]


@given(
    pieces=st.lists(st.text("abcEND. ", max_size=6), max_size=12),
    stops=st.lists(st.text("END.", min_size=1, max_size=4), min_size=1, max_size=3).map(tuple),
)
def test_nothing_of_a_stop_string_is_shown_and_nothing_before_it_is_lost(
    pieces: list[str], stops: tuple[str, ...]
) -> None:
    shown = Shown(stops)
    said = "".join(shown.push(piece, last=False)[0] for piece in pieces) + shown.push("", last=True)[0]

    whole = "".join(pieces)
    assert whole.startswith(said)
    assert all(stop not in said for stop in stops)
    assert shown.stopped == any(stop in whole for stop in stops)
    assert shown.stopped or said == whole


@given(tokens=st.lists(st.binary(min_size=1, max_size=4), max_size=20))
def test_the_ledger_gives_every_token_once_and_in_order(tokens: list[bytes]) -> None:
    ledger = Ledger()
    scores = [Scored(token, -float(number)) for number, token in enumerate(tokens)]
    for scored in scores:
        ledger.add(scored)

    released = [*ledger.release("x"), *ledger.release("yz"), *ledger.release("", last=True)]

    assert scores == released


def test_a_score_waits_for_the_text_of_its_token() -> None:
    shown = Shown(("stop",))
    first, second = Scored(b"go ", -0.1), Scored(b"st", -0.2)
    shown.score(first)
    assert ("go ", (first,)) == shown.push("go ", last=False)

    shown.score(second)
    assert shown.push("st", last=False) == ("", ())
    assert ("st", (second,)) == shown.push("", last=True)


def test_the_scores_of_a_stop_string_are_never_shown() -> None:
    shown = Shown(("END",))
    for token in (b"a", b"EN", b"D"):
        shown.score(Scored(token, -1.0))

    text, scores = shown.push("aEND", last=True)

    assert text == "a"
    assert [scored.token for scored in scores] == [b"a"]
