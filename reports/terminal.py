"""The end of a run on a terminal: a summary by chapter on one screen, then one block a failed requirement.

Pure functions make lines; `summarise` prints them. Each line begins with words of ours, and nothing that a target wrote
begins a line, moves the cursor or sets a colour. Layout is ASCII; what a console cannot encode becomes an escape.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich.text import Text

from reports import clean, words
from reports.gate import GateResult, judge
from reports.model import LoadReport, Report, RequirementResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console

    from reports.baseline import Baseline

STYLES = {
    "pass": "green",
    "fail": "bold red",
    "error": "magenta",
    "not-run": "yellow",
    "inconclusive": "yellow",
    "untested": "cyan",
    "not-applicable": "dim",
}
RESULT_STYLES = ("bold green", "bold red", "bold yellow")
NARROW = {"not-applicable": "n/a", "inconclusive": "unclear"}
CURL_LIMIT = 4000
TEXT_LIMIT = 600


def summarise(
    report: Report | LoadReport,
    console: Console,
    *,
    path: str = "report.json",
    baseline: Baseline | None = None,
    level: str | None = None,
    blocks: int = 50,
) -> GateResult:
    """Print the summary and at most that many blocks; returns what the gate says. `path` is named in replay commands."""
    result = judge(report, baseline, level)
    for line in lines(report, result, path, blocks):
        console.print(_encodable(line, console.encoding), soft_wrap=True, highlight=False, markup=False, emoji=False)
    return result


def lines(
    report: Report | LoadReport, result: GateResult, path: str = "report.json", blocks: int = 50
) -> Iterator[Text]:
    """Every line of the summary, in order."""
    if isinstance(report, LoadReport):
        yield from _load_table(report)
    else:
        yield from chapter_table(report)
        yield Text()
        yield from _blocks(report, result, path, blocks)
    for sentence in result.sentences:
        yield Text(f"  {clean.terminal(clean.shortened(sentence, TEXT_LIMIT))}")
    yield Text(clean.terminal(words.headline(report, result)), style=RESULT_STYLES[result.code])


def chapter_table(report: Report) -> Iterator[Text]:
    """A line a chapter and a line for all, a column a verdict that occurs."""
    rows = {clean.terminal(name)[:20]: words.tally(members) for name, members in words.chapters(report).items()}
    total = words.tally(report.requirements)
    columns = [verdict for verdict in words.SHOWN if total[verdict] or verdict in {"pass", "fail"}]
    yield Text(f"{'chapter':<20}" + "".join(f"{NARROW.get(verdict, verdict):>10}" for verdict in columns), style="bold")
    for name, tally in [*rows.items(), ("all", total)]:
        line = Text(f"{name:<20}")
        for verdict in columns:
            line.append(f"{tally[verdict] or '.':>10}", style=STYLES[verdict] if tally[verdict] else "dim")
        yield line


def block(report: Report, row: RequirementResult, path: str, *, excused: bool = False) -> Iterator[Text]:
    """What a vendor needs to act on one failed requirement."""
    weight = "excused" if excused else "blocking" if row.blocking else "not blocking"
    head = Text(f"{row.verdict.upper()} ", style=STYLES[row.verdict])
    head.append(f"{_text(row.id)}  {row.level}, {weight}, {_text(row.chapter)}", style="bold")
    yield head
    one = words.offender(report, row)
    facts = {
        "says": row.says,
        "place": row.place,
        "expected": row.expected,
        "observed": row.observed,
        "reason": _news(row),
        "answer": words.answered(one) if one else None,
    }
    yield from (Text(f"  {name:<9} {_text(value)}") for name, value in facts.items() if value)
    if one:
        too_long = len(one.curl) > CURL_LIMIT
        yield Text(
            f"  {'curl':<9} {'too long for a line; replay it instead' if too_long else clean.terminal(one.curl)}"
        )
        often = words.seldom(row)
        if often:
            yield Text(f"  {'':<9} ({clean.terminal(often)})")
        replay = f"python -m reports replay {shlex.quote(path)} {shlex.quote(row.id)}"
        yield Text(f"  {'replay':<9} {clean.terminal(replay)}")
    yield Text()


def _news(row: RequirementResult) -> str | None:
    """The reason, where it says more than what was expected and what came."""
    reason = words.reason(row)
    return None if reason and row.expected and reason.startswith(f"expected {row.expected}") else reason


def _blocks(report: Report, result: GateResult, path: str, limit: int) -> Iterator[Text]:
    differing = words.by_urgency(row for row in report.requirements if row.verdict == "fail")
    failed = [row for row in differing if row.level != "MAY"]
    for row in failed[:limit]:
        yield from block(report, row, path, excused=row.id in result.excused)
    if len(failed) > limit:
        yield Text(f"... and {len(failed) - limit} more failed; the report has them all.")
    options = [row for row in differing if row.level == "MAY"]
    for row in options[:limit]:
        yield Text(f"  option not taken: {_text(row.id)} (MAY): {_text(row.says)}")


def _load_table(report: LoadReport) -> Iterator[Text]:
    yield Text(
        f"{'metric':<24}{'unit':>6}{'n':>10}{'mean':>11}" + "".join(f"{p:>11}" for p in words.PERCENTILES), style="bold"
    )
    for metric in report.metrics:
        name, unit = clean.terminal(metric.metric), clean.terminal(metric.unit)
        yield Text(f"{name:<24}{unit:>6}{metric.n:>10}" + "".join(f"{text:>11}" for text in words.percentiles(metric)))
    for rate in report.rates:
        yield Text(f"{clean.terminal(rate.metric):<24} {words.figure(rate.value)} {clean.terminal(rate.unit)}")
    for slo in report.slo:
        style = "green" if slo.verdict == "pass" else "bold red"
        observed = words.figure(slo.observed)
        yield Text(f"{slo.verdict.upper():<8} {_text(slo.text)}, observed {observed}", style=style)
    yield from _certificate(report.certificate.verdict, report.certificate.reasons)


def _certificate(verdict: str, reasons: Iterable[str]) -> Iterator[Text]:
    yield Text(f"certificate {verdict}", style="green" if verdict == "VALID" else "bold red")
    yield from (Text(f"  {_text(reason)}") for reason in reasons)


def _text(text: str) -> str:
    return clean.terminal(clean.shortened(text, TEXT_LIMIT))


def _encodable(line: Text, encoding: str) -> Text:
    """The line with what the console's encoding lacks as escapes."""
    plain = line.plain.encode(encoding, "backslashreplace").decode(encoding)
    if plain == line.plain:
        return line
    return Text(plain, style=line.style)
