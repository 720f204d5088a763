"""Faults of documented fields that are refused, break the server, or are taken and passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference_server.errors import ApiError
from reference_server.faults.catalogue import FAULTS

if TYPE_CHECKING:
    from dialects import Dialect

Json = dict[str, Any]
HOTTEST = 2


@FAULTS.at(
    "asked",
    every=(
        "request.accepts[temperature] not dria",
        "request.valid-bodies in aqueduct dos_ai solidrust",
    ),
)
def highest_temperature_refused(asked: Json, _: object) -> Json:
    """The upper bound of temperature is taken for the first value above it."""
    return _unless(asked, "temperature", refused=asked.get("temperature") == HOTTEST)


@FAULTS.at(
    "asked",
    every=(
        "request.accepts[temperature] in adaptive aqueduct openai",
        "request.null-is-absent not dos_ai",
        "request.valid-bodies in adaptive",
    ),
)
def null_temperature_refused(asked: Json, _: object) -> Json:
    """Null is refused for temperature, where it is documented too."""
    return _unless(asked, "temperature", refused=asked.get("temperature", 0) is None)


@FAULTS.at(
    "asked",
    every=(
        "request.accepts[presence_penalty]",
        "request.valid-bodies in dos_ai",
        "sampling.penalties-accepted",
    ),
)
def negative_penalty_refused(asked: Json, _: object) -> Json:
    """Penalties below 0 are refused."""
    return _unless(asked, "presence_penalty", refused=_number(asked.get("presence_penalty")) < 0)


@FAULTS.at(
    "asked",
    every=(
        "request.unknown-field-accepted",
        "sessions.streaming-typo",
    ),
)
def unknown_field_refused(asked: Json, dialect: Dialect) -> Json:
    """A field that the document does not list is refused."""
    strange = [name for name in asked if not dialect.documents(name)]
    return _unless(asked, "".join(strange[:1]), refused=bool(strange))


@FAULTS.at(
    "asked",
    every=(
        "errors.status-documented in dria",
        "request.openai-fields not aqueduct",
        "request.unknown-field",
        "request.unknown-field-accepted",
        "service.no-server-error",
        "sessions.streaming-typo",
    ),
)
def unknown_field_breaks(asked: Json, dialect: Dialect) -> Json:
    """A field that the document does not list is a server error."""
    if not all(map(dialect.documents, asked)):
        raise ApiError("internal", "Internal error; it has been logged")
    return asked


@FAULTS.at(
    "asked",
    every=(
        "request.accepts[messages.content.*]",
        "request.accepts[messages.content] in aqueduct dria openai",
        "request.documented-examples in dria openai",
        "request.text-parts",
        "vision.image-accepted",
    ),
)
def parts_refused(asked: Json, _: object) -> Json:
    """A list of parts as content is refused."""
    return _unless(asked, "messages", refused=any(isinstance(said.get("content"), list) for said in _said(asked)))


@FAULTS.at(
    "asked",
    every=(
        "request.any-turns",
        "request.accepts[messages]",
        "request.accepts[messages.content] in dos_ai",
        "request.accepts[messages.role]",
        "-request.accepts[messages.role=developer]",
        "-request.accepts[messages.role=system]",
        "-request.accepts[messages.role=user]",
        "request.accepts[messages.tool_call*] in dos_ai",
        "request.documented-examples in dria openai",
        "request.multi-turn",
        "sessions.completion-id-history",
        "tools.round-trip",
        "tools.several-results in dos_ai openai",
    ),
)
def earlier_answers_refused(asked: Json, _: object) -> Json:
    """A conversation with an answer in it is refused."""
    return _unless(asked, "messages", refused=any(said.get("role") == "assistant" for said in _said(asked)))


@FAULTS.at(
    "asked",
    every=(
        "request.accepts[messages.role=developer]",
        "request.documented-examples in openai",
    ),
)
def developer_refused(asked: Json, _: object) -> Json:
    """The role developer is refused."""
    return _unless(asked, "messages", refused=any(said.get("role") == "developer" for said in _said(asked)))


@FAULTS.at(
    "asked",
    every=(
        "stream.equals-plain",
        "chat.stop-any-text",
        "chat.text-intact",
        "errors.status-documented in dria",
        "request.any-text",
        "request.valid-bodies",
        "service.no-server-error",
    ),
)
def emoji_break(asked: Json, _: object) -> Json:
    """A character beyond the basic plane is a server error."""
    if any(
        isinstance(said.get("content"), str) and max(said["content"], default="") > "\uffff" for said in _said(asked)
    ):
        raise ApiError("internal", "Internal error; it has been logged")
    return asked


@FAULTS.at(
    "asked",
    every=(
        "stream.equals-plain",
        "chat.stop-any-text",
        "chat.text-intact",
        "logprobs.present",
        "logprobs.top-count",
        "logprobs.values",
        "request.accepts[stream]",
        "request.stream-default",
        "request.valid-bodies not adaptive openai",
        "service.json-content-type",
    ),
)
def false_streams(asked: Json, _: object) -> Json:
    """`stream: false` streams."""
    return {**asked, "stream": True} if asked.get("stream") is False else asked


@FAULTS.at(
    "asked",
    every=(
        "chat.length-finish in openai",
        "chat.max-tokens-bounds in openai",
        "logprobs.asked in openai",
        "request.rejects[max_completion_tokens:nonpositive]",
        "request.token-limit-aliases",
        "usage.within-limit in aqueduct openai",
    ),
)
def newer_limit_ignored(asked: Json, dialect: Dialect) -> Json:
    """max_completion_tokens is taken and ignored."""
    documented = dialect.documents("max_completion_tokens") and isinstance(asked.get("max_completion_tokens"), int)
    return {**asked, "max_completion_tokens": None} if documented else asked


@FAULTS.at(
    "asked",
    every=(
        "request.rejects[logit_bias:values]",
        "sampling.logit-bias-safe",
        "service.no-server-error in aqueduct openai",
    ),
)
def unknown_bias_breaks(asked: Json, _: object) -> Json:
    """A bias for a token that does not exist is a server error."""
    bias = asked.get("logit_bias")
    if isinstance(bias, dict) and not all(token.isdigit() and int(token) < 10**6 for token in bias):
        raise ApiError("internal", "Internal error; it has been logged")
    return asked


@FAULTS.at(
    "asked",
    every=(
        "request.accepts[labels]",
        "sessions.labels",
    ),
)
def empty_labels_refused(asked: Json, _: object) -> Json:
    """An empty map of labels is refused."""
    return _unless(asked, "labels", refused=asked.get("labels", 0) == {})


@FAULTS.at(
    "asked",
    every=(
        "request.accepts[messages.completion_id]",
        "sessions.completion-id-history",
    ),
)
def completion_id_refused(asked: Json, _: object) -> Json:
    """A message with the id of a completion is refused."""
    return _unless(asked, "messages", refused=any("completion_id" in said for said in _said(asked)))


@FAULTS.at("asked", every=("request.json-spelling", "request.documented-examples in dos_ai"))
def model_must_come_first(asked: Json, _: object) -> Json:
    """A body whose first member is messages has no model."""
    if next(iter(asked), None) == "messages":
        raise ApiError("missing_field", "model: this field is required", "model")
    return asked


@FAULTS.at("asked", every=("sessions.streaming-typo",))
def streaming_for_stream_refused(asked: Json, _: object) -> Json:
    """`streaming`, as the page itself once writes it, is refused."""
    return _unless(asked, "streaming", refused="streaming" in asked)


def _unless(asked: Json, field: str, *, refused: bool) -> Json:
    if refused:
        raise ApiError("out_of_range", f"{field}: this is not supported", field)
    return asked


def _said(asked: Json) -> list[Json]:
    found = asked.get("messages")
    return [said for said in found if isinstance(said, dict)] if isinstance(found, list) else []


def _number(value: object) -> float:
    return value if isinstance(value, (int, float)) else 0
