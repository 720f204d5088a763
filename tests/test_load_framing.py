"""Response framing: any split of the bytes gives the same body and the same end."""

from __future__ import annotations

import itertools
import re
from http.client import HTTPException

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.framing import Framing, FramingError, lead_of


class PlainHead:
    """A head parser of a few lines, so that these tests need no C extension."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.status = 0

    def feed(self, data: bytes) -> None:
        lines = data.decode("latin-1").split("\r\n")
        found = re.fullmatch(r"HTTP/1\.[01] (\d{3})(?: .*)?", lines[0])
        if not found:
            raise HTTPException(lines[0])
        self.status = int(found[1])
        self.headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines[1:] if line)}


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


def chunked(parts: list[bytes], trailer: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part) + b"0\r\n" + trailer + b"\r\n"


def run(data: bytes, cuts: list[int]) -> tuple[bytes, Framing]:
    framing = Framing(PlainHead)
    return b"".join(framing.feed_all(pieces(data, cuts))), framing


PARTS = st.lists(st.binary(min_size=1, max_size=40), max_size=12)
CUTS = st.lists(st.integers(0, 10**6), max_size=12)


@given(PARTS, CUTS, st.sampled_from([b"", b"x-a: 1\r\nx-b: 2\r\n"]))
def test_a_chunked_body_survives_any_split(parts: list[bytes], cuts: list[int], trailer: bytes) -> None:
    body, framing = run(CHUNKED + chunked(parts, trailer), cuts)

    assert b"".join(parts) == body
    assert framing.complete
    assert not framing.closing


@given(PARTS)
def test_reads_of_one_whole_chunk_each_give_just_that_chunk(parts: list[bytes]) -> None:
    framing = Framing(PlainHead)
    framing.feed(CHUNKED)

    assert parts == framing.feed_all([b"%x\r\n%s\r\n" % (len(part), part) for part in parts])
    assert not framing.complete


@given(PARTS)
def test_chunks_that_were_recognised_as_they_came_leave_the_framing_where_parsing_them_would(
    parts: list[bytes],
) -> None:
    framing, pieces = Framing(PlainHead), [b"%x\r\n%s\r\n" % (len(part), part) for part in parts]
    framing.feed(CHUNKED)

    assert framing.feed_all([len(part) for part in parts]) == [b""] * len(parts)
    assert [lead_of(piece) for piece in pieces] == [b"%x\r\n" % len(part) for part in parts]
    assert framing.feed(b"0\r\n\r\n") == b""
    assert framing.complete


@given(PARTS.filter(bool))
def test_a_recognised_chunk_inside_another_is_an_error(parts: list[bytes]) -> None:
    framing = Framing(PlainHead)
    framing.feed(CHUNKED + b"%x\r\n%s" % (len(parts[0]), parts[0]))

    with pytest.raises(FramingError, match="begins where none can"):
        framing.feed_all([5])


@pytest.mark.parametrize(
    "piece",
    [b"", b"5", b"5\r\nabcd\r\n", b"4\r\nabcde\r\n", b"4\r\nabcd\r\n\r\n", b"zz\r\nabcd\r\n", b"0x4\r\nabcd\r\n"],
)
def test_only_a_whole_chunk_has_a_lead(piece: bytes) -> None:
    assert lead_of(piece) is None


@given(st.binary(max_size=60), CUTS)
def test_a_counted_body_ends_where_it_says(body: bytes, cuts: list[int]) -> None:
    found, framing = run(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body), cuts)

    assert body == found
    assert framing.complete


@given(st.binary(max_size=60), CUTS)
def test_a_body_without_length_ends_with_the_connection(body: bytes, cuts: list[int]) -> None:
    found, framing = run(b"HTTP/1.1 200 OK\r\n\r\n" + body, cuts)

    assert body == found
    assert not framing.complete
    assert framing.end()
    assert framing.closing


@given(PARTS, st.integers(1, 10**6))
def test_a_chunked_body_that_is_cut_is_not_complete(parts: list[bytes], cut: int) -> None:
    data = CHUNKED + chunked(parts)

    _, framing = run(data[: -(cut % (len(data) - len(CHUNKED)) or 1)], [])

    assert not framing.complete
    assert not framing.end()


def test_an_interim_answer_is_not_the_answer() -> None:
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 429 No\r\ncontent-length: 2\r\n\r\nno"

    body, framing = run(data, [10, 40])

    assert (body, framing.status, framing.complete) == (b"no", 429, True)


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body_is_complete_with_its_head(status: int) -> None:
    _, framing = run(b"HTTP/1.1 %d X\r\n\r\n" % status, [])

    assert framing.complete


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "no HTTP/1.1 response"),
        (CHUNKED + b"xyz\r\n", "a chunk size is"),
        (CHUNKED + b"-1\r\n", "a chunk size is"),
        (CHUNKED + b"1_0\r\n", "a chunk size is"),
        (CHUNKED + b"2\r\nabc\r\n", "a chunk is followed by"),
        (CHUNKED + b"0\r\n\r\nmore", "bytes after the end"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n", "content-length is"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab", "bytes after the end"),
        (CHUNKED + b"1" * 5000, "a line of more than"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000, "a head of more than"),
    ],
)
def test_what_is_no_http_is_refused(data: bytes, word: str) -> None:
    with pytest.raises(FramingError, match=re.escape(word)):
        Framing(PlainHead).feed(data)


@given(PARTS, CUTS)
def test_llhttp_and_the_plain_head_agree(parts: list[bytes], cuts: list[int]) -> None:
    head = pytest.importorskip("loadtest.head")
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n chunked\r\n\r\n".replace(b"\r\n chunked", b" chunked") + chunked(
        parts
    )
    framing = head.new_framing()

    assert b"".join(parts) == b"".join(framing.feed_all(pieces(data, cuts)))
    assert framing.complete
