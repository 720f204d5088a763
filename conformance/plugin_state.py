"""What the plugin keeps on pytest's config during a run. `STATE` is absent when no --target was given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from conformance.verdict import Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from conformance.chat import Chat
    from conformance.coverage import Coverage
    from conformance.judge import Judge
    from conformance.options import Options
    from conformance.results import Results
    from conformance.selection import Selection
    from conformance.target import Embedded
    from reports.baseline import Baseline
    from reports.model import Report

__all__ = ["OUTCOME", "STATE", "State"]


@dataclass
class State:
    """A run: options and selection everywhere, judge and chat where checks run, results where the report is made."""

    options: Options
    selection: Selection
    judge: Judge
    chat: Chat
    results: Results | None = None
    embedded: Embedded | None = None
    plan: list[str] = field(default_factory=list)
    report: Report | None = None
    baseline: Baseline | None = None
    path: Path | None = None
    trouble: str | None = None
    covered: Coverage | None = None
    spent: Any = None
    notes: dict[str, Any] = field(default_factory=lambda: {"skipped": {}, "unknown": [], "partial": None, "gone": None})


STATE = pytest.StashKey[State]()
OUTCOME = pytest.StashKey[Outcome]()
