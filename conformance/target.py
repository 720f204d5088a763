"""Where the requests go: resolves the user's URL, starts the embedded server, and makes sure that somebody answers.

    TargetError         nothing can be judged: unreachable, silent, no such endpoint, key missing or refused, no model

Its sentences are shown to the user as they stand.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from conformance.reply import dig
from conformance.wire.client import Client, Timeouts
from conformance.wire.exchange import Exchange, Request

if TYPE_CHECKING:
    from dialects import Dialect

__all__ = ["Embedded", "Target", "TargetError", "accepts_connections", "resolve"]

USER_AGENT = "chat-conformance"
READY = "ready "
START_SECONDS = 60
PROBED_TOKENS = 16
PROMPT = "Write a long story about a lighthouse keeper and the sea."  # long enough to show whether a limit is kept
PACE_MS = "0.5"  # slow enough that a stream of a second, which timing needs, is a few thousand tokens
NO_ENDPOINT = (404, 405, 410, 501)


class TargetError(Exception):
    """The target cannot be judged; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """The base URL under which the documented paths lie, the model to ask for, and the key in use."""

    url: str
    model: str
    key: str | None = None
    key_env: str = "CHAT_API_KEY"
    limit: str | None = None

    def at(self, path: str) -> str:
        """The URL of a documented path; a base that already ends in the path's first segments means the same."""
        parts = urlsplit(self.url)
        base = [s for s in parts.path.split("/") if s]
        tail = [s for s in path.split("/") if s]
        overlap = next((n for n in range(len(tail), 0, -1) if base[-n:] == tail[:n]), 0)
        joined = "/" + "/".join(base[: len(base) - overlap] + tail)
        return urlunsplit((parts.scheme, parts.netloc, joined, "", ""))

    def request(self, path: str, body: bytes, *, method: str = "POST") -> Request:
        """A request as the document prints it: JSON, with the key."""
        headers = [("user-agent", USER_AGENT), ("accept-encoding", "identity")]
        if body or method == "POST":
            headers.append(("content-type", "application/json"))
        if self.key:
            headers.append(("authorization", f"Bearer {self.key}"))
        return Request(method, self.at(path), tuple(headers), body, self.key, self.key_env)


def accepts_connections(url: str, patience: float) -> bool:
    """Whether somebody listens there, or does so again within that many seconds."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    end = time.monotonic() + patience
    while True:
        with suppress(OSError), socket.create_connection((parts.hostname or "", port), timeout=2):
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.25)


def base_url(text: str) -> str:
    """The target's URL without a trailing slash. Raises TargetError for what is no http(s) URL."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # brackets that are no IPv6 address, a port that is no number up to 65535
        usable = False
    if "@" in text.partition("://")[2].partition("/")[0]:
        raise TargetError("--target holds a user name or password: give keys by the environment only (see --key-env)")
    if not usable:
        raise TargetError(f"--target {text!r} is no http:// or https:// URL with a host (or the word 'embedded')")
    if parts.query or parts.fragment:
        raise TargetError("--target has a query or a fragment, which would not be sent: give the URL up to the ? or #")
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))


def resolve(url: str, dialect: Dialect, model: str | None, key: str | None, key_env: str, timeouts: Timeouts) -> Target:
    """The target, once it has shown that it answers. Raises TargetError."""
    if key and not (key.isascii() and key.isprintable()):
        raise TargetError(
            f"the key in {key_env} holds a line end or a character outside ASCII, which no header can carry"
        )
    first = Timeouts(min(timeouts.connect, 10.0), timeouts.read, min(timeouts.total, timeouts.read))
    client = Client(first, prefix="preflight")
    try:
        target = Target(url, model or "", key, key_env)
        if not model:
            target = Target(url, _first_model(client, target, dialect), key, key_env)
        return _probed(client, target, dialect)
    finally:
        client.close()


def _first_model(client: Client, target: Target, dialect: Dialect) -> str:
    if dialect.paths.models is None:
        raise TargetError(f"dialect {dialect.id} documents no list of models: give one with --model NAME")
    exchange = client.send(target.request(dialect.paths.models, b"", method="GET"))
    _reached(exchange, target)
    model = dig(exchange.json, "data", 0, "id")
    if isinstance(model, str) and model:
        return model
    raise TargetError(f"{exchange.request.url} lists no model ({_brief(exchange)}): give one with --model NAME")


def _probed(client: Client, target: Target, dialect: Dialect) -> Target:
    """The target with the token limit that it keeps to: one that ignores the first documented field would answer for hours.

    That it ignores the field is for the rows of that field to say, which use it all the same.
    """
    first, *others = dialect.request.token_limits or (None,)
    exchange = _probe(client, target, dialect, first)
    for name in others if _unbounded(exchange) else ():
        if not _unbounded(_probe(client, target, dialect, name)):
            return replace(target, limit=name)
    _reached(exchange, target)
    return target


def _unbounded(exchange: Exchange) -> bool:
    """Whether an answer was far longer than asked for, or had no end."""
    count = dig(exchange.json, "usage", "completion_tokens")
    if exchange.status is None:
        return (exchange.error or "").startswith("timeout")
    return isinstance(count, int) and count > 2 * PROBED_TOKENS


def _probe(client: Client, target: Target, dialect: Dialect, limit: str | None) -> Exchange:
    """One harmless request to the chat path: an endpoint that is not there can't be judged."""
    body: dict[str, object] = {"model": target.model, "messages": [{"role": "user", "content": PROMPT}]}
    if limit:
        body[limit] = PROBED_TOKENS
    exchange = client.send(target.request(dialect.paths.chat[0], json.dumps(body).encode()))
    if not _unbounded(exchange):
        _reached(exchange, target)
    page = exchange.ok and exchange.media_type == "text/html"
    if (exchange.status in NO_ENDPOINT or page) and not isinstance(exchange.json, dict):
        raise TargetError(
            f"no chat-completions endpoint at {exchange.request.url}: POST is answered {_brief(exchange)}; is the base URL right?"
        )
    return exchange


def _reached(exchange: Exchange, target: Target) -> None:
    """Somebody answered, here, and let us in."""
    if exchange.status is None:
        hint = (
            "; name the file of its authority in SSL_CERT_FILE"
            if "CERTIFICATE_VERIFY" in (exchange.error or "")
            else ""
        )
        raise TargetError(f"no answer from {target.url}: {_plain(exchange.error or 'nothing', target.key)}{hint}")
    location = exchange.header("location")
    if 300 <= exchange.status < 400 and location:  # noqa: PLR2004 - redirects
        raise TargetError(
            f"{exchange.request.method} {exchange.request.url} is redirected ({exchange.status}) to "
            f"{_plain(location, target.key)}: not followed, so that the key stays here; give the final URL"
        )
    _let_in(exchange, target)


def _let_in(exchange: Exchange, target: Target) -> None:
    if exchange.status in (401, 403):
        if target.key:
            raise TargetError(f"{exchange.request.url} refuses the key in {target.key_env}: {_brief(exchange)}")
        raise TargetError(
            f"{exchange.request.url} wants a key: set the environment variable {target.key_env} ({_brief(exchange)})"
        )


def _brief(exchange: Exchange) -> str:
    text = _plain(exchange.text[:1000], exchange.request.key)
    return f"{exchange.status} {exchange.media_type or 'without content type'}: {text}".rstrip(": ")


def _plain(text: str, key: str | None) -> str:
    """What a server said, on one line, short, without the key and without control characters."""
    line = " ".join((text.replace(key, "***") if key else text).split())
    return "".join(c if c.isprintable() else "?" for c in line)[:120]


class Embedded:
    """The reference server as a child process on a free port; `stop` ends exactly that process."""

    def __init__(self, dialect: Dialect) -> None:
        command = [sys.executable, "-m", "reference_server", "--port", "0", "--itl-ms", PACE_MS, *_served(dialect)]
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            command, stdout=subprocess.PIPE, stderr=self._stderr, text=True
        )
        watchdog = threading.Timer(START_SECONDS, self._process.kill)
        watchdog.start()
        try:
            self.url = self._ready()
        finally:
            watchdog.cancel()

    def _ready(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 - asked for as a pipe
        for line in self._process.stdout:
            if line.startswith(READY):
                return line.removeprefix(READY).strip()
        self._process.wait()
        self._stderr.seek(0)
        detail = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        raise TargetError(f"the embedded reference server did not start: {detail[-1] if detail else 'no word from it'}")

    def stop(self) -> None:
        """Ask it to end, then make it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._stderr.close()


def _served(dialect: Dialect) -> list[str]:
    """The embedded server serves the dialect at its root; a vendor's own folder is given by path."""
    from dialects import known

    return ["--dialect", dialect.id if dialect.id in known() else str(dialect.folder)]
