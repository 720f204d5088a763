"""A recorded request is sent again, byte for byte, to a real socket."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from reports.__main__ import _excerpt, main
from reports.model import ReportError, write
from reports.replay import Answer, chosen, compared, request_headers, send, shape
from tests.report_samples import exchange, load_report, report, row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JSON = (("content-type", "application/json"),)
SSE = (("content-type", "text/event-stream; charset=utf-8"),)


class Target(ThreadingHTTPServer):
    """A server that gives one canned answer and remembers what it was sent."""

    def __init__(self, status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Canned)
        self.canned = (status, headers, body)
        self.seen: list[tuple[str, str, list[tuple[str, str]], bytes]] = []


class Canned(BaseHTTPRequestHandler):
    server: Target

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.command, self.path, self.headers.items(), body))
        status, headers, answer = self.server.canned
        self.send_response_only(status)
        for pair in headers:
            self.send_header(*pair)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextmanager
def target(
    status: int = 200, headers: tuple[tuple[str, str], ...] = JSON, body: bytes = b'{"id":1}'
) -> Iterator[Target]:
    with Target(status, headers, body) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def url(server: Target) -> str:
    return f"http://127.0.0.1:{server.server_port}/v1/chat/completions?a=1"


def test_what_is_sent_is_what_was_recorded() -> None:
    with target() as server:
        headers = (
            ("Host", "elsewhere"),
            ("Content-Length", "99"),
            ("X-A", "1"),
            ("X-A", "2"),
            ("Content-Type", "application/json"),
        )
        body = '{"messages": [\ud83d broken'
        answer = send(exchange(url=url(server), request_headers=headers, request_body=body), None, 5)

    assert (answer.status, answer.body, answer.error) == (200, b'{"id":1}', None)
    (method, path, sent, data) = server.seen[0]
    assert ("POST", "/v1/chat/completions?a=1", body.encode("utf-8", "surrogatepass")) == (method, path, data)
    assert [pair for pair in sent if pair[0].startswith(("X-", "Content-Type"))] == [*headers[2:]]
    assert dict(sent)["Host"] == f"127.0.0.1:{server.server_port}"
    assert dict(sent)["Content-Length"] == str(len(data))


def test_the_key_stands_where_the_run_s_own_key_was_masked() -> None:
    assert dict(request_headers(exchange(), "k1"))["Authorization"] == "Bearer k1"


def test_a_key_that_was_wrong_on_purpose_is_not_replaced_by_the_right_one() -> None:
    wrong = exchange(curl="curl -H 'Authorization: Bearer ***'")

    assert dict(request_headers(wrong, "k1"))["Authorization"] == "Bearer ***"


def test_a_request_without_a_key_stays_without() -> None:
    assert request_headers(exchange(request_headers=()), "k1") == ()


def test_a_missing_key_is_asked_for() -> None:
    with pytest.raises(ReportError, match="x1 was sent with a key; set CHAT_API_KEY"):
        request_headers(exchange(), None)


@pytest.mark.parametrize(
    "bad", ["ftp://host/x", "file:///etc/passwd", "http://", "nonsense", "http://[::1", "http://h:port/"]
)
def test_a_url_that_is_none_is_refused(bad: str) -> None:
    with pytest.raises(ReportError, match="x1"):
        send(exchange(url=bad), "k", 1)


def test_a_header_that_would_split_the_request_is_refused() -> None:
    with target() as server, pytest.raises(ReportError, match="cannot be sent as it was recorded"):
        send(exchange(url=url(server), request_headers=(("X", "a\r\nX-Forged: 1"),)), None, 5)


def test_a_redirect_is_not_followed() -> None:
    with target() as other, target(307, (("location", url(other)),), b"") as server:
        answer = send(exchange(url=url(server)), "k1", 5)

    assert answer.status == 307
    assert other.seen == []


def test_an_answer_that_ends_too_early_is_told_with_what_came() -> None:
    with target(200, (("content-length", "99"),), b"half") as server:
        answer = send(exchange(url=url(server)), "k1", 5)

    assert (answer.status, answer.body) == (200, b"half")
    assert answer.error == "the answer ended 95 bytes before its announced length"


def test_a_chunked_answer_that_is_cut_is_told_with_what_came() -> None:
    with target(200, (("transfer-encoding", "chunked"),), b"5\r\nhello\r\nff\r\ncut") as server:
        answer = send(exchange(url=url(server)), "k1", 5)

    assert (answer.status, answer.body) == (200, b"hellocut")
    assert "IncompleteRead" in (answer.error or "")


def test_a_stream_that_never_ends_stops_at_the_time_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()
        thread = threading.Thread(target=trickle, args=(listener, stop))
        thread.start()
        one = exchange(url=f"http://127.0.0.1:{listener.getsockname()[1]}/")
        answer = send(one, "k", 0.3)
        stop.set()
        thread.join()

    assert answer.status == 200
    assert answer.error
    assert answer.body.startswith(b"data: 1\n\n")


def trickle(listener: socket.socket, stop: threading.Event) -> None:
    client, _ = listener.accept()
    with client:
        client.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        try:
            while not stop.wait(0.02):
                client.sendall(b"data: 1\n\n")
        except OSError:
            return


@pytest.mark.parametrize(
    ("old", "new", "differences"),
    [
        ((200, JSON, b'{"a":1}'), (201, JSON, b'{"a":2}'), []),
        ((200, JSON, b'{"a":1}'), (400, JSON, b'{"a":1}'), ["status: was 2xx, is now 4xx"]),
        ((200, JSON, b'{"a":1}'), (200, JSON, b'{"a":1,"b":2}'), ["keys: was a, is now a b"]),
        ((500, (), b"oops"), (500, (), b"other"), []),
        ((500, (), b"oops"), (500, (), b""), ["body: was other body, is now no body"]),
        ((200, SSE, b'data: {"id":1}\n\n'), (200, SSE, b'data: {"id":2}\n\ndata: {}\n\n'), []),
        (
            (200, SSE, b'data: {"id":1}\n\n'),
            (200, SSE, b'data:{"id":1}\r\n\r\ndata: [DONE]\n\n'),
            ["[DONE]: was False, is now True"],
        ),
        ((None, (), b""), (None, (), b""), []),
    ],
)
def test_shapes_are_compared(
    old: tuple[int | None, tuple[tuple[str, str], ...], bytes],
    new: tuple[int | None, tuple[tuple[str, str], ...], bytes],
    differences: list[str],
) -> None:
    was, now = (shape(Answer(status, headers, body, 0.1)) for status, headers, body in (old, new))

    assert differences == compared(was, now)


def test_a_requirement_is_replayed_by_the_last_exchange_of_its_evidence() -> None:
    one = report(
        row("A", "fail", evidence=("x1", "x2", "x9")), row("B"), exchanges=(exchange(), exchange("x2", check="other"))
    )

    assert chosen(one, "A").id == "x2"
    assert chosen(one, "x1").id == "x1"
    assert chosen(one, "other").id == "x2"
    with pytest.raises(ReportError, match="'B' has no recorded exchange"):
        chosen(one, "B")
    with pytest.raises(ReportError, match="'C' is no requirement, check or exchange"):
        chosen(one, "C")


def saved(tmp_path: Path, server: Target, verdict: str = "fail", body: bytes = b'{"id":1}') -> str:
    recorded = exchange(url=url(server), body=body)
    return str(write(report(row("A", verdict, evidence=("x1",)), exchanges=(recorded,)), tmp_path))


def test_the_command_says_that_it_still_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_KEY", "secret-key-123")
    with target(body=b'{"id":2, "echo": "secret-key-123"}') as server:
        path = saved(tmp_path, server, body=b'{"id":1, "echo": "***"}')
        code = main(["replay", path, "A", "--key-env", "MY_KEY"])
    out = capsys.readouterr().out

    assert code == 1
    assert dict(server.seen[0][2])["Authorization"] == "Bearer secret-key-123"
    assert "secret-key-123" not in out
    assert "recorded  200 application/json, 23 bytes" in out
    assert "now       200 application/json" in out
    assert "same: the answer has the recorded shape, so the failure most likely stands" in out


def test_the_command_says_that_the_answer_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHAT_API_KEY", "secret-key-123")
    with target(400, JSON, b'{"error":{}}') as server:
        assert main(["replay", saved(tmp_path, server), "A"]) == 0
    out = capsys.readouterr().out

    assert "status: was 2xx, is now 4xx" in out
    assert "keys: was id, is now error" in out


def test_a_row_that_passed_and_answers_as_before_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_API_KEY", "secret-key-123")
    with target() as server:
        assert main(["replay", saved(tmp_path, server, "pass"), "A"]) == 0


def test_a_target_that_is_gone_is_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHAT_API_KEY", "secret-key-123")
    with target() as server:
        path = saved(tmp_path, server)

    assert main(["replay", path, "A"]) == 2
    assert "error: no answer came: ConnectionRefusedError" in capsys.readouterr().err


def test_a_load_report_has_nothing_to_replay(tmp_path: Path) -> None:
    assert main(["replay", str(write(load_report(), tmp_path)), "x1"]) == 2


def test_of_many_lines_the_first_and_the_last_are_shown() -> None:
    assert _excerpt("a\n\nb\n") == ["a", "b"]
    assert _excerpt("\n\n".join(map(str, range(20)))) == [
        "0",
        "1",
        "2",
        "3",
        "[... 12 more lines ...]",
        "16",
        "17",
        "18",
        "19",
    ]
