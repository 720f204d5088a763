"""Which renderings there are, by name, and which of them a run's folder receives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from reports.badge import badge
from reports.ctrf import ctrf
from reports.har import har
from reports.html import html
from reports.junit import junit
from reports.markdown import markdown
from reports.model import LoadReport, Report
from reports.redact import redacted
from reports.sarif import sarif

if TYPE_CHECKING:
    from reports.baseline import Baseline


class Renderer(Protocol):
    """A pure function from a report to text."""

    def __call__(self, report: Report | LoadReport, baseline: Baseline | None = None, level: str | None = None) -> str:
        """The rendering, as gated with this baseline and level."""


RENDERERS: dict[str, Renderer] = {
    "html": html,
    "junit": junit,
    "markdown": markdown,
    "badge": badge,
    "sarif": sarif,
    "ctrf": ctrf,
    "har": har,
}
IN_FOLDER = {
    Report: {"junit.xml": "junit", "report.html": "html", "report.md": "markdown"},
    LoadReport: {"load.html": "html", "load.md": "markdown"},
}


def rendered(
    kind: str,
    report: Report | LoadReport,
    baseline: Baseline | None = None,
    level: str | None = None,
    secrets: tuple[str, ...] = (),
) -> str:
    """One rendering of a report, masked again: the report may come from another tool or an older version."""
    return RENDERERS[kind](redacted(report, secrets), baseline, level)


def renderings(report: Report | LoadReport, baseline: Baseline | None = None) -> dict[str, str]:
    """File name to text, for the folder of a report that is masked already."""
    return {name: RENDERERS[kind](report, baseline) for name, kind in IN_FOLDER[type(report)].items()}
