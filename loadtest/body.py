"""A prompt in a dialect's words: the JSON body and the whole HTTP request, built before it is due.

Only facts decide: which field bounds the answer, whether usage must be asked for, how images travel, what is documented.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from loadtest import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dialects import Dialect
    from loadtest.prompts import Prompt

__all__ = ["Origin", "check_needs", "headers", "message_body", "origin", "request_bytes"]

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city now",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
FORMAT = {
    "type": "json_schema",
    "json_schema": {
        "name": "listing",
        "schema": {
            "type": "object",
            "properties": {"items": {"type": "array", "items": {"type": "string"}}, "count": {"type": "integer"}},
            "required": ["items", "count"],
            "additionalProperties": False,
        },
    },
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where requests go: `host_header` as sent; `path` of the chat operation under the base URL."""

    host: str
    port: int
    tls: bool
    host_header: str
    path: str


def origin(url: str, dialect: Dialect) -> Origin:
    """The target's address. The base may already end in the first segment of the documented paths. Raises UsageError."""
    try:
        parts = urlsplit(url if "//" in url else f"//{url}", scheme="http")
    except ValueError as error:
        raise UsageError(f"--host: {url!r}: {error}") from error
    if any(character <= " " or character > "~" for character in url):
        raise UsageError(f"--host: {url!r} holds a space or a character outside ASCII")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"--host: {url!r} is no http or https URL")
    if parts.query or parts.fragment or parts.username:
        raise UsageError("--host: a base URL has no query, fragment or user")
    tls = parts.scheme == "https"
    try:
        port = parts.port or (443 if tls else 80)
    except ValueError as error:
        raise UsageError(f"--host: {url!r}: {error}") from error
    base, path = parts.path.rstrip("/"), dialect.paths.chat[0]
    first = "/" + path.split("/")[1]
    if base.endswith(first):
        base = base.removesuffix(first)
    return Origin(parts.hostname, port, tls, parts.netloc, base + path)


def check_needs(needs: tuple[str, ...], dialect: Dialect) -> None:
    """Raise UsageError for a need that the dialect's document does not know."""
    has = {
        "vision": dialect.request.image_parts != "none",
        "tools": dialect.documents("tools") and dialect.documents("tool_choice"),
        "json_schema": "json_schema" in dialect.formats(),
    }
    for need in needs:
        if not has[need]:
            raise UsageError(f"the scenario needs {need}, which dialect {dialect.id} does not document")


def message_body(
    prompt: Prompt, dialect: Dialect, model: str, extra: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The JSON object that asks this prompt of this dialect."""
    messages = [{"role": role, "content": text} for role, text in prompt.messages]
    if prompt.image is not None:
        messages[-1]["content"] = _with_image(prompt.messages[-1][1], prompt.image, dialect)  # type: ignore[assignment]
    body: dict[str, Any] = {"model": model, "messages": messages, dialect.request.token_limits[0]: prompt.answer}
    if prompt.stream:
        body["stream"] = True
        if dialect.stream.usage != "always" and dialect.documents("stream_options"):
            body["stream_options"] = {"include_usage": True}
    if "tools" in prompt.needs:
        body |= {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "get_weather"}}}
    if "json_schema" in prompt.needs:
        body["response_format"] = FORMAT
    return body | dict(extra or {})


def headers(dialect: Dialect, key: str | None, key_env: str) -> dict[str, str]:
    """Who asks. Raises UsageError when the document requires a key and none is set."""
    if key:
        if any(character <= " " or character > "~" for character in key):
            raise UsageError(f"{key_env}: the key holds a space, a line end or a character outside ASCII")
        return {"authorization": f"Bearer {key}"}
    if dialect.auth.required:
        raise UsageError(
            f"{key_env} is not set: dialect {dialect.id} requires a key; set it, or name another variable with --key-env"
        )
    return {}


def request_bytes(to: Origin, body: Mapping[str, Any], extra: Mapping[str, str]) -> bytes:
    """The whole HTTP/1.1 request, ready for one send."""
    payload = orjson.dumps(body)
    accept = "text/event-stream" if body.get("stream") else "application/json"
    lines = [
        f"POST {to.path} HTTP/1.1",
        f"host: {to.host_header}",
        "content-type: application/json",
        f"accept: {accept}",
        "accept-encoding: identity",
        *(f"{name}: {value}" for name, value in extra.items()),
        f"content-length: {len(payload)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + payload


def _with_image(text: str, uri: str, dialect: Dialect) -> list[dict[str, Any]]:
    image: Any = uri if dialect.request.image_parts == "string" else {"url": uri}
    return [{"type": "text", "text": text}, {"type": "image_url", "image_url": image}]
