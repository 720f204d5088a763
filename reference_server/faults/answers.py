"""Faults of the members of whole answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference_server.faults.catalogue import FAULTS
from reference_server.faults.groups import NO_CHOICE

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_server.answers import Trail

Json = dict[str, Any]
MILLI = 1000


@FAULTS.at("body", every=("chat.ids-unique", "service.concurrent-answers"))
def same_id_again(body: Json, _: object) -> Json:
    """Every whole answer has the same id."""
    return {**body, "id": f"{body['id'].partition('-')[0]}-1"}


@FAULTS.at(
    "body",
    every=(
        "chat.choices-asked",
        "chat.n-choices",
    ),
)
def one_choice_only(body: Json, _: object) -> Json:
    """`n` is accepted and one choice comes in whole answers."""
    return {**body, "choices": body["choices"][:1]}


@FAULTS.at("body", every=("chat.field[id]",))
def id_missing(body: Json, _: object) -> Json:
    """Whole answers have no id."""
    return {name: value for name, value in body.items() if name != "id"}


@FAULTS.at("body", every=("chat.field[id]",))
def id_null(body: Json, _: object) -> Json:
    """The id of whole answers is null."""
    return {**body, "id": None}


@FAULTS.at("body", every=("chat.field[id]",))
def id_is_a_number(body: Json, trail: Trail) -> Json:
    """The id of whole answers is a number."""
    return {**body, "id": int(trail.stamp.id[-8:], 16)}


@FAULTS.at("body", every=("chat.id-prefix",))
def id_without_prefix(body: Json, _: object) -> Json:
    """The id of whole answers has another form than the document's examples."""
    return {**body, "id": f"req_{body['id'].rpartition('-')[2]}"}


@FAULTS.at("body", every=("chat.field[object] not dria",))
def object_of_another_api(body: Json, _: object) -> Json:
    """Whole answers say that they are text completions."""
    return {**body, "object": "text_completion"} if "object" in body else body


@FAULTS.at("body", every=("chat.field[created] not dria",))
def created_missing(body: Json, _: object) -> Json:
    """Whole answers do not say when they were made."""
    return {name: value for name, value in body.items() if name != "created"}


@FAULTS.at("document", every=("chat.created-is-now",))
def created_in_milliseconds(document: Json, _: object) -> Json:
    """The time is in milliseconds."""
    return {**document, "created": document["created"] * MILLI} if "created" in document else document


@FAULTS.at("body", every=("chat.field[created] not dria",))
def created_as_text(body: Json, _: object) -> Json:
    """The time of whole answers is in words."""
    return {**body, "created": "2026-01-01T00:00:00Z"} if "created" in body else body


@FAULTS.at(
    "document",
    every=(
        "chat.created-is-now",
        "chat.field[created] in adaptive aqueduct openai",
        "stream.field[created] in adaptive aqueduct openai",
    ),
)
def created_never(document: Json, _: object) -> Json:
    """The time is always 0."""
    return {**document, "created": 0} if "created" in document else document


@FAULTS.at("body", every=("chat.field[model]",))
def model_missing(body: Json, _: object) -> Json:
    """Whole answers do not name the model."""
    return {name: value for name, value in body.items() if name != "model"}


@FAULTS.at("body", every=("chat.field[model]",))
def model_null(body: Json, _: object) -> Json:
    """The model of whole answers is null."""
    return {**body, "model": None} if "model" in body else body


@FAULTS.at("document", every=("chat.model-echoed",))
def another_model_answers(document: Json, _: object) -> Json:
    """Another model than the one asked for is named."""
    return {**document, "model": "cheaper-model"} if "model" in document else document


@FAULTS.at(
    "body",
    every=(
        "structured_output.together",
        *NO_CHOICE,
        "chat.field[choices] not adaptive",
        "chat.n-choices",
        "chat.one-choice-by-default",
        "tools.auto-no-crash",
        "tools.round-trip",
    ),
)
def choices_empty(body: Json, _: object) -> Json:
    """Whole answers have no choice."""
    return {**body, "choices": []}


@FAULTS.at(
    "body",
    every=(
        "structured_output.together in dria",
        *NO_CHOICE,
        "chat.field[choices]",
        "tools.auto-no-crash",
        "tools.round-trip",
    ),
)
def choice_by_itself(body: Json, _: object) -> Json:
    """A single choice is not in a list."""
    return {**body, "choices": body["choices"][0]} if len(body["choices"]) == 1 else body


@FAULTS.at(
    "body",
    every=(
        "chat.choices-asked",
        "chat.choices-independent",
        "chat.n-choices",
        "chat.one-choice-by-default",
    ),
)
def two_choices_unasked(body: Json, _: object) -> Json:
    """Whole answers have one choice more than was asked for."""
    extra = {**body["choices"][-1], "index": len(body["choices"])}
    return {**body, "choices": [*body["choices"], extra]}


@FAULTS.at("body", every=("chat.field[choices.index] not dria",))
def index_missing(body: Json, _: object) -> Json:
    """The choices of whole answers have no index."""
    return _choices(body, lambda choice: {k: v for k, v in choice.items() if k != "index"})


@FAULTS.at("body", every=("chat.field[choices.index] not dria",))
def index_as_text(body: Json, _: object) -> Json:
    """The index of whole answers' choices is text."""
    return _choices(body, lambda choice: {**choice, "index": str(choice["index"])} if "index" in choice else choice)


def _choices(body: Json, change: Callable[[Json], Json]) -> Json:
    return {**body, "choices": [change(choice) for choice in body["choices"]]}
