"""Faults to inject, each small and each at the place where a real server would go wrong; one module a chapter."""

from __future__ import annotations

from reference_server.faults import answers, chat, errors, features, frames, request, service, stream, tools, usage  # noqa: F401 - they register
from reference_server.faults.catalogue import FAULTS, breaks, requirements

__all__ = ["FAULTS", "breaks", "requirements"]
