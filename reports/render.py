"""Which renderings there are, by name, and which of them a run's folder receives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from reports.html import html
from reports.junit import junit
from reports.markdown import markdown
from reports.model import LoadReport, Report

if TYPE_CHECKING:
    from pathlib import Path

    from reports.baseline import Baseline


class Renderer(Protocol):
    """A pure function from a report to text."""

    def __call__(self, report: Report | LoadReport, baseline: Baseline | None = None, level: str | None = None) -> str:
        """The rendering, as gated with this baseline and level."""


RENDERERS: dict[str, Renderer] = {"html": html, "junit": junit, "markdown": markdown}
IN_FOLDER = {
    Report: {"junit.xml": "junit", "report.html": "html", "report.md": "markdown"},
    LoadReport: {"load.html": "html", "load.md": "markdown"},
}


def renderings(report: Report | LoadReport, baseline: Baseline | None, path: Path) -> dict[str, str]:
    """File name to text, for the folder in which the JSON document lies at that path."""
    del path
    return {name: RENDERERS[kind](report, baseline) for name, kind in IN_FOLDER[type(report)].items()}
