"""Where a report comes from: the tool that made it, the target it speaks of, the time it was made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Tool:
    """Who made the report."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Target:
    """Who was judged or loaded: base URL, dialect id, model id (None where none could be found)."""

    url: str
    dialect: str
    model: str | None


def this_tool() -> Tool:
    """The installed distribution; version "0" when it runs from a source tree that is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    name = "chat-conformance"
    try:
        return Tool(name, version(name))
    except PackageNotFoundError:
        return Tool(name, "0")


def utc_now() -> str:
    """The present moment as a report writes it: ISO 8601, UTC, milliseconds, Z."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
