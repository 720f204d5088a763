"""Faults of refusals: what they say, in which form, and when to come back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reference_server.faults.catalogue import FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_server.errors import ApiError, Refusal

Json = dict[str, Any]
PAGE = "<html><body><h1>400 Bad Request</h1></body></html>"


@FAULTS.at("refusal", every=("errors.field[error]", "errors.type", "errors.code"))
def error_envelope_detail(refusal: Refusal, error: ApiError) -> Refusal:
    """Refusals come as {"detail": ...}."""
    return replace(refusal, body={"detail": error.message}, text=False)


@FAULTS.at("refusal", every=("errors.message-useful",))
def trace_in_message(refusal: Refusal, error: ApiError) -> Refusal:
    """Messages of refusals show the server's inside."""
    says = f'Traceback (most recent call last): File "/srv/app/main.py", line 1: {error.message}'
    return replace(refusal, body=_with_message(refusal.body, says))


@FAULTS.at("refusal", every=("errors.param-names-field",))
def param_names_another_field(refusal: Refusal, _: object) -> Refusal:
    """Where a refusal names a field it names the wrong one."""
    if (
        not isinstance(refusal.body, dict)
        or not isinstance(refusal.body["error"], dict)
        or not refusal.body["error"].get("param")
    ):
        return refusal
    return replace(refusal, body={"error": {**refusal.body["error"], "param": "service_tier"}})


@FAULTS.at("refusal", every=("limits.retry-after",))
def retry_after_missing(refusal: Refusal, _: object) -> Refusal:
    """No refusal says when to come back."""
    return replace(refusal, headers={k: v for k, v in refusal.headers.items() if k != "retry-after"})


@FAULTS.at(
    "refusal",
    every=(
        "errors.code",
        "errors.field[error]",
        "errors.type",
    ),
)
def error_flat(refusal: Refusal, error: ApiError) -> Refusal:
    """Refusals have their members on top: {"object": "error", ...}."""
    return replace(refusal, body={"object": "error", "message": error.message, "code": refusal.status}, text=False)


@FAULTS.at(
    "refusal",
    every=(
        "errors.code",
        "errors.content-type",
        "errors.field[detail]",
        "errors.field[error]",
        "errors.marker",
        "errors.type",
    ),
)
def error_is_a_page(refusal: Refusal, _: object) -> Refusal:
    """Refusals are pages for people."""
    return replace(refusal, body=PAGE, text=True, headers={**refusal.headers, "content-type": "text/html"})


@FAULTS.at(
    "refusal",
    every=(
        "errors.code",
        "errors.field[detail]",
        "errors.field[error]",
        "errors.type",
        "service.strict-json[syntax] not dria",
    ),
)
def error_is_plain_text(refusal: Refusal, error: ApiError) -> Refusal:
    """Refusals are plain text, announced as JSON."""
    return replace(refusal, body=error.message, text=True)


@FAULTS.at(
    "refusal",
    every=(
        "errors.body-text",
        "errors.code",
        "errors.field[detail]",
        "errors.field[error]",
        "errors.marker",
        "errors.message-useful",
        "errors.type",
        "service.strict-json[syntax] not dria",
    ),
)
def error_without_body(refusal: Refusal, _: object) -> Refusal:
    """Refusals have no body."""
    return replace(refusal, body="", text=True)


@FAULTS.at("refusal", every=("errors.content-type",))
def error_without_type(refusal: Refusal, _: object) -> Refusal:
    """Refusals are announced without a media type."""
    return replace(refusal, headers={k: v for k, v in refusal.headers.items() if k != "content-type"})


@FAULTS.at(
    "refusal",
    every=(
        "errors.code",
        "errors.field in adaptive",
        "errors.field[error] not aqueduct",
        "errors.type",
    ),
)
def error_is_a_word(refusal: Refusal, _: object) -> Refusal:
    """The error is a word where it should be an object, and an object where it should be a word."""
    if not isinstance(refusal.body, dict):
        return refusal
    inner = refusal.body["error"]
    return replace(refusal, body={"error": inner["message"] if isinstance(inner, dict) else {"message": inner}})


@FAULTS.at(
    "refusal",
    every=(
        "errors.field[error.type]",
        "errors.type",
    ),
)
def error_kind_missing(refusal: Refusal, _: object) -> Refusal:
    """Errors have no type."""
    return _members(refusal, lambda error: {k: v for k, v in error.items() if k != "type"})


@FAULTS.at("refusal", every=("errors.type",))
def error_kind_of_another(refusal: Refusal, _: object) -> Refusal:
    """All errors have the same type."""
    return _members(refusal, lambda error: {**error, "type": "api_error"})


@FAULTS.at(
    "refusal",
    every=(
        "errors.field[error.message]",
        "errors.message-useful in aqueduct dos_ai openai solidrust",
    ),
)
def error_message_missing(refusal: Refusal, _: object) -> Refusal:
    """Errors have no message."""
    return _members(refusal, lambda error: {k: v for k, v in error.items() if k != "message"})


@FAULTS.at(
    "refusal",
    every=(
        "errors.body-text",
        "errors.field in adaptive",
        "errors.field[error.message]",
        "errors.marker",
        "errors.message-useful",
    ),
)
def error_message_empty(refusal: Refusal, _: object) -> Refusal:
    """Messages of refusals are empty."""
    if isinstance(refusal.body, str):
        return replace(refusal, body="")
    inner = refusal.body["error"]
    return replace(refusal, body={"error": {**inner, "message": ""} if isinstance(inner, dict) else ""})


def _members(refusal: Refusal, change: Callable[[Json], Json]) -> Refusal:
    if not isinstance(refusal.body, dict) or not isinstance(refusal.body["error"], dict):
        return refusal
    return replace(refusal, body={"error": change(refusal.body["error"])})


def _with_message(body: Any, message: str) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(body, str):
        return message
    inner = body["error"]
    return {**body, "error": {**inner, "message": message} if isinstance(inner, dict) else message}
