"""A badge (SVG) with the dialect on the left and the verdict with its figures on the right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports import clean
from reports.gate import WORDS, judge
from reports.model import LoadReport, Report

if TYPE_CHECKING:
    from reports.baseline import Baseline

COLOURS = ("#1a7f4b", "#c62828", "#8a5a00")
LONGEST = 60
CHARACTER = 6.6  # px: the mean advance of 11 px Verdana, DejaVu Sans and Segoe UI


def badge(report: Report | LoadReport, baseline: Baseline | None = None, level: str | None = None) -> str:
    """The SVG document as text."""
    result = judge(report, baseline, level)
    left = clean.shortened(report.target.dialect, LONGEST)
    right = f"{WORDS[result.code]} {_figures(report)}".strip()
    return _svg(left, right, COLOURS[result.code])


def _figures(report: Report | LoadReport) -> str:
    if isinstance(report, LoadReport):
        return f"{sum(slo.verdict == 'pass' for slo in report.slo)}/{len(report.slo)} objectives" if report.slo else ""
    musts = [row for row in report.requirements if row.level == "MUST"]
    return f"{sum(row.verdict == 'pass' for row in musts)}/{len(musts)} MUST"


def _svg(left: str, right: str, colour: str) -> str:
    a, b = (round(len(text) * CHARACTER + 12) for text in (left, right))
    title = clean.svg(f"{left}: {right}")
    text = 'fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{a + b}" height="20" role="img" aria-label="{title}">'
        f'<title>{title}</title><clipPath id="r"><rect width="{a + b}" height="20" rx="4"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{a}" height="20" fill="#3a4048"/>'
        f'<rect x="{a}" width="{b}" height="20" fill="{colour}"/></g>'
        f'<text x="{a / 2}" y="14" {text}>{clean.svg(left)}</text>'
        f'<text x="{a + b / 2}" y="14" {text}>{clean.svg(right)}</text></svg>\n'
    )
