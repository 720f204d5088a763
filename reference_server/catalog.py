"""The models that a dialect serves, how their ids are read, and the two documents that list them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from reference_server.errors import ApiError

if TYPE_CHECKING:
    from dialects import Dialect

__all__ = ["SLOW", "TEXT_ONLY", "UNAVAILABLE", "Catalog"]

# Known to every dialect though no list has them, so that clients can see how each case is said: never up, never in time,
# and blind to images.
UNAVAILABLE, SLOW, TEXT_ONLY = "unavailable-model", "slow-model", "text-only-model"
OWNERS = {"solidrust": "solidrust", "dos_ai": "dos-ai", "aqueduct": "aqueduct", "dria": "dria", "openai": "system"}


class Catalog:
    """Model ids of one dialect: the example of its document, and those given on the command line."""

    def __init__(self, dialect: Dialect, extra: tuple[str, ...] = ()) -> None:
        self._dialect = dialect
        self._projects = dialect.models.default_of is not None
        self._ids = tuple(dict.fromkeys([dialect.models.example, *extra]))
        self._created = int(time.time())

    def resolve(self, model: str, *, accept_any: bool = False) -> str:
        """The name of the model that answers to this id. Raises ApiError(unknown_model | unavailable)."""
        leaf = model.rpartition("/")[2]
        if leaf in (SLOW, TEXT_ONLY):
            return leaf
        if leaf == UNAVAILABLE:
            raise ApiError("unavailable", f"model: {model!r} has no capacity at the moment", "model", retry_after=1)
        if accept_any or model in self._ids:
            return model.rpartition("/")[2] if self._projects else model
        return self._of_project(model) if self._projects else self._unknown(model)

    def _of_project(self, model: str) -> str:
        """`{project}/{model}`, or `{project}` alone for its default model (seed 002 L95)."""
        project, default = self._ids[0].split("/", 1)
        if model in (project, self._dialect.models.default_of):
            return default
        if model.startswith(f"{project}/"):
            raise ApiError("unknown_model", f"EntityNotFound: model {model.split('/', 1)[1][:80]!r}", "model")
        raise ApiError("unknown_model", f"EntityNotFound: project {model.split('/', 1)[0][:80]!r}", "model")

    def _unknown(self, model: str) -> str:
        raise ApiError(
            "unknown_model", f"model: {model[:80]!r} does not exist; there is {', '.join(self._ids)}", "model"
        )

    def listed(self) -> dict[str, Any]:
        """The list of models."""
        return {"object": "list", "data": [self._entry(name) for name in self._ids]}

    def one(self, model: str) -> dict[str, Any]:
        """One model. Raises ApiError(unknown_model)."""
        if model not in self._ids:
            self._unknown(model)
        return self._entry(model)

    def _entry(self, name: str) -> dict[str, Any]:
        entry = {
            "id": name,
            "object": "model",
            "created": self._created,
            "owned_by": OWNERS.get(self._dialect.id, "reference"),
        }
        return {**entry, "permission": [], "root": name, "parent": None} if self._dialect.id == "solidrust" else entry
