"""Deliberate departures from the plain course of an answer: named functions hooked where they would happen.

A place is a point of the way from request to bytes. What is passed there, changed or not, goes on:

    skip      the set of checks left out on acceptance (auth, standing, unknown_model, out_of_range); context: the request
    spent     the ApiError of a key whose window is spent, or None
    asked     the document that the client sent; the context is the dialect
    order     the decoded Order
    events    the events of one step of the engine
    body      the answer as one JSON document
    chunks    the chunks that one event makes due
    document  every body and every chunk
    frame     the bytes of one event
    tail      the list of frames that end a stream
    head      (status, headers) of an answer that is not a refusal
    refusal   a Refusal
    write     the list of pieces in which bytes are written
    dumps     the arguments of json.dumps
    delay     seconds to wait before the first byte
    limits    the headers that tell where a key stands
    models    the list of models, or one model
    health    the body that tells that the server is well
    headers   the (name, value) pairs of any answer's head; the context is the request's ASGI scope
    bytes     a whole answer as it goes over the connection, which is closed after it; the context is the scope
    gone      nothing: a client has left before its answer was complete
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["PLACES", "Alteration", "Alterations", "Catalogue"]

PLACES = (
    "skip", "spent", "asked", "order", "events", "body", "chunks", "document", "frame", "tail", "head", "refusal", "write", "dumps",
    "delay", "limits", "health", "headers", "bytes", "gone", "models",
)  # fmt: skip
Act = Any  # a function of the place's value and the answer's context


@dataclass(frozen=True, slots=True)
class Alteration:
    """One departure: what it does in a sentence, what happens at which place, and which checks it breaks by dialect.

    It `remembers` when what it does to an answer hangs on earlier requests.
    """

    name: str
    says: str
    acts: Mapping[str, Act]
    breaks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    remembers: bool = False

    def broken(self, dialect: str) -> tuple[str, ...]:
        """The ids of the checks that this turns red in a dialect: those of every dialect ("*") and its own."""
        return (*self.breaks.get("*", ()), *self.breaks.get(dialect, ()))


class Catalogue:
    """The alterations of one module by name, filled by decorating functions with `at`."""

    def __init__(self) -> None:
        self.all: dict[str, Alteration] = {}

    def at(
        self, place: str, name: str | None = None, *, remembers: bool = False, **breaks: tuple[str, ...]
    ) -> Callable[[Act], Act]:
        """Register a function under a name, its own with dashes if none is given, or as a further act of that name.

        `every` lists the checks that it breaks in every dialect, `dria` and so on those in one.
        """

        def register(act: Act) -> Act:
            own = name or act.__name__.replace("_", "-")
            known = self.all.get(own)
            says = known.says if known else (act.__doc__ or "").strip().rstrip(".")
            declared = {"*" if dialect == "every" else dialect: checks for dialect, checks in breaks.items()}
            acts = {**(known.acts if known else {}), place: act}
            kept = declared or (known.breaks if known else {})
            self.all[own] = Alteration(own, says, acts, kept, remembers or bool(known and known.remembers))
            return act

        return register


class Alterations:
    """Those in force. `apply` passes a value through all that are hooked at a place."""

    def __init__(self, chosen: Iterable[Alteration] = ()) -> None:
        self.chosen = tuple(chosen)
        self._acts = {place: [a.acts[place] for a in self.chosen if place in a.acts] for place in PLACES}

    def apply(self, place: str, value: Any, context: Any = None) -> Any:  # noqa: ANN401 - each place has its own type
        """The value after every alteration at this place; `context` is what the answer remembers between calls."""
        for act in self._acts[place]:
            value = act(value, context)
        return value

    def any(self, place: str) -> bool:
        """Whether something is hooked there."""
        return bool(self._acts[place])
