"""A target that floods, trickles, bombs or lies is cut by limits and blamed for it: the suite never breaks, hangs or grows."""

from __future__ import annotations

import itertools
import time
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import pytest

from benchmarks.matrix.server import profile
from benchmarks.matrix.suite import Suite
from conformance.wire import client as module
from conformance.wire.client import Client, Timeouts
from conformance.wire.exchange import Request
from tests.loopback import Loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.loopback import Received

HEAD = "HTTP/1.1 200 OK\r\ncontent-type: {}\r\nconnection: close\r\n{}\r\n"
STREAM = HEAD.format("text/event-stream", "").encode()
JSON = HEAD.format("application/json", "").encode()
CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
)
PIECE = 8_000
LIMIT = 60_000
LINES = 500
PIECES = 1000
QUICK = Timeouts(5.0, 2.0, 4.0)


def bomb() -> bytes:
    """Two kilobytes that unpack to two megabytes."""
    packed = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return packed.compress(b"\0" * 2_000_000) + packed.flush()


def endless(head: bytes, piece: bytes, first: bytes = b"") -> Callable[[Received], Iterable[bytes]]:
    return lambda _: itertools.chain([head, first], itertools.repeat(piece * (PIECE // len(piece) + 1)))


def deflated() -> bytes:
    """The same bomb as a bare stream, which some call deflate."""
    return zlib.compress(b"\0" * 2_000_000, 9)


def told(*lines: str, body: bytes = b"") -> Callable[[Received], bytes]:
    """A head of these lines, and a body."""
    return lambda _: "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode() + body


CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
HOSTILE: dict[str, Callable[[Received], bytes | Iterable[bytes]]] = {
    "chunks without end": endless(STREAM, CHUNK),
    "tiny events without end": endless(STREAM, b"data:1\n\n"),
    "comments without end": endless(STREAM, b":\n"),
    "a line without end": endless(STREAM, b"x", b"data: "),
    "an event without end": endless(STREAM, b"data: x\n"),
    "a text without end": endless(JSON, b"x", b'{"id":"'),
    "brackets without end": endless(JSON, b"["),
    "bytes that are no text": endless(STREAM, bytes(range(256))),
    "a compression bomb": lambda _: HEAD.format("application/json", "content-encoding: gzip\r\n").encode() + bomb(),
    "headers without end": endless(b"HTTP/1.1 200 OK\r\n", b"x-a: " + b"y" * 1000 + b"\r\n"),
    "a bomb called deflate": lambda _: (
        HEAD.format("application/json", "content-encoding: deflate\r\n").encode() + deflated()
    ),
    "a status line without end": endless(b"HTTP/1.1 200 ", b"O"),
    "a chunk size without end": endless(CHUNKED, b"0"),
    "a chunk's extension without end": endless(CHUNKED, b"x", b"5;"),
    "trailers without end": endless(CHUNKED, b"x-a: " + b"y" * 1000 + b"\r\n", b"0\r\n"),
    "chunks of a byte without end": endless(CHUNKED, b"1\r\nx\r\n"),
    "a chunk of a terabyte": endless(CHUNKED, b"x", b"ffffffffff\r\n"),
    "a chunk that is longer than it says": told(
        "transfer-encoding: chunked", "content-type: application/json", body=b"2\r\n{}{}\r\n0\r\n\r\n"
    ),
    "two lengths": told("content-length: 2", "content-length: 3", "content-type: application/json", body=b"{}"),
    "a length below nought": told("content-length: -1", "content-type: application/json", body=b"{}"),
    "a length of a terabyte": told(f"content-length: {10**12}", "content-type: application/json", body=b"{}"),
    "both framings": told(
        "content-length: 2",
        "transfer-encoding: chunked",
        "content-type: application/json",
        body=b"2\r\n{}\r\n0\r\n\r\n",
    ),
    "a redirect to itself": lambda received: (
        f"HTTP/1.1 307 Again\r\nlocation: {received.path}\r\ncontent-length: 0\r\n\r\n".encode()
    ),
    "a redirect to no URL": lambda _: b"HTTP/1.1 307 Again\r\nlocation: http://[::1\r\ncontent-length: 0\r\n\r\n",
    "no answer at all": lambda _: b"",
    "no HTTP": lambda _: b"SSH-2.0-OpenSSH_9.2\r\n",
    "a body shorter than announced": lambda _: (
        HEAD.format("application/json", "content-length: 500\r\n").encode() + b"{"
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_target_fails_and_the_suite_stays_whole(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", LIMIT)
    monkeypatch.setattr(module, "LINES", LINES)
    monkeypatch.setattr(module, "FRAMES", PIECES)
    suite = Suite("solidrust", profile("solidrust"), "smoke")
    with Loopback(HOSTILE[what]) as target:
        report = suite.run(target.url, timeouts=QUICK)
    verdicts = {check.id: check.verdict for check in report.checks}

    assert [check.reason for check in report.checks if check.verdict == "error"] == []
    assert "fail" in verdicts.values()
    assert any(row.blocking and row.verdict == "fail" for row in report.requirements)


def test_more_lines_than_a_correct_answer_has_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINES", 1000)
    with Loopback(endless(STREAM, b"data:1\n\n")) as target:
        client = Client(Timeouts(5.0, 5.0, 30.0))
        exchange = client.send(Request("POST", target.url, (), b"{}"))
        client.close()

    assert exchange.error == "limit: the body has more than 1000 lines"


def interim(_: Received) -> Iterator[bytes]:
    """Interim answers for ever."""
    while True:
        yield b"HTTP/1.1 100 Continue\r\n\r\n" * 10


def trickle(_: Received) -> Iterator[bytes]:
    """A head of which a byte comes now and then."""
    yield b"HTTP/1.1 200 OK\r\nx: "
    while True:
        yield b"y"
        time.sleep(0.05)


@pytest.mark.parametrize("handler", [interim, trickle])
def test_a_head_that_never_ends_costs_the_total_time_and_no_more(
    handler: Callable[[Received], Iterator[bytes]],
) -> None:
    with Loopback(handler) as target:
        client = Client(Timeouts(5.0, 1.0, 2.0))
        exchange = client.send(Request("POST", target.url, (), b"{}"))
        client.close()

    assert exchange.error == "timeout: the answer had not ended after 2 s"
    assert exchange.status is None


@pytest.mark.parametrize("what", ["a line without end", "a text without end", "a compression bomb"])
def test_one_exchange_holds_a_few_times_the_limit_at_most(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 400_000
    monkeypatch.setattr(module, "LIMIT", limit)
    with Loopback(HOSTILE[what]) as target:
        client = Client(Timeouts(5.0, 5.0, 30.0))
        tracemalloc.start()
        exchange = client.send(Request("POST", target.url, (), b"{}"))
        exchange.decoded  # noqa: B018 - the events are made on demand
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        client.close()

    assert exchange.error is not None
    assert exchange.error.startswith("limit: ")
    assert peak < 30 * limit
