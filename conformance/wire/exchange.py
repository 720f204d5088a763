"""One exchange: what was sent, what came back, when each piece came. A plain record; it judges nothing."""

from __future__ import annotations

import base64
import json
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from conformance.wire import strict_json
from conformance.wire.sse import Decoder, Event

__all__ = ["Exchange", "Frame", "Request", "Timed"]

SECRET_HEADERS = ("authorization", "x-api-key", "api-key", "proxy-authorization", "cookie")
KEPT_BODY = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """What was sent. `key` is the secret in use, kept apart so that it can be struck from every record."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    key: str | None = None

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

    def header(self, name: str) -> str | None:
        """The value of a response header, whatever its case; several are joined with commas."""
        values = [v for k, v in self.headers if k.lower() == name.lower()]
        return ", ".join(values) if values else None

    @property
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
        parts = ["curl -sS -N -i", "-X", self.request.method, shlex.quote(self.request.url)]
        for name, value in self.request.headers:
            if name.lower() not in ("host", "content-length", "accept-encoding", "connection", "user-agent", "accept"):
                parts += ["-H", _curl_header(name, value, self.request.key, key_env)]
        if not any(name.lower() == "content-type" for name, _ in self.request.headers) and self.request.body:
            parts += ["-H", "'Content-Type:'"]
        return _with_body(" ".join(parts), self.request.body)

    def record(self, check: str, key_env: str = "CHAT_API_KEY") -> dict[str, Any]:
        """The exchange as the report keeps it: secrets struck out, long bodies cut with a note."""
        hide = _hider(self.request.key)
        return {
            "id": self.id,
            "check": check,
            "method": self.request.method,
            "url": hide(self.request.url),
            "request_headers": [[name, _masked(name, hide(value))] for name, value in self.request.headers],
            **_kept("request_body", self.request.body, hide),
            "status": self.status,
            "response_headers": [[name, hide(value)] for name, value in self.headers],
            "frames": _frames(self.frames, hide),
            "started": datetime.fromtimestamp(self.started, UTC).isoformat(timespec="milliseconds"),
            "seconds": round(self.seconds, 6),
            "error": hide(self.error) if self.error else None,
            "curl": hide(self.curl(key_env)) if len(self.request.body) <= KEPT_BODY else "",
        }


def _curl_header(name: str, value: str, key: str | None, key_env: str) -> str:
    if key and key in value:
        safe = (
            value.replace(key, "\0").replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
        )
        return '"' + f"{name}: {safe}".replace("\0", f"${key_env}") + '"'
    return shlex.quote(f"{name}: {value}")


def _with_body(command: str, body: bytes) -> str:
    if not body:
        return command
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return f"echo {base64.b64encode(body).decode()} | base64 -d | {command} --data-binary @-"
    return f"{command} --data-binary {shlex.quote(text)}"


def _hider(key: str | None) -> Any:  # noqa: ANN401 - a str -> str function
    return (lambda text: text.replace(key, "***")) if key else (lambda text: text)


def _masked(name: str, value: str) -> str:
    if name.lower() not in SECRET_HEADERS or not value:
        return value
    scheme, space, rest = value.partition(" ")
    return f"{scheme} ***" if space and rest else "***"


def _kept(name: str, data: bytes, hide: Any) -> dict[str, str]:  # noqa: ANN401 - a str -> str function
    cut = data[:KEPT_BODY]
    note = f" [{len(data)} bytes, cut]" if len(data) > KEPT_BODY else ""
    try:
        return {name: hide(cut.decode("utf-8", "strict" if not note else "ignore")) + note}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(cut).decode()}


def _frames(frames: tuple[Frame, ...], hide: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - a str -> str function
    kept, size = [], 0
    for frame in frames:
        size += len(frame.data)
        if size > KEPT_BODY * 2:
            kept.append(
                {
                    "t": round(frame.t, 6),
                    "text": f"[cut: {sum(len(f.data) for f in frames)} bytes in {len(frames)} frames]",
                }
            )
            break
        entry: dict[str, Any] = {"t": round(frame.t, 6)}
        try:
            entry["text"] = hide(frame.data.decode("utf-8"))
        except UnicodeDecodeError:
            entry["base64"] = base64.b64encode(hide(frame.data.decode("latin-1")).encode("latin-1", "replace")).decode()
        kept.append(entry)
    return kept
