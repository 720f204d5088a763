"""Faults to inject, each small and each at the place where a real server would go wrong; one module a chapter."""

from __future__ import annotations

from reference_server.faults import answers, chat, errors, frames, request, service, stream, tools, usage  # noqa: F401 - they register
from reference_server.faults.catalogue import FAULTS, broken, requirements
from reference_server.faults.names import means

__all__ = ["FAULTS", "broken", "means", "requirements"]
