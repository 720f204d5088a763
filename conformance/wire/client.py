"""The recording client: sends bytes, returns an `Exchange`. It never raises on a status or a broken connection.

    ClientError
        BudgetSpent     the cap on requests was reached before this one (ours to report: the verdict is not-run)

Redirects are followed only within the same origin and only by 307 and 308, so a key never reaches another host.
Proxies from the environment are ignored: what is measured is the target. Bodies are bounded (`LIMIT` and below), as are the
whole exchange's seconds; both are reported as the exchange's `error`. A connection that was kept open and turns out to be
closed before a byte of an answer comes is replaced and the request sent again, as browsers and SDKs do (RFC 9112 9.3.1):
servers may close idle connections at any time, and that says nothing of the request.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
import zlib
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

from conformance.wire.exchange import HTTP, Exchange, Frame, Request

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

__all__ = ["Budget", "BudgetSpent", "Client", "ClientError", "Timeouts", "trust"]

LIMIT = 16 * 1024 * 1024  # our requests bound their answers: a correct one is a hundredth of this
LINES = 200_000  # the same: a stream of as many tokens as we ever ask for, a dozen lines each, has a fraction of this
FRAMES = 200_000  # the same: each may cost the reader a tenth of a millisecond
HOPS = 5
SAME_METHOD = (307, 308)
VERSIONS = ("HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/3")
DEADLINE = threading.local()  # `at`: when the exchange of this thread must be over


class ClientError(Exception):
    """The client itself could not go on."""


class BudgetSpent(ClientError):
    """The cap on requests is spent."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect, between two reads, and for a whole exchange."""

    connect: float = 10.0
    read: float = 60.0
    total: float = 180.0


class Budget:
    """A cap on requests, shared by all processes that name the same file: each request appends one byte to it."""

    def __init__(self, cap: int | None = None, file: str | None = None) -> None:
        self.cap, self.taken = cap, 0
        self._lock = threading.Lock()
        self._file = Path(file).open("ab", buffering=0) if file else None  # noqa: SIM115 - closed with the client

    def take(self) -> None:
        """Take one request. Raises BudgetSpent."""
        with self._lock:
            self.taken += 1
            spent = self.taken
            if self._file is not None:
                self._file.write(b".")
                spent = os.fstat(self._file.fileno()).st_size
        if self.cap is not None and spent > self.cap:
            raise BudgetSpent(f"the cap of {self.cap} requests (--max-requests) is spent")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


@dataclass
class Client:
    """Sends requests to one target. Safe to use from several threads. `observe` sees every finished exchange."""

    timeouts: Timeouts = field(default_factory=Timeouts)
    prefix: str = "x"
    budget: Budget = field(default_factory=Budget)
    observe: Callable[[Exchange], None] = lambda _: None

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=16)
        # The transport alone: a whole client would add headers, keep cookies and stumble over bad redirects. Of the
        # environment it reads SSL_CERT_FILE and SSL_CERT_DIR, and no proxies.
        self._http = httpx.HTTPTransport(limits=limits, verify=trust())
        self._http._pool._network_backend = _Punctual()  # noqa: SLF001 - httpx offers no way to bound all reads together

    @cached_property
    def forbidden(self) -> set[str]:
        """Ids of answers to requests that the document forbids: what those are like, it does not say."""
        return set()

    def pause(self, seconds: float) -> None:
        """Let time pass before the next request."""
        time.sleep(seconds)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()
        self.budget.close()

    def send(
        self,
        request: Request,
        *,
        stop_after: int | None = None,
        total: float | None = None,
        pieces: Iterable[bytes] | None = None,
        undefined: bool = False,
    ) -> Exchange:
        """Send it and read everything, or hang up after `stop_after` frames. `pieces` sends the body chunked.

        `undefined` notes on the exchange that no document says what the answer to this request is like.
        """
        self.budget.take()
        number = f"{self.prefix}{next(self._numbers)}"
        limit = total or self.timeouts.total
        exchange = _Attempt(number, request, limit, self._http, self._timeout(limit), undefined).run(stop_after, pieces)
        self.observe(exchange)
        return exchange

    def _timeout(self, total: float) -> httpx.Timeout:
        return httpx.Timeout(min(self.timeouts.read, total), connect=min(self.timeouts.connect, total))


@cache
def trust() -> ssl.SSLContext:
    """The authorities that this process believes, read once: reading them takes longer than most exchanges."""
    return httpx.create_ssl_context()


class _Punctual(httpcore.SyncBackend):
    """Connections that give no byte after the deadline of their thread's exchange, however slowly heads trickle in."""

    def connect_tcp(self, *where: Any, **how: Any) -> httpcore.NetworkStream:  # noqa: ANN401 - as the library calls it
        """Connect as usual, and watch the clock."""
        return _Watched(super().connect_tcp(*where, **how))


class _Watched(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = DEADLINE.at - time.perf_counter()
        if left <= 0:
            raise httpcore.ReadTimeout("the time for the whole exchange is over")
        return self._stream.read(max_bytes, left if timeout is None else min(timeout, left))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, *how: Any, **more: Any) -> httpcore.NetworkStream:  # noqa: ANN401 - as the library calls it
        return _Watched(self._stream.start_tls(*how, **more))

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - whatever the library keeps
        return self._stream.get_extra_info(info)


@dataclass
class _Attempt:
    """One exchange under way."""

    number: str
    request: Request
    total: float
    http: httpx.HTTPTransport
    timeout: httpx.Timeout
    undefined: bool = False
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    frames: list[Frame] = field(default_factory=list)
    error: str | None = None
    aborted: bool = False
    version: str = HTTP

    def run(self, stop_after: int | None, pieces: Iterable[bytes] | None) -> Exchange:
        self.started, self.zero = time.time(), time.perf_counter()
        DEADLINE.at = self.zero + self.total
        try:
            self._follow(self.request.url, stop_after, pieces)
        except httpx.TransportError as error:
            late = isinstance(error, httpx.TimeoutException) and time.perf_counter() >= DEADLINE.at
            self.error = f"timeout: the answer had not ended after {self.total:g} s" if late else _blame(error)
        except (httpx.InvalidURL, httpx.DecodingError, zlib.error, ValueError) as error:
            self.error = f"protocol: {error}"
        return Exchange(
            id=self.number,
            request=self.request,
            started=self.started,
            seconds=time.perf_counter() - self.zero,
            status=self.status,
            headers=self.headers,
            frames=tuple(self.frames),
            error=self.error,
            aborted=self.aborted,
            undefined=self.undefined,
            version=self.version,
        )

    def _follow(self, url: str, stop_after: int | None, pieces: Iterable[bytes] | None) -> None:
        for _ in range(HOPS):
            target = self._once(url, stop_after, pieces)
            if target is None:
                return
            url = target
            self.frames.clear()
        self.error = f"protocol: more than {HOPS} redirects"

    def _once(self, url: str, stop_after: int | None, pieces: Iterable[bytes] | None) -> str | None:
        """Send to this URL; the URL to go on to, when the answer is a redirect within the origin."""
        content = pieces if pieces is not None else self.request.body
        message = httpx.Request(
            self.request.method,
            url,
            headers=list(self.request.headers),
            content=content or None,
            extensions={"timeout": self.timeout.as_dict()},
        )
        response = self._response(message, again=pieces is None)
        try:
            self.status = response.status_code
            self.headers = tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in response.headers.raw)
            version = response.extensions.get("http_version", b"").decode("latin-1")
            if version not in VERSIONS:
                self.error = f"protocol: an answer in {version}"
                return None
            self.version = version
            self._read(response, stop_after)
        finally:
            response.close()
        return self._next(message.url, response)

    def _response(self, message: httpx.Request, *, again: bool) -> httpx.Response:
        """The response; asked for `again` for as long as the pool gives out connections that the server has closed."""
        opened = False

        def trace(event: str, _: object) -> None:
            nonlocal opened
            opened = opened or event == "connection.connect_tcp.started"

        message.extensions["trace"] = trace
        while True:
            try:
                return self.http.handle_request(message)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                if opened or not again:
                    raise

    def _next(self, url: httpx.URL, response: httpx.Response) -> str | None:
        location = response.headers.get("location")
        if response.status_code not in SAME_METHOD or not location:
            return None
        try:
            target = url.join(location)
        except httpx.InvalidURL:
            return None
        same = (target.scheme, target.host, target.port) == (url.scheme, url.host, url.port)
        return str(target) if same else None

    def _read(self, response: httpx.Response, stop_after: int | None) -> None:
        size, lines, coding = 0, 0, _Coding(response.headers.get("content-encoding", ""))
        for raw in response.iter_raw():
            data = coding.undo(raw)
            now = time.perf_counter() - self.zero
            if not data:
                continue
            size += len(data)
            lines += data.count(b"\n") + data.count(b"\r")
            self.frames.append(Frame(now, data))
            excess = _excess(size, lines, len(self.frames))
            if excess:
                self.error = f"limit: the body {excess}"
                return
            if now > self.total:
                self.error = f"timeout: the answer had not ended after {self.total:g} s"
                return
            if stop_after is not None and len(self.frames) >= stop_after:
                self.aborted = True
                return
        self.error = coding.lack() if size else None


def _excess(size: int, lines: int, frames: int) -> str | None:
    """Which bound of a body is passed."""
    if size > LIMIT:
        return f"is longer than {LIMIT} bytes"
    if lines > LINES:
        return f"has more than {LINES} lines"
    return f"came in more than {FRAMES} pieces" if frames > FRAMES else None


class _Coding:
    """Undoes a content coding piecewise and bounded; the client asks for none, so this is rare."""

    def __init__(self, encoding: str) -> None:
        known = encoding.strip().lower() in ("gzip", "x-gzip", "deflate")
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 32) if known else None

    def undo(self, raw: bytes) -> bytes:
        """The bytes that these stand for; those of a coding that is not known are left as they are."""
        return raw if self._stream is None else self._stream.decompress(raw, LIMIT + 1)

    def lack(self) -> str | None:
        """What is wrong when the body is over and the coding is not."""
        return None if self._stream is None or self._stream.eof else "protocol: the compressed body ends early"


def _blame(error: httpx.TransportError) -> str:
    """The class of a broken exchange, then what the library says; never of a header that it would not send, which may hold a key."""
    if isinstance(error, httpx.LocalProtocolError):
        return "protocol: the request has a header that HTTP does not allow"
    kinds: tuple[tuple[type[Exception], str], ...] = (
        (httpx.ConnectTimeout, "timeout: no connection"),
        (httpx.TimeoutException, "timeout: nothing came"),
        (httpx.ConnectError, "connect"),
        (httpx.UnsupportedProtocol, "protocol"),
        (httpx.RemoteProtocolError, "closed"),
        (httpx.ReadError, "closed"),
        (httpx.WriteError, "closed"),
    )
    kind = next((name for cls, name in kinds if isinstance(error, cls)), "protocol")
    return f"{kind}: {error or type(error).__name__}"
