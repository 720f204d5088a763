"""A server whose latencies are known: `python -m loadtest.paced` writes each chunk at its own deadline.

One thread, epoll, no framework: it reads a request, then plays the writes of a behaviour at absolute times counted from the
request's last byte, and remembers how late each was. A run can ask for that at /stats, so a generator's error can be told
from the server's. Model "freeze" (or another behaviour's name) chooses the behaviour of one request.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import json
import selectors
import socket
import sys
from dataclasses import dataclass, field, replace
from functools import lru_cache
from time import monotonic_ns
from typing import TYPE_CHECKING

from loadtest.behaviour import BEHAVIOURS, CUT, PROMPT_TOKENS, Pace, Write
from loadtest.clock import Deadline
from loadtest.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Server", "main"]

MODELS = {"object": "list", "data": [{"id": "paced", "object": "model", "created": 1_763_700_000, "owned_by": "paced"}]}
LIMIT = 16 * 1024 * 1024


@dataclass(eq=False, slots=True)
class Peer:
    """One connection: bytes read so far, the writes still to play, and bytes the socket did not take."""

    sock: socket.socket
    data: bytearray = field(default_factory=bytearray)
    writes: Sequence[Write] = ()
    place: int = 0
    began: int = 0
    unsent: bytes = b""


class Server:
    """Serves until `stop`; `port` is known once it is made."""

    def __init__(
        self, port: int = 0, pace: Pace | None = None, behaviour: str = "plain", host: str = "127.0.0.1"
    ) -> None:
        self.pace = pace or Pace()
        self.behaviour = behaviour
        self.late = Histogram()
        self.arrivals: list[int] = []
        self.running = True
        self._due: list[tuple[int, int, Peer]] = []
        self._turn = 0
        self._selector = selectors.DefaultSelector()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=4096)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._timer = Deadline() if Deadline.available() else None
        if self._timer is not None:
            self._selector.register(self._timer.fileno(), selectors.EVENT_READ, self._timer)

    def serve(self) -> None:
        """Play until `running` is false (looked at twice a second)."""
        while self.running:
            for key, _ in self._selector.select(self._patience()):
                self._handle(key.data)
            self._play()
        self._close()

    def _patience(self) -> float:
        if not self._due:
            return 0.5
        if self._timer is not None:
            self._timer.arm(self._due[0][0])
            return 0.5
        return min(max((self._due[0][0] - monotonic_ns()) / 1e9, 0), 0.5)

    def _handle(self, what: object) -> None:
        if what is None:
            with contextlib.suppress(BlockingIOError):
                while True:
                    self._accept(self._listener.accept()[0])
        elif isinstance(what, Deadline):
            what.drain()
        elif isinstance(what, Peer):
            self._read(what)

    def _accept(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(sock, selectors.EVENT_READ, Peer(sock))

    def _read(self, peer: Peer) -> None:
        try:
            data = peer.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or len(peer.data) > LIMIT:
            self._drop(peer)
            return
        peer.data += data
        request = _request(peer.data)
        if request is not None:
            head, body, size = request
            del peer.data[:size]
            self._answer(peer, head, body)

    def _answer(self, peer: Peer, head: bytes, body: bytes) -> None:
        path = head.split(b" ", 2)[1].decode("latin-1")
        if not head.startswith(b"POST"):
            self._say(peer, self.stats() if path.endswith("/stats") else MODELS)
            return
        self.arrivals.append(monotonic_ns())
        try:
            asked = json.loads(body)
        except ValueError:
            asked = {}
        name = asked.get("model") if asked.get("model") in BEHAVIOURS else self.behaviour
        if asked.get("stream") is True:
            self._begin(peer, _script(name, self.pace))
        else:
            writes = _whole(self.pace)
            self._begin(peer, writes)

    def _begin(self, peer: Peer, writes: Sequence[Write]) -> None:
        peer.writes, peer.place, peer.began = writes, 0, self.arrivals[-1]
        self._schedule(peer)

    def _schedule(self, peer: Peer) -> None:
        self._turn += 1
        due = peer.began + round(peer.writes[peer.place][0] * 1e9)
        heapq.heappush(self._due, (due, self._turn, peer))

    def _play(self) -> None:
        while self._due and self._due[0][0] <= monotonic_ns():
            due, _, peer = heapq.heappop(self._due)
            if peer.sock.fileno() < 0:
                continue
            data = peer.writes[peer.place][1]
            peer.place += 1
            self.late.record((monotonic_ns() - due) // 1000)
            if data == CUT:
                self._drop(peer)
                continue
            self._send(peer, data)
            if peer.place < len(peer.writes):
                self._schedule(peer)

    def _send(self, peer: Peer, data: bytes) -> None:
        peer.unsent += data
        try:
            peer.unsent = peer.unsent[peer.sock.send(peer.unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._drop(peer)

    def _say(self, peer: Peer, value: object) -> None:
        self._send(peer, _json(value))

    def _drop(self, peer: Peer) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(peer.sock)
        peer.sock.close()

    def stats(self) -> dict[str, object]:
        """Requests, how late writes were (ms), and when requests came (ns, monotonic)."""
        p99, most = self.late.quantile(0.99), self.late.max
        return {
            "requests": len(self.arrivals),
            "late_p99_ms": None if p99 is None else p99 / 1000,
            "late_max_ms": None if most is None else most / 1000,
            "arrivals": self.arrivals,
        }

    def _close(self) -> None:
        for key in list(self._selector.get_map().values()):
            if isinstance(key.data, Peer):
                key.data.sock.close()
        self._listener.close()
        self._selector.close()
        if self._timer is not None:
            self._timer.close()


def _request(data: bytearray) -> tuple[bytes, bytes, int] | None:
    """(head, body, bytes taken) of the first whole request; None until it is there."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(data[:end])
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    size = int(fields.get(b"content-length", b"0"))
    total = end + 4 + size
    return (head, bytes(data[end + 4 : total]), total) if len(data) >= total else None


@lru_cache(maxsize=64)
def _script(name: str, pace: Pace) -> tuple[Write, ...]:
    return tuple(BEHAVIOURS[name].writes(pace))


@lru_cache(maxsize=8)
def _whole(pace: Pace) -> tuple[Write, ...]:
    """The same answer not streamed: all at once, when the stream would have ended."""
    usage = {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": pace.chunks,
        "total_tokens": PROMPT_TOKENS + pace.chunks,
    }
    message = {"role": "assistant", "content": "tok " * pace.chunks}
    choice = {"index": 0, "message": message, "finish_reason": "length"}
    answer = {
        "id": "chatcmpl-paced",
        "object": "chat.completion",
        "created": 1,
        "model": "paced",
        "choices": [choice],
        "usage": usage,
    }
    return ((pace.ttft + (pace.chunks - 1) * pace.itl, _json(answer)),)


def _json(value: object) -> bytes:
    body = json.dumps(value).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print `ready URL`, then serve until the process is ended."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.paced", description="a chat server whose latencies are known"
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ttft-ms", type=float, default=50.0)
    parser.add_argument("--itl-ms", type=float, default=10.0)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--behaviour", choices=sorted(BEHAVIOURS), default="plain")
    asked = parser.parse_args(arguments)
    pace = replace(Pace(), ttft=asked.ttft_ms / 1000, itl=asked.itl_ms / 1000, chunks=asked.tokens)
    server = Server(asked.port, pace, asked.behaviour)
    sys.stdout.write(f"ready http://127.0.0.1:{server.port}\n")
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        server.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
