"""Faults of what carries a request or an answer: codings, media types, statuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference_server.errors import ApiError
from reference_server.faults.catalogue import FAULTS
from reference_server.faults.groups import NO_ANSWER, NO_CHOICE

if TYPE_CHECKING:
    from starlette.requests import Request

    from reference_server.answers import Trail

Head = tuple[int, dict[str, str]]
Skipped = frozenset[str]


@FAULTS.at(
    "skip",
    every=(
        "errors.status-documented in dria",
        "service.compressed-request",
        "service.no-server-error",
    ),
)
def compressed_request_breaks(skipped: Skipped, request: Request) -> Skipped:
    """A compressed body is a server error."""
    return _break(skipped, when="content-encoding" in request.headers)


@FAULTS.at(
    "skip",
    every=(
        "errors.status-documented in dria",
        "service.content-type-refused",
        "service.no-server-error",
    ),
)
def other_media_type_breaks(skipped: Skipped, request: Request) -> Skipped:
    """A body that is not announced as JSON is a server error."""
    return _break(skipped, when="json" not in request.headers.get("content-type", "").lower())


@FAULTS.at(
    "skip",
    every=(
        "errors.status-documented in dria",
        "service.expect-continue",
        "service.no-server-error",
    ),
)
def expectation_breaks(skipped: Skipped, request: Request) -> Skipped:
    """A request that waits for 100 Continue is a server error."""
    return _break(skipped, when="expect" in request.headers)


@FAULTS.at(
    "head",
    every=(
        *NO_ANSWER,
        *NO_CHOICE,
        "chat.n-choices",
        "service.chat-answers",
        "service.content-coding",
        "sessions.echo",
        "sessions.minted",
        "structured_output.together",
    ),
)
def coding_is_a_lie(head: Head, trail: Trail) -> Head:
    """Whole answers are called compressed and are plain."""
    return head if trail.order.stream else (head[0], {**head[1], "content-encoding": "gzip"})


@FAULTS.at("head", every=("service.chat-answers", "stream.content-type"))
def created_for_ok(head: Head, _: object) -> Head:
    """Answers have the status 201."""
    return 201, head[1]


def _break(skipped: Skipped, *, when: bool) -> Skipped:
    if when:
        raise ApiError("internal", "Internal error; it has been logged")
    return skipped
