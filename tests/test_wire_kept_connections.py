"""A connection that a server promised to keep and closed all the same costs a new connection, not a verdict."""

from __future__ import annotations

import socketserver
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from conformance.wire.client import Client, Timeouts
from conformance.wire.exchange import Request

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"
BODY = b"{}"


@contextmanager
def serving(answers: int) -> Iterator[tuple[str, list[int]]]:
    """(URL, how many requests each connection brought) of a server that hangs up in answer to one more request than that."""
    seen: list[int] = []

    class Conversation(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            seen.append(0)
            number = len(seen) - 1
            while self._read():
                seen[number] += 1
                if seen[number] > answers:
                    return
                self.wfile.write(ANSWER)

        def _read(self) -> bool:
            while line := self.rfile.readline():
                if line == b"\r\n":
                    return self.rfile.read(len(BODY)) == BODY
            return False

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Conversation) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
        server.shutdown()
        thread.join()


def post(url: str) -> Request:
    return Request("POST", f"{url}/v1", (("content-type", "application/json"),), BODY, None)


def test_a_kept_connection_that_is_closed_instead_of_answering_is_replaced() -> None:
    client = Client(Timeouts(connect=5.0, read=10.0, total=20.0))
    with serving(answers=1) as (url, seen):
        exchanges = [client.send(post(url)) for _ in range(3)]
        client.close()

    assert [(exchange.status, exchange.error) for exchange in exchanges] == [(200, None)] * 3
    assert seen == [2, 2, 1]


def test_a_new_connection_that_is_closed_instead_of_answering_is_reported_after_one_request() -> None:
    client = Client(Timeouts(connect=5.0, read=10.0, total=20.0))
    with serving(answers=0) as (url, seen):
        exchange = client.send(post(url))
        client.close()

    assert exchange.status is None
    assert (exchange.error or "").startswith("closed: ")
    assert seen == [1]
