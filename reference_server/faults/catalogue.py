"""The catalogue of faults, what a declaration in it means, and the sets of checks that several faults break.

`every` lists the checks that turn red in every dialect whose document asks for them, a dialect's name those of that one.
A check is named by its full id, by its id without argument (all of them), or, where only one rule of many fields is
broken, as id and rule: `request.rejects:range` is every `request.rejects[FIELD:range]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference_server.alterations import Catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dialects import Dialect, Requirement
    from reference_server.alterations import Alteration

__all__ = ["FAULTS", "FINISHES", "KEYLESS", "LIMITS", "RULES", "UNREADABLE", "breaks", "requirements", "told"]

FAULTS = Catalogue()
KEYLESS = (
    "auth.missing-key",
    "auth.wrong-key",
    "auth.other-scheme",
    "auth.empty-bearer",
    "auth.every-path",
    "auth.streamed-request-refused",
)
UNREADABLE = (  # a stream of one endless event holds nothing
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
    "structured_output.streamed",
    "tools.arguments-valid",
    "tools.call-shape",
    "tools.finish",
    "tools.named-choice",
    "tools.required-choice",
    "usage.stream-on-request",
    "usage.stream-present",
)
FINISHES = (
    "stream.finish-once",
    "stream.n-choices",
    "stream.equals-plain",
    "chat.length-finish",
    "chat.natural-finish",
    "chat.stop-finish",
    "tools.finish",
)
LIMITS = ("chat.max-tokens-bounds", "chat.length-finish", "usage.within-limit", "request.token-limit-aliases")
RULES = ("range", "items", "enum", "format", "length", "pattern")


def told(*causes: str) -> tuple[str, ...]:
    """The checks that look at how these causes are answered."""
    return tuple(f"errors.{what}[{cause}]" for what in ("status", "type", "code") for cause in causes)


def requirements(fault: Alteration, dialect: Dialect) -> Iterator[Requirement]:
    """The rows of a dialect that this fault turns red: those that list a check which it breaks."""
    broken = fault.broken(dialect.id)
    for row in dialect.requirements:
        if any(breaks(name, check) for name in broken for check in row.checks):
            yield row


def breaks(name: str, check: str) -> bool:
    """Whether a declared name means this check, which stands in a row with its argument."""
    base, _, argument = check.removesuffix("]").partition("[")
    rule = argument.partition(":")[2]
    return name in (check, base, f"{base}[{argument.partition('=')[0]}]") or (bool(rule) and name == f"{base}:{rule}")
