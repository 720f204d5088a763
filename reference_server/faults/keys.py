"""Faults of keys, their standing and their limits."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from reference_server.errors import ApiError
from reference_server.faults.catalogue import FAULTS

if TYPE_CHECKING:
    from starlette.requests import Request

    from reference_server.errors import Refusal

Skipped = frozenset[str]
Limits = dict[str, str]
TURN = itertools.count()


@FAULTS.at("skip", every=("auth.scheme-case",))
def lower_case_scheme_refused(skipped: Skipped, request: Request) -> Skipped:
    """The scheme of Authorization is compared letter by letter."""
    if request.headers.get("authorization", "").startswith("bearer"):
        raise ApiError("no_key", "Missing API key: send the header Authorization: Bearer KEY")
    return skipped


@FAULTS.at("skip", every=("auth.api-key-header",))
def only_bearer_is_read(skipped: Skipped, request: Request) -> Skipped:
    """A key in a documented header other than Authorization is not seen."""
    if "authorization" not in request.headers:
        raise ApiError("no_key", "Missing API key: send the header Authorization: Bearer KEY")
    return skipped


@FAULTS.at(
    "skip",
    every=(
        "limits.forbidden",
        "limits.no-credit",
    ),
)
def standing_not_checked(skipped: Skipped, _: object) -> Skipped:
    """A key without credit, or without the permission, is served."""
    return skipped | {"standing"}


@FAULTS.at(
    "refusal",
    every=(
        "auth.every-path",
        "auth.streamed-request-refused",
        "auth.wrong-key",
        "clients.openai-python",
        "errors.*[bad_key]",
        "errors.status-documented in dria",
        "service.no-server-error",
    ),
)
def bad_key_answers_500(refusal: Refusal, error: ApiError) -> Refusal:
    """A wrong key is a server error."""
    return replace(refusal, status=500) if error.cause == "bad_key" else refusal


@FAULTS.at("refusal", every=("auth.challenge",))
def challenge_missing(refusal: Refusal, _: object) -> Refusal:
    """A refusal with 401 does not say how to do better."""
    return replace(refusal, headers={k: v for k, v in refusal.headers.items() if k != "www-authenticate"})


@FAULTS.at(
    "refusal",
    every=(
        "limits.retry-after",
        "limits.retry-after-seconds",
    ),
)
def retry_after_in_words(refusal: Refusal, _: object) -> Refusal:
    """Retry-After is a word."""
    return _later(refusal, "soon")


@FAULTS.at("refusal", every=("limits.rate-limited", "service.no-server-error not adaptive"))
def rate_limited_answers_503(refusal: Refusal, error: ApiError) -> Refusal:
    """Too many requests are told as an outage."""
    return replace(refusal, status=503) if error.cause == "rate_limited" else refusal


@FAULTS.at("spent", remembers=True, every=("limits.rate-limited", "limits.window"))
def limit_holds_every_other_time(spent: ApiError | None, _: object) -> ApiError | None:
    """Every second request beyond a key's limit is served."""
    return None if spent is not None and next(TURN) % 2 else spent


@FAULTS.at("refusal", every=("limits.retry-after-seconds",))
def retry_after_zero(refusal: Refusal, _: object) -> Refusal:
    """Retry-After says to come back at once."""
    return _later(refusal, "0")


@FAULTS.at(
    "limits",
    every=(
        "limits.headers",
        "limits.remaining-decreases",
    ),
)
def limits_not_told(_: Limits, __: object) -> Limits:
    """No answer has the documented headers of limits."""
    return {}


@FAULTS.at("limits", every=("limits.remaining-decreases",))
def remaining_stands_still(limits: Limits, _: object) -> Limits:
    """All of the limit always remains."""
    lower = {name.lower(): value for name, value in limits.items()}
    return {k: lower.get(k.lower().replace("remaining", "limit"), v) for k, v in limits.items()}


@FAULTS.at("limits", every=("limits.headers",))
def more_remains_than_there_is(limits: Limits, _: object) -> Limits:
    """More requests remain than the limit has."""
    return {k: str(int(v) * 2 + 10**7) if "remaining" in k.lower() else v for k, v in limits.items()}


@FAULTS.at(
    "refusal",
    every=(
        "errors.status-documented in dria",
        "limits.timeout",
        "service.no-server-error in aqueduct dria solidrust",
    ),
)
def timeout_answers_500(refusal: Refusal, error: ApiError) -> Refusal:
    """An answer that was not ready in time is a failure of the server."""
    return replace(refusal, status=500) if error.cause == "timeout" else refusal


@FAULTS.at("refusal", every=("limits.unavailable",))
def unavailable_answers_404(refusal: Refusal, error: ApiError) -> Refusal:
    """A model that is out of service is told as unknown."""
    return replace(refusal, status=404) if error.cause == "unavailable" else refusal


def _later(refusal: Refusal, when: str) -> Refusal:
    told = "retry-after" in refusal.headers
    return replace(refusal, headers={**refusal.headers, "retry-after": when}) if told else refusal
