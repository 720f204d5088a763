"""The generator's sockets: TLS with kernel stamps, IPv6, and servers that close, stall, or speak no HTTP."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from loadtest.behaviour import Pace, chunk, chunked, event
from loadtest.paced import Server
from tests.test_load_run import figures, locust, result, samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(find_spec("locust") is None, reason="needs the load extra")
FAST = Pace(0.01, 0.002, 12)
FEW = ("--closed-loop", "-u", "2", "-r", "2", "--requests", "8")
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
WHOLE = HEAD + chunked(event(chunk({"content": "hi"}, "stop"))) + chunked(event(b"[DONE]")) + b"0\r\n\r\n"
PLAIN = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'


@contextmanager
def paced(host: str = "127.0.0.1") -> Iterator[int]:
    server = Server(0, FAST, host=host)
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server.port
    server.running = False
    thread.join()


@contextmanager
def answering(serve: Callable[[socket.socket, int], None], context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A listener that hands each connection, and its number, to a function on a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def one(peer: socket.socket, number: int) -> None:
        with suppress(OSError), peer if context is None else context.wrap_socket(peer, server_side=True) as wrapped:
            wrapped.settimeout(30)
            serve(wrapped, number)

    def accept() -> None:
        with suppress(OSError):
            while True:
                peer, _ = listener.accept()
                threads.append(threading.Thread(target=one, args=(peer, len(threads))))
                threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for thread in (accepting, *threads):
        thread.join()


def asked(peer: socket.socket) -> bytes:
    """One whole request."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = peer.recv(65536)
        if not more:
            raise OSError("the peer has gone")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    size = int(lengths[0]) if lengths else 0
    while len(body) < size:
        body += peer.recv(65536)
    return head + b"\r\n\r\n" + body


def is_streamed(request: bytes) -> bool:
    return b'"stream":true' in request


def plainly(peer: socket.socket) -> None:
    peer.sendall(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(PLAIN), PLAIN)
    )


def in_turn(*streams: Callable[[socket.socket], None]) -> Callable[[socket.socket, int], None]:
    """Serve requests for ever: whole answers plainly, streamed ones by these functions, by the number of the connection."""

    def serve(peer: socket.socket, number: int) -> None:
        while True:
            if is_streamed(asked(peer)):
                streams[number % len(streams)](peer)
            else:
                plainly(peer)

    return serve


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "30"]
    own = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", *subject]
    subprocess.run([openssl, *own, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return cert, key


@contextmanager
def tls(certificate: tuple[Path, Path], port: int) -> Iterator[int]:
    """TLS in front of a plain server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*map(str, certificate))

    def relay(peer: socket.socket, _: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as inner:
            while True:
                inner.sendall(asked(peer))
                back = b""
                while not (
                    back.endswith((b"\r\n0\r\n\r\n", b"}")) or (b"[DONE]" in back and back.endswith(b"0\r\n\r\n"))
                ):
                    data = inner.recv(65536)
                    back += data
                    peer.sendall(data)

    with answering(relay, context) as secure:
        yield secure


def test_tls_streams_are_read_with_kernel_stamps(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    with paced() as port, tls(certificate, port) as secure:
        _, said = locust(f"https://127.0.0.1:{secure}", tmp_path, *FEW, SSL_CERT_FILE=str(certificate[0]))

    document = result(tmp_path)
    assert Counter({"ok": 8}) == Counter(row["outcome"] for row in samples(tmp_path)), said
    assert {row["chunks"] for row in samples(tmp_path)} == {12}
    assert document["scenario"]["stamps"] == "kernel"
    assert document["certificate"]["lag_ms"]["read_p50"] is not None


def test_a_certificate_that_is_not_trusted_is_a_sentence_and_exit_two(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    with paced() as port, tls(certificate, port) as secure:
        code, said = locust(f"https://127.0.0.1:{secure}", tmp_path, *FEW, "--model", "m")
        trusting, _ = locust(f"https://127.0.0.1:{secure}", tmp_path, *FEW, "--insecure")

    assert (code, "TLS failed: CERTIFICATE_VERIFY_FAILED" in said) == (2, True), said
    assert len(samples(tmp_path)) == 8
    assert trusting in {0, 2}


def has_ipv6() -> bool:
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


@pytest.mark.skipif(not has_ipv6(), reason="needs IPv6 on the loopback")
def test_ipv6_targets_are_reached(tmp_path: Path) -> None:
    with paced("::1") as port:
        locust(f"http://[::1]:{port}", tmp_path, *FEW)

    assert Counter({"ok": 8}) == Counter(row["outcome"] for row in samples(tmp_path))


def test_a_connection_that_the_server_had_closed_while_idle_is_replaced_and_told(tmp_path: Path) -> None:
    def serve(peer: socket.socket, _: int) -> None:
        if not is_streamed(asked(peer)):
            plainly(peer)
            return
        peer.sendall(WHOLE)
        with suppress(TimeoutError):
            asked(peer)  # the next request comes and finds the door shut

    with answering(serve) as port:
        locust(
            f"http://127.0.0.1:{port}",
            tmp_path,
            "--closed-loop",
            "-u",
            "1",
            "-r",
            "1",
            "--requests",
            "4",
            "--model",
            "m",
        )

    rows = samples(tmp_path)
    assert Counter({"ok": 4}) == Counter(row["outcome"] for row in rows)
    assert any(row["resent"] for row in rows)


def test_each_way_to_fail_has_its_class(tmp_path: Path) -> None:
    def shut(peer: socket.socket) -> None:
        peer.sendall(HEAD + chunked(event(chunk({"content": "hi"}))))
        raise OSError("cut")

    def babble(peer: socket.socket) -> None:
        peer.sendall(b"HELO there\r\n\r\n")

    def refuse(peer: socket.socket) -> None:
        peer.sendall(b"HTTP/1.1 503 Busy\r\nretry-after: 3\r\ncontent-length: 4\r\n\r\nbusy")

    def stall(peer: socket.socket) -> None:
        peer.sendall(HEAD + chunked(event(chunk({"content": "hi"}))))
        asked(peer)

    def silent(peer: socket.socket) -> None:
        asked(peer)

    def interim(peer: socket.socket) -> None:
        peer.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        raise OSError("cut before the answer")

    def broken(peer: socket.socket) -> None:
        spoiled = event(chunk({"role": "assistant", "content": "h?"})).replace(b"h?", b"h\xff")
        peer.sendall(HEAD + chunked(spoiled) + chunked(event(b"[DONE]")) + b"0\r\n\r\n")

    (tmp_path / "quick.toml").write_text("stall_s = 0.4\nanswer_s = 0.8\n")
    own = [
        "--scenario",
        str(tmp_path / "quick.toml"),
        "--closed-loop",
        "-u",
        "1",
        "-r",
        "1",
        "--requests",
        "6",
        "--model",
        "m",
    ]
    found: Counter[str] = Counter()
    for way in (shut, babble, refuse, stall, silent, interim, broken):
        with answering(in_turn(way)) as port:
            locust(f"http://127.0.0.1:{port}", tmp_path / "out", *own)
        found[",".join(sorted({row["outcome"] for row in samples(tmp_path / "out")}))] += 1
        assert figures(result(tmp_path / "out"), "rates")["error_rate"]["value"] == 1.0

    assert found == Counter(["cut", "malformed_http", "http_503", "stalled", "no_answer", "cut", "malformed_json"])


def test_an_error_where_a_whole_answer_was_due_is_an_error_answer(tmp_path: Path) -> None:
    said = b'{"error":{"message":"overloaded"}}'

    def serve(peer: socket.socket, _: int) -> None:
        while True:
            if b"Say hi" in asked(peer):
                plainly(peer)
            else:
                peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(said), said))

    with answering(serve) as port:
        locust(f"http://127.0.0.1:{port}", tmp_path, *FEW, "--model", "m", "--scenario", "non-stream")

    assert {(row["outcome"], row["message"]) for row in samples(tmp_path)} == {("error_answer", said.decode())}


def test_the_usage_of_a_few_words_and_a_call_is_believed(tmp_path: Path) -> None:
    called = {
        "index": 0,
        "id": "c",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
    }
    counts = {"prompt_tokens": 9, "completion_tokens": 25, "total_tokens": 34}
    parts = [
        chunk({"content": "Ok"}),
        chunk({"tool_calls": [called]}, "tool_calls"),
        chunk({}) | {"choices": [], "usage": counts},
    ]

    def call(peer: socket.socket) -> None:
        peer.sendall(HEAD + b"".join(chunked(event(part)) for part in [*parts, b"[DONE]"]) + b"0\r\n\r\n")

    with answering(in_turn(call)) as port:
        locust(f"http://127.0.0.1:{port}", tmp_path, *FEW, "--model", "m")

    assert {(row["tokens"], row["tokens_from"], row["usage_remark"]) for row in samples(tmp_path)} == {
        (25, "usage", "")
    }


def test_requests_that_wait_for_a_connection_are_waited_for(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    class Slow(ssl.SSLContext):
        def wrap_socket(self, *args: Any, **other: Any) -> ssl.SSLSocket:  # noqa: ANN401 - what the library takes
            time.sleep(0.7)
            return super().wrap_socket(*args, **other)

    def serve(peer: socket.socket, _: int) -> None:
        if is_streamed(asked(peer)):
            peer.sendall(WHOLE.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))
        else:
            plainly(peer)

    context = Slow(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*map(str, certificate))
    target, own = "https://127.0.0.1:{}", ("--model", "m", "--insecure")
    with answering(serve, context) as port:
        locust(target.format(port), tmp_path / "closed", "--closed-loop", "-u", "3", "-r", "9", "--requests", "7", *own)
        _, said = locust(target.format(port), tmp_path / "open", "--rate", "30", "-t", "2s", *own)

    assert [len(samples(tmp_path / loop)) for loop in ("closed", "open")] == [7, 60]
    assert "Traceback" not in said


def test_requests_without_an_answer_at_the_end_leave_nothing_to_judge(tmp_path: Path) -> None:
    def serve(peer: socket.socket, _: int) -> None:
        if is_streamed(asked(peer)):
            asked(peer)  # the connection ends before an answer does
        plainly(peer)

    (tmp_path / "short.toml").write_text("drain_s = 0.5\nstages = [{ seconds = 1, rate = 20 }]\n")
    with answering(serve) as port:
        code, _ = locust(
            f"http://127.0.0.1:{port}", tmp_path, "--model", "m", "--scenario", str(tmp_path / "short.toml")
        )

    document = result(tmp_path)
    assert (code, document["complete"], document["scenario"]["unfinished"]) == (2, False, 20)
    assert "20 request(s) had no whole answer" in document["reason"]
