"""Faults of the connection and of the head: lengths that lie, keys that come back, clients that left, servers that are stunned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference_server.errors import ApiError
from reference_server.faults.catalogue import FAULTS

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Scope

    from reference_server.answers import Trail
    from reference_server.errors import Refusal
    from reference_server.wire import Order

Pairs = list[tuple[bytes, bytes]]
Skipped = frozenset[str]
BAD = ("malformed_json", "not_object", "wrong_type", "missing_field")
IN_A_ROW = 5
LEAVERS, LONG = 3, 100
SHORT = 2.0
LATE = 5.5  # seconds: more than a limit of one second and any slack


@FAULTS.at("bytes", every=("service.body-complete", "clients.openai-python"))
def length_too_long(answer: bytes, _: object) -> bytes:
    """Whole answers end before the length that their head announces."""
    head, blank, body = answer.partition(b"\r\n\r\n")
    return head.replace(b"content-length: %d" % len(body), b"content-length: %d" % (len(body) + 7)) + blank + body


@FAULTS.at("bytes", every=("service.body-complete", "clients.openai-python"))
def last_chunk_missing(answer: bytes, _: object) -> bytes:
    """Whole answers come in chunks, and the connection ends without the last one."""
    head, blank, body = answer.partition(b"\r\n\r\n")
    chunked = head.replace(b"content-length: %d" % len(body), b"transfer-encoding: chunked")
    return chunked + blank + b"%x\r\n%b\r\n" % (len(body), body)


@FAULTS.at("headers", every=("service.allow-listed",))
def methods_not_listed(pairs: Pairs, _: object) -> Pairs:
    """A refusal of the method does not say which are allowed."""
    return [(name, value) for name, value in pairs if name != b"allow"]


@FAULTS.at("headers", every=("auth.key-not-echoed",))
def key_comes_back(pairs: Pairs, scope: Scope) -> Pairs:
    """Answers repeat the key that was sent."""
    return [*pairs, *((b"x-asked-with", value) for name, value in scope["headers"] if name == b"authorization")]


@FAULTS.at("health", every=("service.health", "service.no-server-error in dos_ai dria solidrust"))
def health_unavailable(_: Any, __: object) -> Any:  # noqa: ANN401 - any JSON value
    """The server that answers is not well, as it says."""
    raise ApiError("unavailable", "The model is loading")


@FAULTS.at("document", aqueduct=("service.paths-agree",))
def paths_differ(document: dict[str, Any], trail: Trail) -> dict[str, Any]:
    """Answers on the path with /v1 have a member more."""
    return {**document, "x_version": "v1"} if "/v1/" in trail.visit.path else document


@FAULTS.at("delay", dria=("chat.timeout-enforced",))
def deadline_overslept(seconds: float, trail: Trail) -> float:
    """What must be there within a second comes seconds later."""
    within = trail.order.finish_within
    return seconds if within is None or within >= SHORT else LATE


class _Memory:
    """What a server that breaks later remembers until then: clients that left, bad requests since a good one."""

    left = 0
    bad = 0


@FAULTS.at("gone", remembers=True, every=("service.disconnect-survives",))
def hang_up_breaks(_: None, trail: Trail) -> None:
    """After three clients have left long answers the next request fails: nothing was freed."""
    _Memory.left += (trail.order.chat.max_tokens or 0) >= LONG


@FAULTS.at("skip", name="hang-up-breaks")
def _next_fails(skipped: Skipped, _: Request) -> Skipped:
    if _Memory.left >= LEAVERS:
        _Memory.left = 0
        raise ApiError("internal", "Internal error; it has been logged")
    return skipped


@FAULTS.at(
    "refusal",
    remembers=True,
    every=("service.alive-after-errors", "service.no-server-error", "errors.status-documented in dria"),
)
def bad_requests_stun(refusal: Refusal, error: ApiError) -> Refusal:
    """After five bad requests in a row the next good one fails."""
    _Memory.bad += error.cause in BAD
    return refusal


@FAULTS.at("order", name="bad-requests-stun")
def _good_one_fails(order: Order, _: object) -> Order:
    bad, _Memory.bad = _Memory.bad, 0
    if bad >= IN_A_ROW:
        raise ApiError("internal", "Internal error; it has been logged")
    return order
