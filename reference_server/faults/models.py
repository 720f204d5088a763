"""Faults of the list of models."""

from __future__ import annotations

from typing import Any

from reference_server.faults.catalogue import FAULTS

Json = dict[str, Any]


@FAULTS.at(
    "models",
    every=(
        "models.list",
        "models.lists-the-judged",
    ),
)
def no_model_listed(found: Json, _: object) -> Json:
    """The list of models is empty."""
    return {**found, "data": []} if "data" in found else found


@FAULTS.at("models", every=("models.list",))
def models_listed_twice(found: Json, _: object) -> Json:
    """Every model stands twice in the list."""
    return {**found, "data": found["data"] * 2} if "data" in found else found


@FAULTS.at(
    "models",
    every=(
        "models.lists-the-judged",
        "models.retrieve",
    ),
)
def other_models_listed(found: Json, _: object) -> Json:
    """The list names other models than those that are served."""
    return {**found, "data": [{**one, "id": f"old-{one['id']}"} for one in found["data"]]} if "data" in found else found


@FAULTS.at("models", every=("models.field[data.owned_by]",))
def owner_missing(found: Json, _: object) -> Json:
    """Models have no owner."""
    listed = [{k: v for k, v in one.items() if k != "owned_by"} for one in found.get("data", ())]
    return {**found, "data": listed} if "data" in found else found


@FAULTS.at("models", every=("models.field[data.created]",))
def model_created_as_text(found: Json, _: object) -> Json:
    """The time of models is in words."""
    listed = [{**one, "created": "2026-01-01"} for one in found.get("data", ())]
    return {**found, "data": listed} if "data" in found else found


@FAULTS.at("models", every=("models.retrieve",))
def another_model_found(found: Json, _: object) -> Json:
    """A model looked up by its id has another id."""
    return found if "data" in found else {**found, "id": "default"}
