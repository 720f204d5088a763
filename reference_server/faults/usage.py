"""Faults of counting tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference_server.faults.catalogue import FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable


Json = dict[str, Any]


@FAULTS.at(
    "document",
    every=(
        "clients.openai-python",
        "usage.stream-sum not dria solidrust",
        "usage.sum",
    ),
)
def usage_sum_wrong(document: Json, _: object) -> Json:
    """The total is one more than the sum of its parts."""
    if document.get("usage"):
        document["usage"]["total_tokens"] += 1
    return document


@FAULTS.at("body", every=("usage.prompt-positive", "usage.grows-with-prompt", "usage.stream-equals-plain"))
def prompt_not_counted(body: Json, _: object) -> Json:
    """The prompt is counted as no tokens in whole answers."""
    return {**body, "usage": {**body["usage"], "prompt_tokens": 0, "total_tokens": body["usage"]["completion_tokens"]}}


@FAULTS.at(
    "chunks",
    every=(
        "usage.stream-once",
        "usage.stream-null-before in openai",
        "usage.stream-own-chunk",
    ),
)
def usage_twice(chunks: list[Json], _: object) -> list[Json]:
    """The chunk with usage comes twice."""
    return [copy for chunk in chunks for copy in ([chunk, {**chunk, "choices": []}] if chunk.get("usage") else [chunk])]


@FAULTS.at(
    "body",
    every=(
        "chat.field[usage:present]",
        "chat.field[usage]",
    ),
)
def usage_missing(body: Json, _: object) -> Json:
    """Whole answers have no usage."""
    return {name: value for name, value in body.items() if name != "usage"}


@FAULTS.at(
    "body",
    every=(
        "chat.field[usage]",
        "chat.field[usage:present] in aqueduct",
        "chat.field[usage:type] in openai",
    ),
)
def usage_null(body: Json, _: object) -> Json:
    """The usage of whole answers is null."""
    return {**body, "usage": None}


@FAULTS.at(
    "body",
    every=(
        "usage.completion-counted",
        "usage.grows-with-prompt",
        "usage.n-covers-all",
        "usage.prompt-positive",
        "usage.stream-equals-plain",
    ),
)
def usage_all_zero(body: Json, _: object) -> Json:
    """The counts of whole answers are 0."""
    return _usage(body, lambda usage: dict.fromkeys(usage, 0) | _details(usage))


@FAULTS.at(
    "body",
    every=(
        "chat.field[usage.completion_tokens]",
        "chat.field[usage.prompt_tokens]",
        "chat.field[usage.total_tokens]",
    ),
)
def counts_as_text(body: Json, _: object) -> Json:
    """The counts of whole answers are text."""
    return _usage(body, lambda usage: {k: str(v) if isinstance(v, int) else v for k, v in usage.items()})


@FAULTS.at(
    "body",
    every=(
        "chat.field[usage.completion_tokens]",
        "chat.field[usage.prompt_tokens]",
        "chat.field[usage.total_tokens]",
        "clients.openai-python",
    ),
)
def counts_as_fractions(body: Json, _: object) -> Json:
    """The counts of whole answers are averages."""
    return _usage(body, lambda usage: {k: v + 0.5 if isinstance(v, int) else v for k, v in usage.items()})


@FAULTS.at(
    "body",
    every=(
        "chat.field[usage.total_tokens]",
        "clients.openai-python",
    ),
)
def total_missing(body: Json, _: object) -> Json:
    """Whole answers have no total."""
    return _usage(body, lambda usage: {k: v for k, v in usage.items() if k != "total_tokens"})


@FAULTS.at(
    "body",
    every=(
        "usage.completion-counted",
        "usage.n-covers-all",
        "usage.stream-equals-plain",
    ),
)
def answer_not_counted(body: Json, _: object) -> Json:
    """The answer is counted as no tokens in whole answers."""
    return _usage(body, lambda usage: {**usage, "completion_tokens": 0, "total_tokens": usage["prompt_tokens"]})


@FAULTS.at("document", every=("usage.grows-with-prompt",))
def prompt_always_ten(document: Json, _: object) -> Json:
    """Every prompt is counted as ten tokens."""
    return _usage(document, lambda u: {**u, "prompt_tokens": 10, "total_tokens": 10 + u["completion_tokens"]})


@FAULTS.at("body", every=("usage.n-covers-all",))
def only_first_choice_counted(body: Json, _: object) -> Json:
    """Of several choices one is counted."""
    n = len(body["choices"])
    return _usage(
        body,
        lambda u: {
            **u,
            "completion_tokens": u["completion_tokens"] // n,
            "total_tokens": u["prompt_tokens"] + u["completion_tokens"] // n,
        },
    )


def _usage(document: Json, change: Callable[[Json], Json]) -> Json:
    return {**document, "usage": change(document["usage"])} if document.get("usage") else document


def _details(usage: Json) -> Json:
    return {name: value for name, value in usage.items() if isinstance(value, dict)}
