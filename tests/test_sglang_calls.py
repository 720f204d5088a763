"""Reading forced calls from JSON that is still being written, cut anywhere."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.engine import Tool, ToolCall
from reference_server.engine.sglang_calls import Arguments, CallList, Emitter

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from(["name", "arguments", "city", '"}]']), values, max_size=3)
calls = st.lists(st.tuples(names, objects), min_size=1, max_size=3)
cuts = st.lists(st.integers(0, 200), max_size=20)


def cut(text: str, places: list[int]) -> list[str]:
    ends = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(ends)]


def together(events: list[ToolCall]) -> list[tuple[str, str]]:
    """(name, arguments) of every call; the first fragment of each has its id and name, later ones neither."""
    read: list[tuple[str, str]] = []
    for event in events:
        if event.id is None:
            assert event.name is None
            assert event.index == len(read) - 1
            read[-1] = (read[-1][0], read[-1][1] + event.arguments)
        else:
            assert event.index == len(read)
            read.append((str(event.name), event.arguments))
    return read


@given(made=calls, places=cuts, spaced=st.booleans())
def test_a_list_of_calls_is_read_whole_wherever_it_is_cut(
    made: list[tuple[str, dict[str, Any]]], places: list[int], *, spaced: bool
) -> None:
    separators = (", ", ": ") if spaced else (",", ":")
    text = json.dumps([{"name": name, "arguments": said} for name, said in made], separators=separators)
    reader = CallList(Emitter(0, {}))

    events = [event for piece in cut(text, places) for event in reader.push(piece)]

    assert made == [(name, json.loads(arguments)) for name, arguments in together(events)]
    assert reader.complete
    assert len(made) == len({event.id for event in events if event.id})


@given(made=calls, place=st.integers(0, 400))
def test_a_list_that_was_cut_off_is_not_complete(made: list[tuple[str, dict[str, Any]]], place: int) -> None:
    text = json.dumps([{"name": name, "arguments": said} for name, said in made])
    reader = CallList(Emitter(0, {}))

    list(reader.push(text[: min(place, len(text) - 1)]))

    assert not reader.complete


@given(said=objects, places=cuts)
def test_the_arguments_of_a_named_tool_are_read_whole(said: dict[str, Any], places: list[int]) -> None:
    reader = Arguments(Emitter(2, {}), "lookup")

    events = [event for piece in cut(json.dumps(said), places) for event in reader.push(piece)]

    assert [("lookup", json.dumps(said))] == together(events)
    assert {2} == {event.choice for event in events}
    assert reader.complete


@pytest.mark.parametrize("places", [[], [3, 9, 12]])
def test_the_input_of_a_custom_tool_is_unwrapped(places: list[int]) -> None:
    reader = Arguments(Emitter(0, {"run": Tool("run", custom=True)}), "run")

    events = [event for piece in cut('{"input":"a \\"b\\" \\u00e9"}', places) for event in reader.push(piece)]

    assert together(events) == [("run", 'a "b" é')]
    assert all(event.custom for event in events)


def test_what_follows_complete_arguments_is_not_part_of_them() -> None:
    reader = Arguments(Emitter(0, {}), "add")

    events = list(reader.push('{"a":1}\n'))

    assert together(events) == [("add", '{"a":1}')]
