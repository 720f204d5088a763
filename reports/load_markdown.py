"""A load report as Markdown, for a pull request or a chat: verdict, objectives, latencies, rates, failures.

Takes the document that load.schema.json describes. An INVALID certificate stands in the first line and in the table's head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["render"]

Json = dict[str, Any]
ESCAPED = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>|#"} | {"\n": " ", "\r": " "})
FIGURES = ("mean", "p50", "p90", "p99", "p999", "max")


def render(report: Json) -> str:
    """The Markdown of a load report."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Json) -> Iterator[str]:
    scenario, certificate, target = report["scenario"], report["certificate"], report["target"]
    valid = certificate["verdict"] == "VALID"
    yield f"# Load: {_text(scenario['name'])} against {_text(target['url'])}"
    yield ""
    yield f"**Certificate {certificate['verdict']}**" + ("" if valid else ": these numbers are not the target's alone")
    yield from (f"- {_text(reason)}" for reason in certificate["reasons"])
    if not report["complete"]:
        yield f"- incomplete: {_text(report['reason'])}"
    yield ""
    yield (
        f"{_text(target['dialect'])}, model {_text(target['model'])}, {scenario.get('loop', '?')} loop, {scenario.get('workers', '?')} worker(s), "
        f"stamps: {scenario.get('stamps', '?')}; {report['started']} to {report['finished']}"
    )
    if report["slo"]:
        yield from ("", "| objective | observed | verdict |", "|---|--:|---|")
        yield from (
            f"| {_text(row['text'])} | {_number(row['observed'])} | {row['verdict']} |" for row in report["slo"]
        )
    yield from _latencies(report["metrics"], valid=valid)
    yield from ("", "| rate | value | unit |", "|---|--:|---|")
    yield from (
        f"| {_text(row['metric'])} | {_number(row['value'])} | {row['unit']} |"
        for row in report["rates"]
        if row["value"] is not None
    )
    if report["errors"]:
        said = scenario.get("error_examples", {})
        yield from ("", "| failure | count | the first one said |", "|---|--:|---|")
        yield from (
            f"| {_text(row['class'])} | {row['count']} | {_text(said.get(row['class'], ''))} |"
            for row in report["errors"]
        )


def _latencies(metrics: Sequence[Json], *, valid: bool) -> Iterator[str]:
    yield from (
        "",
        f"| latency, ms{'' if valid else ' (INVALID)'} | n | mean | p50 | p90 | p99 | p99.9 | max |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    )
    for row in metrics:
        if row["n"]:
            yield f"| {_text(row['metric'])} | {row['n']} | " + " | ".join(_number(row[key]) for key in FIGURES) + " |"


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:,.4f}".rstrip("0").rstrip(".")


def _text(value: object) -> str:
    return str(value).translate(ESCAPED)
