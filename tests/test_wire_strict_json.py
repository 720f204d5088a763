"""The strict JSON reader: RFC 8259, where Python's own reader is lenient."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.wire.strict_json import NotJson, read

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)


@given(values, st.booleans())
def test_any_value_written_by_the_book_is_read_without_departures(value: Any, escaped: bool) -> None:  # noqa: ANN401, FBT001 - drawn
    assert read(json.dumps(value, ensure_ascii=escaped).encode()) == (value, [])


@given(values)
def test_text_and_bytes_are_read_alike(value: Any) -> None:  # noqa: ANN401 - any JSON value
    text = json.dumps(value)

    assert read(text) == read(text.encode())


@given(st.binary(max_size=80) | texts.map(str.encode))
def test_any_bytes_give_a_value_or_not_json_and_nothing_else(data: bytes) -> None:
    try:
        _, departures = read(data)
    except NotJson:
        return
    assert all(isinstance(departure, str) for departure in departures)


@pytest.mark.parametrize(
    ("data", "value", "departure"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}, "a byte order mark before the value"),
        (b'{"a": "\xff"}', {"a": "\ufffd"}, "bytes that are not UTF-8 at offset 7"),
        (b'{"a": Infinity}', {"a": float("inf")}, "the literal Infinity"),
        (b'{"a": -Infinity}', {"a": float("-inf")}, "the literal -Infinity"),
        (b'{"a": 1, "b": 2, "a": 3}', {"a": 3, "b": 2}, "the key 'a' twice in one object"),
        (b'{"a": 1, "b": 2, "b": 3}', {"a": 1, "b": 3}, "the key 'b' twice in one object"),
        (b'[{"x": {"a": 1, "\\u0061": 2}}]', [{"x": {"a": 2}}], "the key 'a' twice in one object"),
        (b'{"a": "\\ud83d"}', {"a": "\ud83d"}, "a lone surrogate in a string"),
        (b'{"\\udc00": 1}', {"\udc00": 1}, "a lone surrogate in a string"),
        (b'[["\\ude00\\ud83d"]]', [["\ude00\ud83d"]], "a lone surrogate in a string"),
    ],
)
def test_a_departure_is_told_and_the_value_is_read_all_the_same(data: bytes, value: Any, departure: str) -> None:  # noqa: ANN401
    assert (value, [departure]) == read(data)


def test_nan_is_a_departure_too() -> None:
    value, departures = read(b"[NaN]")

    assert value[0] != value[0]  # only NaN differs from itself
    assert departures == ["the literal NaN"]


def test_a_surrogate_pair_is_one_character_and_no_departure() -> None:
    assert read(b'"\\ud83c\\udf89"') == ("\N{PARTY POPPER}", [])


@pytest.mark.parametrize(
    "data",
    [
        b"", b" ", b"{", b"[1,]", b'{"a": 1,}', b"{'a': 1}", b'{"a": 1} x', b"1 2", b"nul", b"+1", b".5", b"01", b"1.",
        b'"\n"', b'"\t"', b"{} {}", b"\x00", b'"\\x"', b"[1}", b'{"a"}', b"data: {}", b"<html>", b"// c\n1", b"\xa0 1",
    ],
)  # fmt: skip
def test_what_is_no_json_is_not_json(data: bytes) -> None:
    with pytest.raises(NotJson):
        read(data)


@pytest.mark.parametrize("depth", [129, 300, 500, 900, 990, 1_000, 200_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_a_value_nested_too_deep_is_not_json_and_no_crash(opening: bytes, closing: bytes, depth: int) -> None:
    with pytest.raises(NotJson, match="nested more than 128 deep"):
        read(opening * depth + b'"\\ud800"' + closing * depth)


@pytest.mark.parametrize("depth", [1, 64, 127, 128])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_a_value_nested_up_to_a_hundred_and_twenty_eight_deep_is_read(
    opening: bytes, closing: bytes, depth: int
) -> None:
    _, departures = read(opening * depth + b'"\\ud800"' + closing * depth)

    assert departures == ["a lone surrogate in a string"]


def test_many_members_are_not_depth() -> None:
    assert read(b"[" + b",".join([b"[]"] * 5_000) + b"]") == ([[]] * 5_000, [])


def test_a_number_of_ten_thousand_digits_is_not_json_and_no_crash() -> None:
    with pytest.raises(NotJson):
        read(b"1" * 10_000)


def test_what_is_no_json_is_told_with_its_place() -> None:
    with pytest.raises(NotJson, match="line 1 column 7"):
        read(b'{"a": x}')


def test_a_literal_that_comes_again_is_told_once() -> None:
    assert read(b"[Infinity, -Infinity, Infinity]")[1] == ["the literal Infinity", "the literal -Infinity"]


def test_departures_without_end_are_kept_up_to_a_hundred() -> None:
    data = b"[" + b",".join(b'{"a%d": 1, "a%d": 2}' % (n, n) for n in range(200)) + b"]"

    assert read(data)[1] == [f"the key 'a{n}' twice in one object" for n in range(100)]


def test_a_name_that_stands_twice_is_told_in_sixty_characters() -> None:
    name = b"x" * 100

    assert read(b'{"%b": 1, "%b": 2}' % (name, name))[1] == [f"the key '{'x' * 60}' twice in one object"]


def test_many_brackets_are_counted_by_how_deep_they_lie() -> None:
    deep = b"[" * 127 + b"1" + b"]" * 127

    assert read(b"[[], [], " + deep + b"]")[1] == []
    with pytest.raises(NotJson, match="nested"):
        read(b"[[], [], [" + deep + b"]]")
