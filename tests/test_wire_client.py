"""The recording client against real sockets: whatever a server does becomes an exchange, and the key stays at home."""

from __future__ import annotations

import gzip
import itertools
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from conformance.wire import client as module
from conformance.wire.client import Budget, BudgetSpent, Client, Timeouts
from conformance.wire.exchange import Exchange, Request
from tests.loopback import Loopback, Received, closed_port, response

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KEY = "sk-secret-of-the-first-server"
HASTY = Timeouts(connect=10.0, read=2.0, total=20.0)  # long enough for a busy machine to send what it means to


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    made = Client(Timeouts(connect=20.0, read=30.0, total=60.0))
    yield made
    made.close()


@pytest.fixture(scope="module")
def hasty() -> Iterator[Client]:
    made = Client(HASTY)
    yield made
    made.close()


def post(url: str, body: bytes = b"{}") -> Request:
    headers = (("content-type", "application/json"), ("authorization", f"Bearer {KEY}"), ("user-agent", "test"))
    return Request("POST", f"{url}/v1", headers, body, KEY)


def answered(client: Client, answer: bytes | Iterable[bytes]) -> Exchange:
    with Loopback(lambda _: answer) as server:
        return client.send(post(server.url))


# ---------------------------------------------------------------- whatever comes


@pytest.mark.parametrize("status", [200, 201, 204, 301, 304, 400, 401, 404, 418, 429, 500, 503, 599])
def test_a_status_is_kept_and_never_raised(client: Client, status: int) -> None:
    exchange = answered(client, response("" if status in (204, 304) else "body", status))

    assert (exchange.status, exchange.error) == (status, None)
    assert exchange.body == (b"" if status in (204, 304) else b"body")


def test_headers_are_kept_in_order_with_their_case_and_twice(client: Client) -> None:
    raw = (
        b"HTTP/1.1 200 OK\r\nX-One: 1\r\nx-one: 2\r\nX-Latin: caf\xe9\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )

    assert answered(client, raw).headers == (
        ("X-One", "1"),
        ("x-one", "2"),
        ("X-Latin", "caf\u00e9"),
        ("Content-Length", "0"),
        ("Connection", "close"),
    )


def test_what_was_sent_is_what_arrives(client: Client) -> None:
    with Loopback(lambda _: response()) as server:
        client.send(Request("PATCH", f"{server.url}/a%20b?q=1", (("x-one", "1"), ("X-Two", "2")), b"\xff\x00"))
    (arrived,) = server.received

    assert (arrived.method, arrived.path, arrived.body) == ("PATCH", "/a%20b?q=1", b"\xff\x00")
    assert (arrived.header("x-one"), arrived.header("x-two")) == ("1", "2")
    assert {name.lower() for name, _ in arrived.headers} == {"host", "content-length", "x-one", "x-two"}


def test_a_header_that_cannot_be_sent_is_told_without_what_it_holds(client: Client) -> None:
    exchange = client.send(Request("POST", "http://127.0.0.1:9/", (("authorization", "Bearer secret\r"),), b"{}"))

    assert exchange.status is None
    assert "secret" not in str(exchange.error)


def test_frames_come_as_they_were_sent_with_rising_times(client: Client) -> None:
    gate = threading.Event()

    def stream(_: Received) -> Iterable[bytes]:
        yield response("data: 1\n\n", content_length="", content_type="text/event-stream")
        gate.wait(10)
        yield b"data: 2\n\n"

    with Loopback(stream) as server, ThreadPoolExecutor(1) as pool:
        future = pool.submit(client.send, post(server.url))
        gate.set()
        exchange = future.result()

    times = [frame.t for frame in exchange.frames]
    assert exchange.body == b"data: 1\n\ndata: 2\n\n"
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] <= exchange.seconds


def test_a_body_without_a_length_ends_with_the_connection(client: Client) -> None:
    exchange = answered(client, response("until the end", content_length=""))

    assert (exchange.body, exchange.error) == (b"until the end", None)


# ---------------------------------------------------------------- whatever breaks


def test_a_closed_port_is_no_connection(client: Client) -> None:
    exchange = client.send(post(f"http://127.0.0.1:{closed_port()}"))

    assert exchange.status is None
    assert exchange.error is not None
    assert exchange.error.startswith("connect: ")


def test_a_server_that_never_answers_costs_the_read_time_out(hasty: Client) -> None:
    with Loopback(lambda _: ()) as server:
        server.handler = server.silence
        exchange = hasty.send(post(server.url))

    assert (exchange.status, exchange.error) == (None, "timeout: nothing came: timed out")


def test_a_server_that_falls_silent_in_the_middle_leaves_its_status_and_what_came(hasty: Client) -> None:
    with Loopback(lambda _: ()) as server:

        def half(request: Received) -> Iterable[bytes]:
            yield response("data: 1\n\n", content_length="100")
            yield from server.silence(request)

        server.handler = half
        exchange = hasty.send(post(server.url))

    assert (exchange.status, exchange.body) == (200, b"data: 1\n\n")
    assert exchange.error is not None
    assert exchange.error.startswith("timeout: ")


def test_an_answer_that_trickles_on_is_ended_by_the_total(client: Client) -> None:
    stop = threading.Event()

    def trickle(_: Received) -> Iterable[bytes]:
        yield response("", content_length="")
        while not stop.is_set():
            yield b"."
            stop.wait(0.01)

    with Loopback(trickle) as server:
        exchange = client.send(post(server.url), total=2.0)
        stop.set()

    assert exchange.error == "timeout: the answer had not ended after 2 s"
    assert set(exchange.body) == set(b".")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"", None),
        (b"HTTP/1.1 20", None),
        (response("only half", content_length="100"), 200),
        (response("5\r\nabc", content_length="", transfer_encoding="chunked"), 200),
        (response("3\r\nabc\r\n", content_length="", transfer_encoding="chunked"), 200),
    ],
)
def test_a_connection_closed_too_early_is_told_with_what_had_come(
    client: Client, answer: bytes, status: int | None
) -> None:
    exchange = answered(client, answer)

    assert exchange.status == status
    assert exchange.error is not None
    assert exchange.error.startswith("closed: ")


@pytest.mark.parametrize(
    "answer",
    [
        b"not HTTP at all\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        response("zz\r\n", content_length="", transfer_encoding="chunked"),
        response(b"no gzip", content_encoding="gzip"),
        bytes(range(256)),
    ],
    ids=lambda answer: repr(answer[-20:]),
)
def test_what_is_no_http_is_an_error_of_the_exchange_and_no_exception(client: Client, answer: bytes) -> None:
    exchange = answered(client, answer)

    assert exchange.error is not None
    assert exchange.error.split(":")[0] in ("protocol", "closed")


@pytest.mark.parametrize("url", ["http://", "ftp://127.0.0.1", "http://[::1", "http://127.0.0.1:99999", "nonsense"])
def test_a_url_that_leads_nowhere_is_an_error_of_the_exchange(client: Client, url: str) -> None:
    exchange = client.send(Request("GET", url, ()))

    assert exchange.status is None
    assert exchange.error


def test_a_flood_of_headers_ends(client: Client) -> None:
    flood = itertools.chain([b"HTTP/1.1 200 OK\r\n"], (f"x-{i}: {'y' * 500}\r\n".encode() for i in range(20_000)))
    exchange = answered(client, flood)

    assert exchange.status is None
    assert exchange.error


# ---------------------------------------------------------------- bounds


def test_a_body_past_the_limit_is_cut_and_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 100_000)
    exchange = answered(
        client, itertools.chain([response("", content_length="")], itertools.repeat(b"x" * 10_000, 1_000))
    )

    assert exchange.error == "limit: the body is longer than 100000 bytes"
    assert 100_000 < len(exchange.body) < 300_000


def test_a_gzip_bomb_is_bounded(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 100_000)
    bomb = gzip.compress(b"\0" * 50_000_000)
    exchange = answered(client, response(bomb, content_encoding="gzip"))

    assert exchange.error == "limit: the body is longer than 100000 bytes"
    assert len(exchange.body) < 300_000


@pytest.mark.parametrize(
    ("name", "pack"), [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_a_compressed_answer_that_nobody_asked_for_is_read(client: Client, name: str, pack: object) -> None:
    assert callable(pack)
    packed = pack(b'{"a": "' + b"long " * 1_000 + b'"}')
    pieces = [response(b"", content_encoding=name, content_length=str(len(packed))), packed[:7], packed[7:]]
    exchange = answered(client, pieces)

    assert exchange.error is None
    assert exchange.json == {"a": "long " * 1_000}


# ---------------------------------------------------------------- redirects


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_within_the_origin_is_followed_with_method_body_and_key(client: Client, status: int) -> None:
    def handler(request: Received) -> bytes:
        return response("", status, location="/v2/there") if request.path == "/v1" else response("arrived")

    with Loopback(handler) as server:
        exchange = client.send(post(server.url, b'{"n": 1}'))

    assert (exchange.status, exchange.body) == (200, b"arrived")
    assert [(r.method, r.path, r.body) for r in server.received] == [
        ("POST", "/v1", b'{"n": 1}'),
        ("POST", "/v2/there", b'{"n": 1}'),
    ]
    assert server.received[1].header("authorization") == f"Bearer {KEY}"


@pytest.mark.parametrize("status", [301, 302, 303, 305, 307, 308])
def test_a_redirect_to_another_host_is_never_followed_so_the_key_stays(client: Client, status: int) -> None:
    with Loopback(lambda _: response("stolen")) as other:
        elsewhere = f"{other.url}/v1"
        with Loopback(lambda _: response("", status, location=elsewhere)) as server:
            exchange = client.send(post(server.url))

    assert (exchange.status, exchange.header("location")) == (status, elsewhere)
    assert len(server.received) == 1
    assert other.received == []


@pytest.mark.parametrize(
    "location",
    [
        "https://127.0.0.1:{port}/v1",
        "//127.0.0.2:{port}/v1",
        "http://localhost:{port}/v1",
        "http://127.0.0.1:1/",
        "http://[::1",
        "\\\\x",
    ],
)
def test_another_scheme_name_or_port_is_another_host(client: Client, location: str) -> None:
    with Loopback(lambda _: response()) as server:
        target = location.format(port=server.url.rpartition(":")[2])
        server.handler = lambda request: (
            response("", 307, location=target) if request.path == "/v1" else response("x", 404)
        )
        exchange = client.send(post(server.url))

    assert exchange.status in (307, 404)
    assert len(server.received) == 1 + (exchange.status == 404)


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_may_change_the_method_is_not_followed(client: Client, status: int) -> None:
    with Loopback(lambda _: response("", status, location="/other")) as server:
        exchange = client.send(post(server.url))

    assert exchange.status == status
    assert len(server.received) == 1


def test_a_circle_of_redirects_ends_with_a_clear_word(client: Client) -> None:
    with Loopback(lambda _: response("", 307, location="/v1")) as server:
        exchange = client.send(post(server.url))

    assert exchange.error == "protocol: more than 5 redirects"
    assert len(server.received) == 5


# ---------------------------------------------------------------- nothing of its own


def test_no_cookie_is_kept_from_one_request_to_the_next(client: Client) -> None:
    with Loopback(lambda _: response("", set_cookie="session=1; Path=/")) as server:
        client.send(post(server.url))
        client.send(post(server.url))

    assert [request.header("cookie") for request in server.received] == [None, None]


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    with Loopback(lambda _: response("proxy")) as proxy, Loopback(lambda _: response("target")) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        client = Client(HASTY)
        exchange = client.send(post(server.url))
        client.close()

    assert exchange.body == b"target"
    assert proxy.received == []


def test_a_body_in_pieces_is_sent_chunked(client: Client) -> None:
    with Loopback(lambda _: response()) as server:
        client.send(post(server.url), pieces=[b'{"a"', b": 1}"])
    (arrived,) = server.received

    assert arrived.body == b'{"a": 1}'
    assert arrived.header("transfer-encoding") == "chunked"
    assert arrived.header("content-length") is None


def test_hanging_up_after_a_frame_closes_the_connection(client: Client) -> None:
    cut = threading.Event()

    def endless(_: Received) -> Iterable[bytes]:
        try:
            yield response("", content_length="")
            while not cut.wait(0.001):
                yield b"data: x\n\n" * 100
        except (GeneratorExit, ConnectionError):
            cut.set()
            raise

    with Loopback(endless) as server:
        exchange = client.send(post(server.url), stop_after=1)
        deadline = time.monotonic() + 10
        while not cut.is_set() and time.monotonic() < deadline:
            time.sleep(0.005)

    assert exchange.aborted
    assert len(exchange.frames) == 1
    assert cut.is_set()


# ---------------------------------------------------------------- counting


def test_every_exchange_has_its_own_id_and_is_observed_also_from_threads() -> None:
    seen: list[Exchange] = []
    client = Client(Timeouts(), prefix="w1-x", observe=seen.append)
    with Loopback(lambda _: response()) as server, ThreadPoolExecutor(8) as pool:
        sent = list(pool.map(lambda _: client.send(post(server.url)), range(24)))
    client.close()

    assert {f"w1-x{i}" for i in range(1, 25)} == {exchange.id for exchange in sent}
    assert {exchange.id for exchange in seen} == {exchange.id for exchange in sent}


def test_the_cap_on_requests_holds_and_names_its_option() -> None:
    client = Client(Timeouts(), budget=Budget(2))
    with Loopback(lambda _: response()) as server:
        client.send(post(server.url))
        client.send(post(server.url))
        with pytest.raises(BudgetSpent, match=r"the cap of 2 requests \(--max-requests\) is spent"):
            client.send(post(server.url))
    client.close()

    assert len(server.received) == 2


def test_the_cap_holds_over_threads() -> None:
    client = Client(Timeouts(), budget=Budget(5))

    def attempt(_: int) -> bool:
        try:
            client.send(post(server.url))
        except BudgetSpent:
            return False
        return True

    with Loopback(lambda _: response()) as server, ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, range(20)))
    client.close()

    assert outcomes.count(True) == 5
    assert len(server.received) == 5


def test_two_clients_that_share_a_file_share_a_cap(tmp_path: object) -> None:
    file = f"{tmp_path}/spent"
    first, second = Budget(3, file), Budget(3, file)
    first.take()
    second.take()
    first.take()
    with pytest.raises(BudgetSpent):
        second.take()
    first.close()
    second.close()
