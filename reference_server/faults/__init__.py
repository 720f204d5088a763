"""Faults to inject, each small and each at the place where a real server would go wrong; one module a chapter."""

from __future__ import annotations

from reference_server.faults import (  # noqa: F401 - they register
    answers,
    awkward,
    chat,
    chunks,
    connection,
    errors,
    fields,
    frames,
    keys,
    models,
    request,
    service,
    stream,
    text,
    together,
    tools,
    transport,
    usage,
)
from reference_server.faults.catalogue import FAULTS, broken, requirements
from reference_server.faults.names import means

__all__ = ["FAULTS", "broken", "means", "requirements"]
