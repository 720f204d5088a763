"""Faults of the service as a whole and of its keys: paths, methods, media types, JSON, authorization."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reference_server.errors import ApiError
from reference_server.faults.catalogue import FAULTS
from reference_server.faults.groups import KEYLESS, NO_ANSWER, NO_CHOICE, told

if TYPE_CHECKING:
    from starlette.requests import Request

    from reference_server.answers import Trail
    from reference_server.errors import Refusal

Json = dict[str, Any]
Head = tuple[int, dict[str, str]]
Skipped = frozenset[str]


@FAULTS.at(
    "refusal",
    every=(
        "errors.status-documented in dria",
        "service.get-is-refused",
        "service.get-lists-or-refuses",
        "service.method-refused",
        "service.no-server-error",
    ),
)
def get_answers_500(refusal: Refusal, error: ApiError) -> Refusal:
    """A wrong method is answered with 500."""
    return replace(refusal, status=500) if error.cause == "method_not_allowed" else refusal


@FAULTS.at("head", every=("service.json-content-type", "sessions.streaming-typo"))
def answer_as_text(head: Head, trail: Trail) -> Head:
    """Whole answers are announced as text/plain."""
    return head if trail.order.stream else (head[0], {**head[1], "content-type": "text/plain"})


@FAULTS.at("write", every=("service.strict-json[duplicates]",))
def name_stands_twice(pieces: list[bytes], _: object) -> list[bytes]:
    """Whole answers have two members with the name `id`."""
    return [
        piece.replace(b'{"id":', b'{"id":"first","id":', 1) if piece.startswith(b"{") else piece for piece in pieces
    ]


@FAULTS.at(
    "refusal",
    every=(
        "errors.status-documented in dria",
        "service.no-server-error",
        "service.other-forms-of-the-path",
        "service.unknown-path-is-refused",
    ),
)
def unknown_path_answers_500(refusal: Refusal, error: ApiError) -> Refusal:
    """A path that nobody knows is answered with 500."""
    return replace(refusal, status=500) if error.cause == "unknown_path" else refusal


@FAULTS.at(
    "refusal",
    every=(
        *NO_ANSWER,
        "service.json-content-type in dria",
        "service.unknown-path-is-refused",
    ),
)
def unknown_path_answers_200(refusal: Refusal, error: ApiError) -> Refusal:
    """A path that nobody knows is answered with 200, as a page for people would be."""
    return replace(refusal, status=200) if error.cause == "unknown_path" else refusal


@FAULTS.at(
    "refusal",
    every=(
        "service.get-is-refused",
        "service.get-lists-or-refuses",
        "service.method-refused",
    ),
)
def wrong_method_answers_200(refusal: Refusal, error: ApiError) -> Refusal:
    """A wrong method is answered with 200."""
    return replace(refusal, status=200) if error.cause == "method_not_allowed" else refusal


@FAULTS.at("write", every=("service.strict-json[bom]",))
def mark_before_json(pieces: list[bytes], _: object) -> list[bytes]:
    """Whole answers begin with a byte order mark."""
    return [b"\xef\xbb\xbf" + piece if piece.startswith(b"{") else piece for piece in pieces]


@FAULTS.at(
    "write",
    every=(
        *NO_ANSWER,
        *NO_CHOICE,
        "chat.n-choices",
        "service.chat-answers",
        "service.strict-json[syntax]",
        "sessions.echo",
        "sessions.minted",
        "structured_output.together",
    ),
)
def words_after_json(pieces: list[bytes], _: object) -> list[bytes]:
    """Something follows the JSON of whole answers."""
    return [piece + b"\n{}" if piece.startswith(b"{") else piece for piece in pieces]


@FAULTS.at(
    "write",
    every=(
        "clients.openai-python",
        "service.strict-json[utf8]",
    ),
)
def latin_1_in_json(pieces: list[bytes], _: object) -> list[bytes]:
    """A member of whole answers is in Latin-1."""
    return [piece.replace(b"{", b'{"x_note":"\xe9",', 1) if piece.startswith(b"{") else piece for piece in pieces]


@FAULTS.at("document", every=("service.strict-json[numbers]",))
def not_a_number(document: Json, _: object) -> Json:
    """A score is NaN, which JSON does not have."""
    return {**document, "x_score": math.nan}


@FAULTS.at(
    "write",
    every=(
        "clients.openai-python",
        "service.strict-json[surrogates]",
    ),
)
def half_a_pair_in_json(pieces: list[bytes], _: object) -> list[bytes]:
    """A member of whole answers holds one half of a surrogate pair."""
    return [piece.replace(b"{", b'{"x_note":"\\ud83d",', 1) if piece.startswith(b"{") else piece for piece in pieces]


@FAULTS.at("skip", every=("service.accepts-json-charset",))
def charset_refused(skipped: Skipped, request: Request) -> Skipped:
    """A content type with a charset is not recognized."""
    if "charset" in request.headers.get("content-type", "").lower():
        raise ApiError("wrong_content_type", "Content-Type must be application/json")
    return skipped


@FAULTS.at("skip", every=("service.chunked-request",))
def chunked_body_refused(skipped: Skipped, request: Request) -> Skipped:
    """A body in chunks counts as empty."""
    if "transfer-encoding" in request.headers:
        raise ApiError("malformed_json", "The body is empty")
    return skipped


# auth


@FAULTS.at("skip", every=(*KEYLESS, "clients.openai-python", *told("no_key", "bad_key")))
def bad_key_accepted(skipped: frozenset[str], _: object) -> frozenset[str]:
    """Any key is accepted, and none as well."""
    return skipped | {"auth"}
