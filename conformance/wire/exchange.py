"""One exchange: what was sent, what came back, when each piece came. A plain record; it judges nothing."""

from __future__ import annotations

import base64
import json
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote

from conformance.wire import strict_json
from conformance.wire.sse import Decoder, Event

__all__ = ["HTTP", "Exchange", "Frame", "Request", "Timed"]

SECRET_HEADERS = ("authorization", "x-api-key", "api-key", "proxy-authorization", "cookie")
KEPT_BODY = 64 * 1024
HTTP = "HTTP/1.1"
SHORTEST_SECRET = 6  # a shorter key is struck from headers only: as free text it is part of ordinary words
LONGEST_ARGUMENT = 100_000  # the system's limit is 128 KiB


@dataclass(frozen=True, slots=True)
class Request:
    """What was sent. `key` is the secret in use, kept apart so that it can be struck from every record.

    `key_env` is the environment variable that a shell takes it from, where that is not the target's; "" for a key that
    was made up, which is no secret and stands in the line as it is.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    key: str | None = None
    key_env: str | None = None

    def json(self) -> Any:  # noqa: ANN401 - any JSON value
        """The body as JSON, or None when it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


@dataclass(frozen=True, slots=True)
class Frame:
    """Bytes as they were read, `t` seconds after the request was sent."""

    t: float
    data: bytes


@dataclass(frozen=True, slots=True)
class Timed:
    """An event and when its last byte was read, in seconds after the request was sent."""

    t: float
    event: Event


@dataclass(frozen=True)
class Exchange:
    """A request and its outcome. `status` is None when no response head came; `error` says why the exchange broke off.

    `error` is one of: None, "connect: ...", "timeout: ...", "closed: ...", "protocol: ...", "limit: ...".
    """

    id: str
    request: Request
    started: float
    seconds: float
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    frames: tuple[Frame, ...] = ()
    error: str | None = None
    aborted: bool = False
    undefined: bool = False
    version: str = HTTP

    def header(self, name: str) -> str | None:
        """The value of a response header, whatever its case; several are joined with commas."""
        values = [v for k, v in self.headers if k.lower() == name.lower()]
        return ", ".join(values) if values else None

    @cached_property
    def media_type(self) -> str:
        """The response's media type without parameters, in lower case."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    @cached_property
    def body(self) -> bytes:
        """All bytes of the response body."""
        return b"".join(frame.data for frame in self.frames)

    @property
    def text(self) -> str:
        """The body decoded leniently, for messages."""
        return self.body.decode("utf-8", "replace")

    @cached_property
    def json(self) -> Any:  # noqa: ANN401 - any JSON value
        """The body's JSON value, or None when it holds none."""
        try:
            return strict_json.read(self.body)[0]
        except strict_json.NotJson:
            return None

    @property
    def streamed(self) -> bool:
        """Whether the answer is an event stream by its media type."""
        return self.media_type == "text/event-stream"

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - the class of success

    @cached_property
    def decoded(self) -> tuple[Decoder, tuple[Timed, ...]]:
        """The SSE decoder after the whole body, and each event with its time."""
        decoder = Decoder()
        events = [Timed(frame.t, event) for frame in self.frames for event in decoder.feed(frame.data)]
        end = self.frames[-1].t if self.frames else 0.0
        events += [Timed(end, event) for event in decoder.close()]
        return decoder, tuple(events)

    def curl(self, key_env: str = "CHAT_API_KEY") -> str:
        """A shell line that sends this request again, with the key taken from the environment."""
        key_env = key_env if self.request.key_env is None else self.request.key_env
        key = self.request.key if key_env else None
        method = "--head" if self.request.method == "HEAD" else f"-X {self.request.method}"
        parts = ["curl -sS -N -i -g", method, shlex.quote(_struck(self.request.url, key))]
        for name, value in self.request.headers:
            if name.lower() not in ("host", "content-length", "accept-encoding", "connection", "user-agent", "accept"):
                parts += ["-H", _curl_header(name, value, key, key_env)]
        if not any(name.lower() == "content-type" for name, _ in self.request.headers) and self.request.body:
            parts += ["-H", "'Content-Type:'"]
        return _with_body(" ".join(parts), _blanked(self.request.body, key))

    def record(self, check: str, key_env: str = "CHAT_API_KEY") -> dict[str, Any]:
        """The exchange as the report keeps it: secrets struck out, long bodies cut with a note."""
        key = self.request.key
        return {
            "id": self.id,
            "check": check,
            "method": self.request.method,
            "url": _struck(self.request.url, key),
            "request_headers": [[name, _masked(name, _struck(value, key))] for name, value in self.request.headers],
            **_kept("request_body", _blanked(self.request.body, key)),
            "status": self.status,
            "response_headers": [[name, _struck(value, key)] for name, value in self.headers],
            "frames": _frames(self.frames, _blanked(self.body, key)),
            "started": datetime.fromtimestamp(self.started, UTC).isoformat(timespec="milliseconds"),
            "seconds": round(self.seconds, 6),
            "error": _struck(self.error, key) if self.error else None,
            **({} if self.version == HTTP else {"http_version": self.version}),
            "curl": self.curl(key_env) if len(self.request.body) <= KEPT_BODY else "",
        }


def _curl_header(name: str, value: str, key: str | None, key_env: str) -> str:
    if not value:
        return shlex.quote(f"{name};")  # curl's way to send a header without a value
    if key and key in value and (len(key) >= SHORTEST_SECRET or name.lower() in SECRET_HEADERS):
        before, _, after = value.rpartition(key)
        known = (before if len(key) < SHORTEST_SECRET else before.replace(key, "\0")) + "\0" + after
        return f'"{name}: {_in_quotes(known)}"'.replace("\0", f"${{{key_env}}}")
    return shlex.quote(f"{name}: {value}")


def _in_quotes(text: str) -> str:
    """The text as it stands between double quotes in a shell."""
    for character in '\\"$`':
        text = text.replace(character, f"\\{character}")
    return text


def _with_body(command: str, body: bytes) -> str:
    """The command with the body as an argument, or through a pipe where an argument can't carry it."""
    if not body:
        return command
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text or text.startswith("@") or len(shlex.quote(text).encode()) > LONGEST_ARGUMENT:
        return f"echo {base64.b64encode(body).decode()} | base64 -d | {command} --data-binary @-"
    return f"{command} --data-binary {shlex.quote(text)}"


def _struck(text: str, key: str | None) -> str:
    """The text without the key, as it is or as a URL spells it."""
    if key is None or len(key) < SHORTEST_SECRET:
        return text
    return text.replace(key, "***").replace(quote(key, safe=""), "***")


def _blanked(data: bytes, key: str | None) -> bytes:
    """The bytes with stars in place of the key, as long as before so that every frame keeps its place."""
    if key is None or len(key) < SHORTEST_SECRET:
        return data
    for spelling in {key, quote(key, safe=""), json.dumps(key)[1:-1]}:
        secret = spelling.encode("utf-8", "surrogatepass")
        data = data.replace(secret, b"*" * len(secret))
    return data


def _masked(name: str, value: str) -> str:
    if name.lower() not in SECRET_HEADERS or not value:
        return value
    scheme, space, rest = value.partition(" ")
    return f"{scheme} ***" if space and rest else "***"


def _kept(name: str, data: bytes) -> dict[str, str]:
    cut = data[:KEPT_BODY]
    note = f" [{len(data)} bytes, cut]" if len(data) > KEPT_BODY else ""
    try:
        return {name: cut.decode("utf-8", "strict" if not note else "ignore") + note}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(cut).decode()}


def _frames(frames: tuple[Frame, ...], body: bytes) -> list[dict[str, Any]]:
    """The frames as the report keeps them, cut from the body in which the key was struck out over their borders."""
    kept: list[dict[str, Any]] = []
    position = 0
    for frame in frames:
        data = body[position : position + len(frame.data)]
        position += len(frame.data)
        entry: dict[str, Any] = {"t": round(frame.t, 6)}
        if position > KEPT_BODY * 2:
            entry["text"] = f"[cut: {len(body)} bytes in {len(frames)} frames]"
            return [*kept, entry]
        try:
            entry["text"] = data.decode("utf-8")
        except UnicodeDecodeError:
            entry["base64"] = base64.b64encode(data).decode()
        kept.append(entry)
    return kept
