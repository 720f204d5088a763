"""Faults of the members of whole answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference_server.faults.catalogue import FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from reference_server.answers import Trail

Json = dict[str, Any]
MILLI = 1000


@FAULTS.at("body", every=("chat.ids-unique", "service.concurrent-answers"))
def same_id_again(body: Json, _: object) -> Json:
    """Every whole answer has the same id."""
    return {**body, "id": f"{body['id'].partition('-')[0]}-1"}


@FAULTS.at("body", every=("chat.n-choices",))
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


@FAULTS.at(
    "body",
    aqueduct=("chat.field[object]",),
    dos_ai=("chat.field[object]",),
    openai=("chat.field[object]",),
    solidrust=("chat.field[object]",),
)
def object_of_another_api(body: Json, _: object) -> Json:
    """Whole answers say that they are text completions."""
    return {**body, "object": "text_completion"} if "object" in body else body


@FAULTS.at(
    "body",
    adaptive=("chat.field[created]",),
    aqueduct=("chat.field[created]",),
    dos_ai=("chat.field[created]",),
    openai=("chat.field[created]",),
    solidrust=("chat.field[created]",),
)
def created_missing(body: Json, _: object) -> Json:
    """Whole answers do not say when they were made."""
    return {name: value for name, value in body.items() if name != "created"}


@FAULTS.at("document", every=("chat.created-is-now",))
def created_in_milliseconds(document: Json, _: object) -> Json:
    """The time is in milliseconds."""
    return {**document, "created": document["created"] * MILLI} if "created" in document else document


@FAULTS.at(
    "body",
    adaptive=("chat.field[created]",),
    aqueduct=("chat.field[created]",),
    dos_ai=("chat.field[created]",),
    openai=("chat.field[created]",),
    solidrust=("chat.field[created]",),
)
def created_as_text(body: Json, _: object) -> Json:
    """The time of whole answers is in words."""
    return {**body, "created": "2026-01-01T00:00:00Z"} if "created" in body else body


@FAULTS.at(
    "document",
    every=("chat.created-is-now",),
    adaptive=(
        "chat.field[created]",
        "stream.field[created]",
    ),
    aqueduct=(
        "chat.field[created]",
        "stream.field[created]",
    ),
    openai=(
        "chat.field[created]",
        "stream.field[created]",
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
        "chat.length-finish",
        "chat.n-choices",
        "chat.natural-finish",
        "chat.one-choice-by-default",
        "chat.text-present",
        "clients.openai-python",
        "request.default-model",
        "sampling.penalties-accepted",
        "stream.equals-plain",
        "structured_output.json-object",
        "structured_output.json-schema",
        "tools.auto-no-crash",
        "tools.named-choice",
        "tools.required-choice",
        "tools.round-trip",
    ),
    aqueduct=("chat.field[choices]",),
    dos_ai=("chat.field[choices]",),
    dria=("chat.field[choices]",),
    openai=("chat.field[choices]",),
    solidrust=("chat.field[choices]",),
)
def choices_empty(body: Json, _: object) -> Json:
    """Whole answers have no choice."""
    return {**body, "choices": []}


@FAULTS.at(
    "body",
    every=(
        "chat.field[choices]",
        "chat.length-finish",
        "chat.natural-finish",
        "chat.text-present",
        "clients.openai-python",
        "request.default-model",
        "sampling.penalties-accepted",
        "stream.equals-plain",
        "structured_output.json-object",
        "structured_output.json-schema",
        "tools.auto-no-crash",
        "tools.named-choice",
        "tools.required-choice",
        "tools.round-trip",
    ),
)
def choice_by_itself(body: Json, _: object) -> Json:
    """A single choice is not in a list."""
    return {**body, "choices": body["choices"][0]} if len(body["choices"]) == 1 else body


@FAULTS.at(
    "body",
    every=(
        "chat.choices-independent",
        "chat.n-choices",
        "chat.one-choice-by-default",
    ),
)
def two_choices_unasked(body: Json, _: object) -> Json:
    """Whole answers have one choice more than was asked for."""
    extra = {**body["choices"][-1], "index": len(body["choices"])}
    return {**body, "choices": [*body["choices"], extra]}


@FAULTS.at(
    "body",
    adaptive=("chat.field[choices.index]",),
    aqueduct=("chat.field[choices.index]",),
    dos_ai=("chat.field[choices.index]",),
    openai=("chat.field[choices.index]",),
    solidrust=("chat.field[choices.index]",),
)
def index_missing(body: Json, _: object) -> Json:
    """The choices of whole answers have no index."""
    return _choices(body, lambda choice: {k: v for k, v in choice.items() if k != "index"})


@FAULTS.at(
    "body",
    adaptive=("chat.field[choices.index]",),
    aqueduct=("chat.field[choices.index]",),
    dos_ai=("chat.field[choices.index]",),
    openai=("chat.field[choices.index]",),
    solidrust=("chat.field[choices.index]",),
)
def index_as_text(body: Json, _: object) -> Json:
    """The index of whole answers' choices is text."""
    return _choices(body, lambda choice: {**choice, "index": str(choice["index"])} if "index" in choice else choice)


def _choices(body: Json, change: Callable[[Json], Json]) -> Json:
    return {**body, "choices": [change(choice) for choice in body["choices"]]}
