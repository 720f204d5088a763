"""What must hold of the wire whatever comes: no crash, the same reading for every cut, nothing unread, bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpcore
import httpx

from benchmarks.streams import make, plain
from conformance.reply import Reply, read
from conformance.wire.client import Client, Timeouts, trust
from conformance.wire.exchange import Exchange, Frame, Request
from conformance.wire.sse import Decoder

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

    from conformance.judge import Judge

__all__ = ["Broken", "decoder", "exchange", "looked", "oracles", "views", "wire"]

LIMITS = (16 * 1024 * 1024, 16 * 1024 * 1024, 512, 40, 8)
STREAM = (("content-type", "text/event-stream"),)
ASKED = Request("POST", "http://127.0.0.1/v1/chat/completions", (), b'{"messages":[],"stream":true}')


class Broken(AssertionError):
    """An invariant does not hold."""


def decoder(rng: random.Random, stream: bytes) -> None:
    """The decoder comes to the plain reading, in one feed, in pieces and in single bytes, and holds no more than its limit."""
    limit = rng.choice(LIMITS)
    wanted = plain.read(stream, limit)
    _covers(wanted, len(stream))
    ways = [[stream], make.cuts(rng, stream)]
    if len(stream) <= 100 or rng.random() < 0.05:
        ways.append([stream[i : i + 1] for i in range(len(stream))])
    for pieces in ways:
        found = _fed(pieces, limit)
        if found != (
            wanted.events,
            wanted.oddities,
            wanted.comments,
            wanted.dataless,
            wanted.overflow,
            wanted.unfinished,
        ):
            raise Broken(f"limit {limit}, pieces {[len(p) for p in pieces]}: {found} instead of {wanted}")


def _fed(pieces: Iterable[bytes], limit: int) -> tuple[Any, ...]:
    one, events = Decoder(limit=limit), []
    for piece in pieces:
        events += one.feed(piece)
        held = len(one._buffer) + sum(map(len, one._data))  # noqa: SLF001 - what it holds is what is asked
        if held > limit + 2:
            raise Broken(f"{held} bytes held, with a limit of {limit}")
    events += one.close()
    plainly = [(e.type, e.data, e.id, e.start, e.end) for e in events]
    return plainly, one.oddities, one.comments, one.dataless, one.overflow, one.unfinished


def _covers(reading: plain.Reading, size: int) -> None:
    """Every byte is one part's, and every event is made of whole parts."""
    position = 0
    for _, start, end in reading.parts:
        if start != position:
            raise Broken(f"bytes {position} to {start} belong to nothing")
        position = end
    borders = {start for _, start, _ in reading.parts} | {size}
    if position != size or any(not {start, end} <= borders for *_, start, end in reading.events):
        raise Broken(f"parts end at {position} of {size}, or events lie across them")


def exchange(pieces: Sequence[bytes], headers: tuple[tuple[str, str], ...] = STREAM) -> Exchange:
    """An exchange whose answer came in these pieces."""
    frames = tuple(Frame(float(number), piece) for number, piece in enumerate(pieces) if piece)
    return Exchange("x1", ASKED, 0.0, 1.0, 200, headers, frames)


def views(rng: random.Random, stream: bytes) -> None:
    """The answer that clients would see is the same for every cut, as a stream and as one document, and so is its record."""
    for headers in (STREAM, (("content-type", "application/json"),)):
        whole, cut = (exchange(pieces, headers) for pieces in ([stream], make.cuts(rng, stream)))
        one, other = _seen(read(whole)), _seen(read(cut))
        if one != other:
            raise Broken(f"{one} or {other}, as it is cut")
        for each in (whole, cut):
            each.record("any")


def _seen(reply: Reply) -> str:
    """All that a reply shows, but when it came."""
    chunks = [(chunk.value, chunk.departures, chunk.choices) for chunk in reply.chunks]
    distinct = [number for number, _ in reply.distinct]
    shown = reply.choices, reply.text, reply.finish, reply.usages, reply.count("total_tokens"), reply.id, reply.done
    return repr((chunks, distinct, shown, reply.body, reply.exchange.json, reply.exchange.decoded[0].unfinished))


def oracles(judge: Judge, stream: bytes) -> None:
    """No oracle fails itself over it, as a stream or as one document."""
    looked(judge, exchange([stream]))
    looked(judge, exchange([stream], (("content-type", "application/json"),)))


def looked(judge: Judge, answer: Exchange) -> None:
    """Let every oracle look at an answer."""
    judge.broken.clear()
    judge._look(answer)  # noqa: SLF001 - as a run lets its oracles look
    for name, outcome in judge.broken.items():
        raise Broken(f"{name}: {outcome.reason}")


class _Pipe(httpcore.NetworkStream):
    """A connection on which these pieces come, and then its end."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - as the library calls it
        if not self._pieces:
            return b""
        piece, self._pieces[0] = self._pieces[0][:max_bytes], self._pieces[0][max_bytes:]
        if not self._pieces[0]:
            self._pieces.pop(0)
        return piece

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Take the request."""

    def close(self) -> None:
        """End it."""
        self._pieces.clear()

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - as the library calls it
        """Nothing is known."""
        return True if info == "is_readable" else None


class _Network(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def connect_tcp(self, *_: Any, **__: Any) -> httpcore.NetworkStream:  # noqa: ANN401 - as the library calls it
        return _Pipe(self.pieces)


def wire(rng: random.Random, body: bytes) -> None:
    """The client ends with an exchange, never an exception, and it is the same for every cut of the answer's bytes."""
    answer = make.answer(rng, body)
    one, other = (_received(pieces) for pieces in ([answer], make.cuts(rng, answer)))
    if one != other:
        raise Broken(f"{one} or {other}, as it is cut")


def _received(pieces: list[bytes]) -> tuple[Any, ...]:
    client = _client()
    network = _Network()
    network.pieces = pieces
    pool = httpx.HTTPTransport(verify=trust())
    pool._pool._network_backend = network  # noqa: SLF001 - the network is what is made up
    client._http = pool  # noqa: SLF001
    found = client.send(ASKED)
    pool.close()
    kind = (found.error or "").partition(":")[0]
    return found.status, found.headers, found.body, kind, found.aborted


def _client() -> Client:
    if not KEPT:
        KEPT.append(Client(Timeouts(5.0, 5.0, 5.0)))
    return KEPT[0]


KEPT: list[Client] = []
