"""Sends a recorded request again and says whether the answer has the same failure shape.

The shape is all that is compared, because models do not repeat themselves: the class of the status (2xx, 4xx, ...), the
kind of body (JSON, event stream, other), the top-level keys of the JSON body or of the stream's first event, and whether
a stream ended with [DONE]. The same shape does not prove that the same check fails again; another shape proves that the
target now answers differently. Redirects are shown and not followed, so the key stays with the host in the report.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reports.model import ExchangeRecord, Report, ReportError
from reports.redact import MASK, SENSITIVE
from reports.words import offender

if TYPE_CHECKING:
    from urllib.parse import SplitResult

OURS = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding"}
OWN = "CHAT_API_KEY"
PLACEHOLDER = re.compile(r"\$\{?[A-Z_][A-Z0-9_]*\}?")
LARGEST = 10_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What came: `status` None and `error` where no answer came; seconds until the last byte."""

    status: int | None
    headers: tuple[tuple[str, str], ...]
    body: bytes
    seconds: float
    error: str | None = None

    @property
    def media_type(self) -> str:
        """The media type without its parameters, lower case; empty where none was given."""
        value = next((value for name, value in self.headers if name.lower() == "content-type"), "")
        return value.partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Shape:
    """What two answers are compared by."""

    status: str
    kind: str
    keys: tuple[str, ...]
    done: bool | None


def chosen(report: Report, name: str) -> ExchangeRecord:
    """The exchange of that id, or the one that speaks for the requirement or check of that id. Raises ReportError."""
    for one in report.exchanges:
        if one.id == name:
            return one
    for row in report.requirements:
        if row.id == name:
            return _found(offender(report, row), name)
    for one in reversed(report.exchanges):
        if one.check == name:
            return one
    raise ReportError(f"{name!r} is no requirement, check or exchange of this report")


def send(one: ExchangeRecord, key: str | None, timeout: float) -> Answer:
    """Send the recorded request once. Raises ReportError where it cannot be sent as it was."""
    headers = request_headers(one, key)
    began = time.monotonic()
    try:
        url = _url(one)
        return _exchanged(url, one, headers, timeout, began)
    except (OSError, HTTPException) as error:
        return Answer(None, (), b"", time.monotonic() - began, f"{type(error).__name__}: {error}")
    except ValueError as error:  # a header, a method or a port that http.client refuses to send
        raise ReportError(f"exchange {one.id} cannot be sent as it was recorded: {error}") from error


def request_headers(one: ExchangeRecord, key: str | None) -> tuple[tuple[str, str], ...]:
    """The recorded headers, with the key where the run's own key was masked. Raises ReportError when it is missing.

    The curl line tells whose key was masked: it holds a variable where the run's own key was sent, and another one where
    a lever's was. A masked key that was wrong on purpose is sent as the mask, which is as wrong.
    """
    name = _variable(one)
    key = sent_key(one, key)
    kept = [(name, value) for name, value in one.request_headers if name.lower() not in OURS]
    masked = name is not None and any(_masked(*pair) for pair in kept)
    if masked and not key:
        raise ReportError(f"exchange {one.id} was sent with a key; set {name} (or name another with --key-env)")
    return tuple((n, v.replace(MASK, key) if masked and key and _masked(n, v) else v) for n, v in kept)


def sent_key(one: ExchangeRecord, key: str | None) -> str | None:
    """The key that the request is sent with: the run's own, or that of a lever, from the variable that its line names."""
    name = _variable(one)
    return key if name in (None, OWN) else os.environ.get(name)


def _variable(one: ExchangeRecord) -> str | None:
    found = PLACEHOLDER.search(one.curl)
    return found[0].strip("${}") if found else None


def recorded(one: ExchangeRecord) -> Answer:
    """The answer that the report holds."""
    return Answer(one.status, one.response_headers, one.body, one.seconds, one.error)


def shape(answer: Answer) -> Shape:
    """What the answer looks like, without what may differ from one time to the next."""
    if answer.status is None:
        return Shape("no answer", "none", (), None)
    status = f"{answer.status // 100}xx"
    if answer.media_type == "text/event-stream":
        events = re.findall(rb"^data: ?(.*?)\r?$", answer.body, re.MULTILINE)
        return Shape(status, "event stream", _keys(events[0]) if events else (), b"[DONE]" in events)
    keys = _keys(answer.body)
    return Shape(status, "JSON object" if keys else "other body" if answer.body else "no body", keys, None)


def compared(old: Shape, new: Shape) -> list[str]:
    """A sentence for each difference; none when the shapes are the same."""
    pairs = {
        "status": (old.status, new.status),
        "body": (old.kind, new.kind),
        "keys": (" ".join(old.keys) or "none", " ".join(new.keys) or "none"),
        "[DONE]": (old.done, new.done),
    }
    return [f"{name}: was {was}, is now {now}" for name, (was, now) in pairs.items() if was != now]


def _found(one: ExchangeRecord | None, name: str) -> ExchangeRecord:
    if one is None:
        raise ReportError(f"requirement {name!r} has no recorded exchange to send again")
    return one


def _masked(name: str, value: str) -> bool:
    return MASK in value and SENSITIVE.match(name) is not None


def _url(one: ExchangeRecord) -> SplitResult:
    url = urlsplit(one.url)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ReportError(f"exchange {one.id}: url is {one.url!r}, expected http:// or https:// and a host")
    return url


def _exchanged(
    url: SplitResult, one: ExchangeRecord, headers: tuple[tuple[str, str], ...], timeout: float, began: float
) -> Answer:
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=timeout)
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    try:
        connection.putrequest(one.method, path, skip_accept_encoding=True)
        for pair in headers:
            connection.putheader(*pair)
        if one.sent or one.method == "POST":
            connection.putheader("Content-Length", str(len(one.sent)))
        connection.endheaders(one.sent or None)
        response = connection.getresponse()
        body, error = _read(response, began + timeout)
        return Answer(response.status, tuple(response.getheaders()), body, time.monotonic() - began, error)
    finally:
        connection.close()


def _read(response: HTTPResponse, deadline: float) -> tuple[bytes, str | None]:
    """The body, and why it is not whole: bounded in time and size, since a stream may never end."""
    parts: list[bytes] = []
    try:
        while part := response.read1(65536):
            parts.append(part)
            if time.monotonic() > deadline:
                return b"".join(parts), "the time-out ended while the answer was coming"
            if sum(map(len, parts)) > LARGEST:
                return b"".join(parts), f"cut after {LARGEST} bytes"
    except (OSError, HTTPException) as error:
        return b"".join(parts), f"{type(error).__name__}: {error}"
    missing = response.length or 0
    return b"".join(parts), f"the answer ended {missing} bytes before its announced length" if missing else None


def _keys(data: bytes) -> tuple[str, ...]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return ()
    return tuple(sorted(value)) if isinstance(value, dict) else ()
