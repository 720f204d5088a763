"""Faults of how requests are read: what is refused though documented, and accepted though not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reference_server.faults.catalogue import FAULTS
from reference_server.faults.groups import NO_ANSWER, REQUEST_RULES, told, undefined

if TYPE_CHECKING:
    from dialects import Dialect
    from reference_server.errors import ApiError, Refusal

Json = dict[str, Any]


@FAULTS.at(
    "refusal",
    every=(
        "request.malformed-json",
        "request.empty-body",
        "request.hostile-json",
        "request.broken-bytes",
        "structured_output.bad-schema",
        "service.no-server-error",
        "errors.status[malformed_json]",
        "errors.type[malformed_json]",
        "errors.status-documented in dria",
    ),
)
def server_error_on_malformed_json(refusal: Refusal, error: ApiError) -> Refusal:
    """A body that is not JSON is answered with 500."""
    return replace(refusal, status=500) if error.cause == "malformed_json" else refusal


@FAULTS.at(
    "skip",
    every=("request.unknown-model", "request.unknown-model-in-project", "errors.marker", *told("unknown_model")),
)
def unknown_model_accepted(skipped: frozenset[str], _: object) -> frozenset[str]:
    """Every model id is accepted and echoed."""
    return skipped | {"unknown_model"}


@FAULTS.at(
    "skip",
    every=(
        "request.rejects:range",
        "request.rejects:items",
        "request.rejects:enum",
        "request.rejects:format",
        "request.rejects:length",
        "errors.status[out_of_range]",
        "errors.type[out_of_range]",
        "-request.rejects[modalities:enum]",
        "-request.rejects[messages.content.type:enum]",
        "-request.rejects[messages:items] in openai",
        "-request.rejects[tool_choice.type:enum] in openai",
    ),
)
def values_not_checked(skipped: frozenset[str], _: object) -> frozenset[str]:
    """Values outside the documented ranges, lists and forms are accepted."""
    return skipped | {"out_of_range"}


@FAULTS.at(
    "refusal",
    every=(
        *NO_ANSWER,
        "errors.status[malformed_json]",
        "errors.type[malformed_json]",
        "request.empty-body",
        "request.malformed-json",
        "service.json-content-type in dria",
    ),
)
def malformed_json_answers_200(refusal: Refusal, error: ApiError) -> Refusal:
    """What is wrong with a body that is no JSON is told with status 200."""
    return replace(refusal, status=200) if error.cause == "malformed_json" else refusal


@FAULTS.at(
    "refusal",
    every=(
        "errors.status[not_object]",
        "request.not-an-object",
        "service.no-server-error",
        "errors.status-documented in dria",
    ),
)
def list_for_object_answers_500(refusal: Refusal, error: ApiError) -> Refusal:
    """A JSON body that is no object is a server error."""
    return replace(refusal, status=500) if error.cause == "not_object" else refusal


@FAULTS.at(
    "refusal",
    every=(
        *REQUEST_RULES["missing_field"],
        *told("missing_field"),
        "errors.param-names-field",
        "errors.status-documented in dria",
        "request.rejects[messages.content:null] in dos_ai",
        "service.no-server-error",
        "stream.error-not-after-200",
        "structured_output.bad-schema",
        "tools.override-shape",
    ),
)
def missing_field_answers_500(refusal: Refusal, error: ApiError) -> Refusal:
    """A request without a field that it needs is a server error."""
    return replace(refusal, status=500) if error.cause == "missing_field" else refusal


@FAULTS.at(
    "refusal",
    every=(
        *REQUEST_RULES["wrong_type"],
        *told("wrong_type"),
        "request.rejects[modalities:enum]",
        "-request.rejects[messages.content:null] in dos_ai",
        "errors.param-names-field",
        "errors.status-documented in dria",
        "service.no-server-error",
        "structured_output.bad-schema",
        "tools.override-shape",
    ),
    adaptive=undefined("messages.completion_id", "system_prompt_args"),
    dos_ai=undefined(
        "frequency_penalty", "max_tokens", "messages.content", "n", "presence_penalty", "stream", "temperature", "top_p"
    ),
    dria=undefined("max_tokens", "response_format", "stream", "temperature", "timeout_secs"),
    solidrust=undefined("max_tokens", "messages.content", "stop", "stream", "temperature", "top_p"),
)
def wrong_type_answers_500(refusal: Refusal, error: ApiError) -> Refusal:
    """A value of the wrong type is a server error."""
    return replace(refusal, status=500) if error.cause == "wrong_type" else refusal


@FAULTS.at(
    "refusal",
    every=(
        *REQUEST_RULES["out_of_range"],
        *told("out_of_range"),
        "-request.rejects[modalities:enum]",
        "errors.status-documented in dria",
        "request.empty-messages",
        "request.empty-messages-safe not adaptive",
        "request.undefined-values[max_tokens] not adaptive",
        "request.undefined-values[max_completion_tokens]",
        "request.undefined-values[messages] not adaptive",
        "request.undefined-values[response_format]",
        "service.no-server-error",
        "sessions.metadata-alias",
        "structured_output.bad-schema",
    ),
)
def range_answers_500(refusal: Refusal, error: ApiError) -> Refusal:
    """A value out of its range is a server error."""
    return replace(refusal, status=500) if error.cause == "out_of_range" else refusal


@FAULTS.at(
    "refusal",
    every=(
        *told("unknown_model"),
        "errors.marker",
        "errors.status-documented in dria",
        "models.retrieve",
        "request.undefined-values[model]",
        "request.unknown-model",
        "request.unknown-model-in-project",
        "service.no-server-error",
    ),
)
def unknown_model_answers_500(refusal: Refusal, error: ApiError) -> Refusal:
    """An unknown model is a server error."""
    return replace(refusal, status=500) if error.cause == "unknown_model" else refusal


@FAULTS.at(
    "refusal",
    every=(
        "errors.status-documented",
        "errors.status[context_overflow]",
        "errors.status[missing_field]",
        "errors.status[out_of_range]",
        "errors.status[unknown_model]",
        "errors.status[wrong_type]",
        "limits.unavailable",
        "request.empty-messages",
        "request.rejects",
        "request.unknown-model",
        "request.unknown-model-in-project",
        "request.oversized-prompt not solidrust",
        "stream.error-not-after-200",
        "vision.bad-image",
    ),
)
def every_refusal_is_teapot(refusal: Refusal, error: ApiError) -> Refusal:
    """Mistakes of fields have a status that nobody documents."""
    return replace(refusal, status=418) if error.field else refusal


@FAULTS.at(
    "asked",
    every=("request.rejects[model:missing]",),
)
def model_not_needed(asked: Json, dialect: Dialect) -> Json:
    """A request without a model is answered by the example's."""
    return {"model": dialect.models.example, **asked}


@FAULTS.at(
    "asked",
    every=(
        *told("missing_field"),
        "errors.param-names-field",
        "request.rejects[messages:missing]",
        "stream.error-not-after-200",
    ),
)
def messages_not_needed(asked: Json, _: object) -> Json:
    """A request without messages is answered all the same."""
    return {"messages": [{"role": "user", "content": "Hello"}], **asked}
