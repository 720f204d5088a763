"""Checks that several faults turn red together, by the reason why they do."""

from __future__ import annotations

__all__ = [
    "FINISHES",
    "KEYLESS",
    "LIMITS",
    "NO_ANSWER",
    "NO_CHOICE",
    "NO_STREAM",
    "REQUEST_RULES",
    "UNREADABLE",
    "told",
    "undefined",
]

# What is served as an answer is none: each member that the document demands is missing.
NO_ANSWER = (
    "chat.field[id]",
    "chat.field[object] not dria",
    "chat.field[created] not dria",
    "chat.field[model]",
    "chat.field[choices]",
    "chat.field[usage]",
    "chat.field[usage:present]",
    "chat.field[session_id]",
    "chat.field[metadata] in dria",
)
# Whole answers have no choice that can be read.
NO_CHOICE = (
    "chat.text-present",
    "chat.natural-finish",
    "chat.length-finish",
    "clients.openai-python",
    "request.default-model",
    "sampling.penalties-accepted",
    "stream.equals-plain",
    "structured_output.json-*",
    "structured_output.keywords",
    "tools.late-choice",
    "tools.named-choice",
    "tools.required-choice",
    "tools.stream-equals-plain",
)
# What was asked for as a stream is not announced as one, and a whole answer it is not either.
NO_STREAM = (
    "chat.ids-unique",
    "chat.natural-finish",
    "chat.length-finish",
    "chat.stop-*",
    "limits.headers",
    "logprobs.absent-unasked",
    "logprobs.streamed",
    "logprobs.top-count",
    "logprobs.values",
    "request.documented-examples",
    "service.concurrent-answers",
    "sessions.echo",
    "sessions.ttft-budget",
    "stream.content-type",
    "stream.equals-plain",
    "stream.n-choices",
    "stream.text-present",
    "structured_output.streamed",
    "tools.*",
    "-tools.round-trip",
    "-tools.result-read",
    "-tools.override-shape",
    "-tools.offered-only",
    "-chat.stop-absent",
    "-tools.calls-whole",
    "-tools.cut-short",
    "-tools.late-choice",
    "-usage.stream-asked",
    "-usage.stream-with-finish",
    "chat.text-intact",
    "usage.n-covers-all",
    "request.accepts[stream]",
    "request.accepts[stream_options*] not dos_ai",
    "request.valid-bodies in adaptive openai solidrust",
    "usage.stream-*",
    "-usage.stream-once",
    "-usage.stream-sum",
    "vision.every-part",
    "vision.image-accepted",
)
# A stream of one event without an end holds nothing.
UNREADABLE = (
    "stream.framing",
    "stream.done",
    "stream.text-present",
    "stream.finish-once",
    "stream.n-choices",
    "stream.no-truncation",
    "stream.equals-plain",
    "chat.natural-finish",
    "chat.one-choice-by-default",
    "chat.stop-finish",
    "clients.openai-python-stream",
    "sessions.ttft-budget",
    "structured_output.streamed",
    "tools.named-choice",
    "tools.required-choice",
    "tools.stream-equals-plain",
    "usage.stream-on-request",
    "usage.stream-present",
)
# Nothing says why a choice of a stream ended.
FINISHES = (
    "stream.finish-once",
    "stream.n-choices",
    "stream.equals-plain",
    "chat.length-finish",
    "chat.natural-finish",
    "chat.stop-finish",
    "tools.finish",
)
# Requests that no key, or none that is known, entitles.
KEYLESS = (
    "auth.missing-key",
    "auth.wrong-key",
    "auth.other-scheme",
    "auth.empty-bearer",
    "auth.every-path",
    "auth.streamed-request-refused",
)
LIMITS = ("chat.max-tokens-bounds", "chat.length-finish", "usage.within-limit", "request.token-limit-aliases")
# The rules of documented fields, by what the facts call a breach of them.
REQUEST_RULES = {
    "missing_field": ("request.rejects:missing",),
    "wrong_type": tuple(f"request.rejects:{rule}" for rule in ("type", "lax", "null", "values", "fraction")),
    "out_of_range": tuple(
        f"request.rejects:{rule}"
        for rule in ("range", "nonpositive", "negative", "enum", "format", "items", "length", "pattern")
    ),
}


def told(*causes: str) -> tuple[str, ...]:
    """The checks that look at how these causes are answered."""
    return tuple(f"errors.*[{cause}]" for cause in causes)


def undefined(*fields: str) -> tuple[str, ...]:
    """The checks that send values of these fields of which the document says nothing."""
    return tuple(f"request.undefined-values[{field}]" for field in fields)
