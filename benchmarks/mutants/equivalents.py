"""Mutants that the documents allow: what they change is still a correct answer. Each with the reason."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.mutants.catalogue import Mutant

__all__ = ["ALLOWED", "reason"]

# (dialects, patterns of the mutant's name, why it is a correct answer). `*` in dialects means all of them.
ALLOWED: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("*", ("*:continue-first", "*:hints-first"), "RFC 9110, 15.2: a final answer may be preceded by interim ones"),
    ("*", ("*:closed-after",), "RFC 9112, 9.6: a server may close a connection after an answer that says so"),
    ("*", ("*:no-length",), "RFC 9112, 6.3: without a length the end of the connection ends the body"),
    ("*", ("*:old-version",), "RFC 9110, 2.5: an answer in HTTP/1.0 with a length is understood as before"),
    (
        "*",
        ("*:many-headers", "*:set-cookie", "*:header-not-latin"),
        "RFC 9110, 5: unknown fields, and obs-text in them, are ignored",
    ),
    ("*", ("*:bytes-after",), "the answer is complete and its connection is closed: the rest is no part of any answer"),
    ("*", ("*:really-gzip",), "RFC 9110, 8.4: the coding is named and undone"),
    ("*", ("*:no-date",), "RFC 9110, 6.6.1: a server without a clock sends no Date"),
    (
        "*",
        ("*:huge-exponent",),
        "RFC 8259, 6: the grammar has no bound for exponents, and no document names the member",
    ),
    (
        "*",
        ("*:content-type-application-json", "stream:content-type-text-event-stream"),
        "the media type that the answer has",
    ),
    (
        "*",
        ("stream:event-two-lines-*", "stream:event-insert-event-*"),
        "WHATWG HTML, 9.2.6: lines of data are joined; an event without data is none",
    ),
    ("*", ("*:header-*:x-request-id",), "no document promises the field; its value is anything"),
    (
        "*",
        ("*:header-*:cache-control", "*:header-*:x-accel-buffering", "*:header-*:allow"),
        "no document promises the field",
    ),
    (
        "*",
        ("*:header-nonsense:www-authenticate", "*:header-negative:www-authenticate"),
        "RFC 9110, 11.6.1: a token alone is a challenge",
    ),
    (
        "*",
        ("models:header-*:x-ratelimit-*", "error:header-*:x-ratelimit-*"),
        "the documents promise the fields for chat completions alone",
    ),
    ("aqueduct", ("error:header-*:retry-after",), "the page promises no Retry-After"),
    (
        "*",
        (
            "*:perturb:id",
            "*:perturb:choices.[].message.id",
            "*:perturb:*.tool_calls.[].id",
            "*:perturb:system_fingerprint",
            "*:empty:system_fingerprint",
            "*:perturb:metadata.node_id",
            "*:perturb:*.completion_id",
        ),
        "an opaque name that stays unique",
    ),
    (
        "*",
        ("models:*:data.[].owned_by", "models:*:data.[].created", "models:delete:data.[].object"),
        "what the page says of a model is met: a text, a number, or not promised",
    ),
    (
        "solidrust",
        ("models:*:data.[].root", "models:*:data.[].parent", "models:*:data.[].permission*"),
        "no page names the member",
    ),
    ("*", ("*:perturb:created",), "a second later is as near to now"),
    (
        "*",
        ("*:perturb:error", "*:perturb:error.message", "error:*:error.param", "error:delete:error.code"),
        "free text, or a member that may be null or away",
    ),
    ("dria", ("error:*",), "the page shows no body of an error, and the extended one only says that it is text"),
    (
        "openai",
        (
            "*:delete:service_tier",
            "*:delete:usage.*_details*",
            "*:empty:usage.*_details",
            "*:delete:choices.[].delta.refusal",
        ),
        "an optional member",
    ),
    ("*", ("*:null:choices.[].logprobs.content.[].bytes", "*:null:*.top_logprobs.[].bytes"), "bytes may be null"),
    (
        "aqueduct",
        ("*:*:choices.[].logprobs.content.[].top_logprobs.[].bytes", "*:delete:*.top_logprobs.[]"),
        "an optional member",
    ),
    (
        "aqueduct",
        ("chunk:null:created",),
        "the page says that a member without a value may be left out, and null is none",
    ),
    ("adaptive", ("*:fraction:created",), "the page calls it a number"),
    ("openai adaptive", ("error:header-*:retry-after",), "the page promises no Retry-After"),
    ("openai", ("body:delete:system_fingerprint", "chunk:delete:system_fingerprint"), "an optional member"),
    ("adaptive", ("chunk:perturb:choices.[].delta.id",), "an opaque name that stays the same"),
    (
        "dria",
        ("models:perturb:object", "models:perturb:data.[].object"),
        "the page shows no member of the list but its ids",
    ),
    ("openai", ("body:empty:*.custom.input",), "the input of a custom tool is any text"),
)


def reason(dialect: str, mutant: Mutant) -> str | None:
    """Why this mutant is a correct answer in this dialect, or None."""
    for names, patterns, why in ALLOWED:
        if (names == "*" or dialect in names.split()) and any(
            fnmatchcase(_plain(mutant.name), p) for p in map(_plain, patterns)
        ):
            return why
    return None


def _plain(name: str) -> str:
    """The name with the step into an array spelled so that it is no pattern."""
    return name.replace("[]", "#")
