"""The decoder of server-sent events, by the rules of the WHATWG HTML standard, section 9.2."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.wire.sse import Decoder, Event

PIECES = (
    b"data: x", b"data:x", b"data", b"data:  two spaces", b": comment", b"event: ping", b"id: 7", b"retry: 10", b"odd: 1",
    b"id: a\0b", b"data: \xe2\x80\xa8", b"data: \xf0\x9f\x8e\x89", b"data: \xff", b"\xef\xbb\xbfdata: late bom", b"",
)  # fmt: skip
streams = st.lists(
    st.tuples(st.sampled_from(PIECES), st.sampled_from((b"\n", b"\r", b"\r\n"))), max_size=12
).map(lambda lines: b"".join(piece + end for piece, end in lines))  # fmt: skip


def decode(*parts: bytes) -> list[Event]:
    decoder = Decoder()
    return [event for part in parts for event in decoder.feed(part)] + decoder.close()


def data(*parts: bytes) -> list[str]:
    return [event.data for event in decode(*parts)]


# ---------------------------------------------------------------- splits


@given(streams | st.binary(max_size=60), st.data())
def test_any_split_of_the_bytes_gives_the_events_of_one_feed(stream: bytes, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    parts = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert decode(stream) == decode(*parts)


@given(streams)
def test_byte_by_byte_gives_the_same_events_and_the_same_facts(stream: bytes) -> None:
    whole, single = Decoder(), Decoder()
    at_once = whole.feed(stream) + whole.close()
    one_by_one = [event for i in range(len(stream)) for event in single.feed(stream[i : i + 1])] + single.close()

    assert at_once == one_by_one
    assert whole.oddities == single.oddities
    assert (whole.comments, whole.dataless, whole.unfinished) == (single.comments, single.dataless, single.unfinished)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")), min_size=1), st.data())
def test_what_was_written_as_data_lines_is_read_back(lines: list[str], draw: st.DataObject) -> None:
    end = draw.draw(st.sampled_from(("\n", "\r", "\r\n")))
    stream = "".join(f"data: {line}{end}" for line in lines) + end

    assert ["\n".join(lines)] == data(stream.encode())


# ---------------------------------------------------------------- lines


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_lines_end_with_lf_cr_or_crlf(end: bytes) -> None:
    assert data(end.join([b"data: a", b"data: b", b"", b"data: c", b"", b""])) == ["a\nb", "c"]


def test_a_crlf_that_is_split_between_two_feeds_is_one_line_end() -> None:
    assert data(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == ["a\nb"]


def test_a_lone_cr_at_the_end_of_the_stream_is_a_line_end_once_the_stream_is_closed() -> None:
    decoder = Decoder()

    assert decoder.feed(b"data: a\n\r") == []
    assert [event.data for event in decoder.close()] == ["a"]


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x85"])
def test_only_cr_and_lf_end_a_line_whatever_unicode_says(character: str) -> None:
    assert data(f"data: a{character}b\n\n".encode()) == [f"a{character}b"]


# ---------------------------------------------------------------- byte order mark


@pytest.mark.parametrize("cut", range(4))
def test_one_byte_order_mark_at_the_start_is_dropped_wherever_it_is_split(cut: int) -> None:
    stream = b"\xef\xbb\xbfdata: a\n\n"

    assert data(stream[:cut], stream[cut:]) == ["a"]


def test_a_second_byte_order_mark_belongs_to_the_field_name() -> None:
    decoder = Decoder()

    assert decoder.feed(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n") == []
    assert decoder.oddities == [(3, "unknown field '\\ufeffdata'")]


def test_a_stream_of_half_a_byte_order_mark_is_unfinished() -> None:
    decoder = Decoder()
    decoder.feed(b"\xef\xbb")
    decoder.close()

    assert decoder.unfinished


# ---------------------------------------------------------------- fields


def test_one_space_after_the_colon_is_dropped_and_no_more() -> None:
    assert data(b"data:a\ndata: b\ndata:  c\n\n") == ["a\nb\n c"]


def test_a_data_line_without_a_colon_is_an_empty_line_of_data() -> None:
    assert data(b"data\n\ndata\ndata\n\ndata:\n") == ["", "\n"]


def test_an_event_knows_its_type_which_lasts_for_that_event_only() -> None:
    first, second = decode(b"event: error\ndata: a\n\ndata: b\n\n")

    assert (first.type, second.type) == ("error", "message")


def test_the_last_id_lasts_and_an_id_with_a_nul_is_ignored() -> None:
    events = decode(b"data: a\n\nid: 1\ndata: b\n\ndata: c\n\nid: 2\0\ndata: d\n\nid\ndata: e\n\n")

    assert [event.id for event in events] == [None, "1", "1", "1", ""]


def test_comments_are_counted_and_are_no_events() -> None:
    decoder = Decoder()

    assert decoder.feed(b": keep-alive\n\n:\n\ndata: a\n: between\ndata: b\n\n")[0].data == "a\nb"
    assert decoder.comments == 3


def test_a_block_without_data_is_no_event_and_counted_when_it_has_a_type() -> None:
    decoder = Decoder()

    assert decoder.feed(b"event: ping\n\nid: 3\n\nretry: 5\n\n\n\n") == []
    assert decoder.dataless == 1


def test_an_event_knows_the_bytes_that_made_it() -> None:
    stream = b"\xef\xbb\xbf: hi\n\ndata: a\r\n\r\nevent: x\ndata: b\n\n"
    events = decode(stream)

    assert [stream[event.start : event.end] for event in events] == [b"data: a\r\n\r\n", b"event: x\ndata: b\n\n"]


# ---------------------------------------------------------------- oddities


def test_unknown_fields_and_bytes_that_are_no_utf8_are_kept_as_facts_with_their_place() -> None:
    decoder = Decoder()
    events = decoder.feed(b"data: a\nDATA: b\n{}\ndata: \xff\n\n")

    assert [event.data for event in events] == ["a\n\ufffd"]
    assert decoder.oddities == [(8, "unknown field 'DATA'"), (16, "unknown field '{}'"), (19, "invalid UTF-8")]


@pytest.mark.parametrize("tail", [b"data: a", b"data: a\n", b"event: x\n", b"\xf0\x9f", b"data"])
def test_an_event_that_no_blank_line_ended_is_dropped_and_told(tail: bytes) -> None:
    decoder = Decoder()

    assert [event.data for event in decoder.feed(b"data: done\n\n" + tail) + decoder.close()] == ["done"]
    assert decoder.unfinished


@pytest.mark.parametrize("stream", [b"", b"data: a\n\n", b"data: a\r\r", b": c\n", b"data: a\n\n\n\n"])
def test_a_stream_that_ends_between_events_is_finished(stream: bytes) -> None:
    decoder = Decoder()
    decoder.feed(stream)
    decoder.close()

    assert not decoder.unfinished


# ---------------------------------------------------------------- bounds


def test_an_endless_line_overflows_in_bounded_memory() -> None:
    decoder = Decoder(limit=100_000)
    piece = b"data: " + b"x" * 10_000
    tracemalloc.start()
    try:
        for _ in range(500):
            decoder.feed(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert decoder.overflow
    assert peak < 1_000_000


def test_an_endless_event_of_short_lines_overflows_in_bounded_memory() -> None:
    decoder = Decoder(limit=100_000)
    piece = b"data: " + b"x" * 1_000 + b"\n"
    tracemalloc.start()
    try:
        for _ in range(5_000):
            decoder.feed(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert decoder.overflow
    assert peak < 1_000_000


@pytest.mark.parametrize("start", [b"data: ", b"data: a\ndata: ", b"event: x\ndata: "])
@pytest.mark.parametrize("rest", [b"\n\n", b"tail\n\n", b"\ndata: tail\n\n", b"tail\r\rdata: b\n\n", b"\r\n\r\n: c\n"])
def test_an_event_past_the_limit_is_discarded_whole_and_the_next_one_is_read(start: bytes, rest: bytes) -> None:
    decoder = Decoder(limit=100)
    before = decoder.feed(b"data: before\n\n")
    events = decoder.feed(start + b"x" * 200) + decoder.feed(rest) + decoder.feed(b"event: y\ndata: next\n\n")

    assert decoder.overflow
    assert [event.data for event in before] == ["before"]
    assert [(event.type, event.data) for event in events if event.data != "b"] == [("y", "next")]
    assert decoder.oddities == []


def test_the_place_of_an_event_is_right_after_an_overflow() -> None:
    decoder = Decoder(limit=100)
    parts = [b"data: " + b"x" * 200, b"x" * 300, b"\n\n", b"data: a\n\n"]
    (event,) = [event for part in parts for event in decoder.feed(part)]

    assert b"".join(parts)[event.start : event.end] == b"data: a\n\n"


def test_oddities_without_end_are_kept_up_to_a_hundred() -> None:
    decoder = Decoder()
    decoder.feed(b"x\n" * 10_000)

    assert len(decoder.oddities) == 100


def test_the_fields_of_the_standard_are_no_oddities_and_others_are_told_in_forty_characters() -> None:
    decoder = Decoder()
    decoder.feed(b"retry: 10\nevent: a\nid: 1\ndata: b\n" + b"x" * 50 + b": 1\nRETRY: 5\n\n")

    assert decoder.oddities == [(33, f"unknown field {'x' * 40!r}"), (87, "unknown field 'RETRY'")]


def test_a_comment_over_the_limit_takes_what_follows_up_to_the_next_blank_line() -> None:
    stream = b":" + b"x" * 200 + b"\ndata: a\n\ndata: b\n\n"
    for pieces in ([stream], [stream[i : i + 7] for i in range(0, len(stream), 7)]):
        decoder = Decoder(limit=100)

        assert [event.data for piece in pieces for event in decoder.feed(piece)] == ["b"]
        assert (decoder.overflow, decoder.comments, decoder.unfinished) == (True, 0, False)


def test_an_event_of_exactly_the_limit_is_no_overflow() -> None:
    decoder = Decoder(limit=100)
    events = decoder.feed(b"data: " + b"x" * 93 + b"\n\n")

    assert not decoder.overflow
    assert [event.data for event in events] == ["x" * 93]


def test_ten_thousand_random_streams_crash_nothing() -> None:
    chance = random.Random(20_260_101)  # noqa: S311 - no secret, and the same on every machine
    alphabet = [bytes([i]) for i in range(256)] + [b"data:", b"event:", b"id:", b"\n", b"\r", b"\r\n", b"\n\n"] * 12
    for _ in range(10_000):
        decoder = Decoder(limit=64)
        for _ in range(chance.randrange(6)):
            events = decoder.feed(b"".join(chance.choices(alphabet, k=chance.randrange(24))))
            assert all(0 <= event.start < event.end for event in events)
        decoder.close()


def test_a_stream_of_a_megabyte_in_single_bytes_is_read_in_linear_time() -> None:
    decoder = Decoder()
    line = b"data: " + b"y" * 300_000
    for i in range(0, len(line), 3):
        decoder.feed(line[i : i + 3])
    events = decoder.feed(b"\n\n")

    assert [len(event.data) for event in events] == [300_000]
