"""Refusals: a cause that the facts know, turned into the dialect's status and envelope.

ApiError            the client asked for something that cannot be served; carries a cause, never a status
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dialects import Cause, Dialect

__all__ = ["ApiError", "Refusal", "refuse"]

# What is sent where the document is silent about a cause.
STATUS = {
    "no_key": 401,
    "bad_key": 401,
    "no_credit": 402,
    "forbidden": 403,
    "unknown_model": 404,
    "unknown_path": 404,
    "method_not_allowed": 405,
    "too_large": 413,
    "rate_limited": 429,
    "internal": 500,
    "unavailable": 503,
    "timeout": 504,
}
TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
# A cause that a document lacks may be a case of one it has: a spent key is one that may not be used.
KIN = {
    "no_credit": ("forbidden", "rate_limited"),
    "bad_image": ("out_of_range",),
    "context_overflow": ("out_of_range",),
}
SERVER_ERROR = 500


class ApiError(Exception):
    """The request cannot be served. `cause` is one of the facts' causes; `field` the request field to blame.

    `retry_after` is in whole seconds, given when waiting helps.
    """

    def __init__(self, cause: str, message: str, field: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message
        self.field = field
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a client sees of an ApiError: status, headers and the body, which is a JSON value or plain text."""

    status: int
    headers: dict[str, str]
    body: Any
    text: bool = False

    def encode(self) -> bytes:
        """The body's bytes."""
        return self.body.encode() if self.text else json.dumps(self.body, ensure_ascii=False).encode()


def refuse(dialect: Dialect, error: ApiError) -> Refusal:
    """The error as this dialect says it."""
    cause = _known(dialect, error.cause)
    status = cause.status[0] if cause else STATUS.get(error.cause, 400)
    headers = {"content-type": "text/plain; charset=utf-8" if dialect.errors.body == "text" else "application/json"}
    if status == STATUS["no_key"]:
        headers["www-authenticate"] = "Bearer"
    if status == STATUS["rate_limited"] and dialect.ratelimit.retry_after != "never" and error.retry_after is not None:
        headers["retry-after"] = str(max(1, error.retry_after))
    return Refusal(status, headers, _body(dialect, error, cause, status), dialect.errors.body == "text")


def _known(dialect: Dialect, name: str) -> Cause | None:
    return next((found for kin in (name, *KIN.get(name, ())) if (found := dialect.cause(kin))), None)


def _body(dialect: Dialect, error: ApiError, cause: Cause | None, status: int) -> Any:  # noqa: ANN401 - any JSON value
    if dialect.errors.body == "text":
        return error.message
    if dialect.errors.body == "string":
        return {"error": error.message}
    return {"error": _members(dialect, error, cause, status)}


def _members(dialect: Dialect, error: ApiError, cause: Cause | None, status: int) -> dict[str, Any]:
    """Message and type always; param and code where the document has them: null only where it demands the key."""
    rules = dialect.schemas["error"].get("properties", {}).get("error", {})
    kind = cause.type if cause and cause.type else _type(status)
    code = _code(rules, cause, status, error.cause)
    members = {"message": error.message, "type": kind, "param": error.field, "code": code}
    documented, required = rules.get("properties", members), rules.get("required", ())
    return {k: v for k, v in members.items() if k in required or (k in documented and v is not None)}


def _type(status: int) -> str:
    return TYPES.get(status, "server_error" if status >= SERVER_ERROR else "invalid_request_error")


def _code(rules: dict[str, Any], cause: Cause | None, status: int, name: str) -> str | int | None:
    """The documented code; where there is none the status, nothing, or our own name, by what the document allows."""
    if cause and cause.code is not None:
        return cause.code
    allowed = rules.get("properties", {}).get("code", {}).get("type", "null")
    kinds = [allowed] if isinstance(allowed, str) else allowed
    return status if "integer" in kinds else None if "null" in kinds else name
