"""A server on 127.0.0.1 that answers exactly the bytes a test tells it to, and keeps what it was sent."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Handler = Callable[["Received"], bytes | Iterable[bytes]]


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


@dataclass
class Loopback:
    """Answers each request by `handler`, piece by piece, and closes the connection. A context manager."""

    handler: Handler
    received: list[Received] = field(default_factory=list)

    def __enter__(self) -> Self:
        owner = self
        self.closing = threading.Event()

        class Conversation(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True

            def handle(self) -> None:
                try:
                    request = _read(self.rfile)
                    if request is None:
                        return
                    owner.received.append(request)
                    answer = owner.handler(request)
                    for piece in [answer] if isinstance(answer, bytes) else answer:
                        self.wfile.write(piece)
                except ConnectionError:
                    pass  # the client hung up, which several tests want

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            request_queue_size = 64

        self._server = Server(("127.0.0.1", 0), Conversation)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def silence(self, _: Received) -> Iterable[bytes]:
        """A handler: never answers, until the test is over."""
        self.closing.wait(30)
        return ()


def response(body: bytes | str = b"", status: int = 200, **headers: str) -> bytes:
    """A whole HTTP/1.1 answer; header names are written with underscores, `content_length` is given or true."""
    data = body.encode() if isinstance(body, str) else body
    fields = {"content_type": "text/plain", "content_length": str(len(data)), "connection": "close", **headers}
    head = [
        f"HTTP/1.1 {status} Status",
        *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items() if value),
    ]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + data


def as_json(value: Any, status: int = 200, **headers: str) -> bytes:  # noqa: ANN401 - any JSON value
    return response(json.dumps(value), status, content_type="application/json", **headers)


def closed_port() -> int:
    """A port on which nobody listens: taken and given back."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _read(stream: Any) -> Received | None:  # noqa: ANN401 - a socket's file
    line = stream.readline().decode("latin-1").split()
    if len(line) != 3:
        return None
    headers = []
    while (raw := stream.readline().rstrip(b"\r\n")) != b"":
        name, _, value = raw.decode("latin-1").partition(":")
        headers.append((name, value.strip()))
    sent = {name.lower(): value for name, value in headers}
    if sent.get("transfer-encoding") == "chunked":
        body = b"".join(_chunks(stream))
    else:
        body = stream.read(int(sent.get("content-length", 0)))
    return Received(line[0], line[1], tuple(headers), body)


def _chunks(stream: Any) -> Iterable[bytes]:  # noqa: ANN401 - a socket's file
    while size := int(stream.readline(), 16):
        yield stream.read(size)
        stream.readline()
    stream.readline()
