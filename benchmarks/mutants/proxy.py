"""A proxy that stands in front of a correct server and spoils its answers: the mutant that the suite has to see."""

from __future__ import annotations

import socket
import socketserver
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from benchmarks.mutants.message import Answer, Question, read_answer, read_question

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Proxy", "kind"]

CLIENT_ERROR, SUCCESS = 400, 200
PATIENCE = 60


def kind(question: Question, answer: Answer) -> str:
    """What an answer is: models, error, stream, body, or other."""
    if answer.status >= CLIENT_ERROR:
        return "error"
    if question.method == "GET":
        return "models" if question.path.partition("?")[0].endswith("/models") else "other"
    return "stream" if answer.media_type == "text/event-stream" else "body"


class Proxy(socketserver.ThreadingTCPServer):
    """Listens on a free port of 127.0.0.1. `spoil` sees every answer; `applied` counts those that it changed."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        parts = urlsplit(target)
        self.upstream = (parts.hostname or "", parts.port or 80)
        self.base = f"http://127.0.0.1:{self.server_address[1]}"
        self.spoil: Callable[[Question, Answer], Answer] = lambda _, answer: answer
        self.applied = 0
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()

    def answer(self, question: Question, upstream: socket.socket) -> Answer:
        """Ask the server and spoil what it says."""
        upstream.sendall(question.raw)
        sound = read_answer(upstream, question)
        spoiled = self.spoil(question, sound)
        self.applied += spoiled is not sound and spoiled.encode() != sound.encode()
        return spoiled

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is no news."""


class _Connection(socketserver.BaseRequestHandler):
    server: Proxy

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with socket.create_connection(self.server.upstream, PATIENCE) as upstream:
            upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                answer = self.server.answer(read_question(self.request), upstream)
                self.request.sendall(answer.encode())
                if answer.cut is not None or answer.close or answer.length is not None:
                    return
