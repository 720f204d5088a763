"""The gate: one report, one baseline, one level in; an exit code and the sentences that explain it out.

First what the gate was given: a report that is incomplete, or an excuse for a row that the report does not have, ends
in 2, because any other word would be a guess. Then the blocking rows: one failure that no excuse covers, one whose
excuse expired, or one excuse that is no longer needed ends in 1; else one row that could not be judged (error, not-run)
ends in 2; else 0.

Blocking are, at level must, the MUST rows that the run marked as blocking. At level should they are joined by the
SHOULD rows that the run marked, and by the SHOULD rows of the tiers whose MUST rows block. Inconclusive and untested
rows do not block, and are named: they were not shown. A load report's rows are its objectives, by their text, and its
certificate; one whose generator was late is never blamed on the target.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from reports.baseline import Baseline
from reports.clean import shortened
from reports.model import LoadReport, Report, RequirementResult, count

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSED, FAILED, CANNOT_JUDGE = 0, 1, 2
WORDS = {PASSED: "passed", FAILED: "failed", CANNOT_JUDGE: "cannot judge"}
JUDGED_LEVELS = ("must", "should")
FEW = 5
"""So many rows that could not be judged have a sentence each."""
REASONS = 4
"""For so many reasons the rows that were not shown are listed apart, each cut after `REASON` characters."""
REASON = 120
CERTIFICATE = "certificate"
"""The id of the row that stands for a load report's certificate; it is a doubt where it does not hold, never a failure."""


@dataclass(frozen=True, slots=True)
class Row:
    """What the gate needs to know of a requirement or an objective."""

    id: str
    label: str
    verdict: str
    blocking: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class GateResult:
    """`code` is the exit code; `failed` the blocking rows that made it 1; `excused` those that an excuse covered."""

    code: int
    sentences: tuple[str, ...]
    failed: tuple[str, ...] = ()
    excused: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """The exit code as a word: passed, failed, cannot judge."""
        return WORDS[self.code]


def judge(
    report: Report | LoadReport, baseline: Baseline | None = None, level: str | None = None, today: date | None = None
) -> GateResult:
    """Decide. `level` is "must" or "should", by default the level of the run; `today` decides which excuses expired."""
    baseline = baseline or Baseline()
    today = today or datetime.now(UTC).date()
    rows = rows_of(report, level)
    doubts = tuple(_doubts(report, rows, baseline))
    red = [row.id for row in rows if row.blocking and row.verdict == "fail" and not _covers(baseline, row.id, today)]
    excused = tuple(row.id for row in rows if row.verdict == "fail" and _covers(baseline, row.id, today))
    failures = (*_failures(rows, red, baseline), *_stale(rows, baseline, today))
    unjudged = tuple(_unjudged(rows))
    code = CANNOT_JUDGE if doubts else FAILED if failures else CANNOT_JUDGE if unjudged else PASSED
    sentences = (*doubts, *failures, *unjudged, *_remarks(rows, excused))
    return GateResult(code, sentences, tuple(red), excused)


def rows_of(report: Report | LoadReport, level: str | None = None) -> tuple[Row, ...]:
    """The rows of either kind of report, with what blocks at that level."""
    if isinstance(report, LoadReport):
        return (_certificate(report), *(_objective(slo.text, slo.verdict) for slo in report.slo))
    level = level or report.level
    if level not in JUDGED_LEVELS:
        raise ValueError(f"level: found {level!r}, expected one of {', '.join(JUDGED_LEVELS)}")
    tiers = {row.tier for row in report.requirements if row.blocking and row.level == "MUST"}
    return tuple(
        Row(row.id, f"{row.id} ({row.level})", row.verdict, _blocks(row, level, tiers), row.reason)
        for row in report.requirements
    )


def _blocks(row: RequirementResult, level: str, tiers: set[str]) -> bool:
    if row.level == "SHOULD":
        return level == "should" and (row.blocking or row.tier in tiers)
    return row.level == "MUST" and row.blocking


def _certificate(report: LoadReport) -> Row:
    valid = report.certificate.verdict == "VALID"
    return Row(CERTIFICATE, "the generator was in time", "pass" if valid else "error", blocking=True)


def _objective(text: str, verdict: str) -> Row:
    return Row(text, text, "not-run" if verdict == "no-data" else verdict, blocking=True)


def _covers(baseline: Baseline, row: str, today: date) -> bool:
    excuse = baseline.get(row)
    return excuse is not None and not excuse.expired(today)


def _doubts(report: Report | LoadReport, rows: tuple[Row, ...], baseline: Baseline) -> Iterator[str]:
    if not report.complete:
        yield f"the report is incomplete: {report.reason}"
    if isinstance(report, LoadReport) and report.certificate.verdict != "VALID":
        yield f"the load generator was not in time: {'; '.join(report.certificate.reasons) or 'no reason given'}"
    if not rows:
        yield "the report has no rows: nothing was judged"
    known = {row.id for row in rows}
    for excuse in baseline.excuses:
        if excuse.id not in known:
            yield f"the baseline excuses {excuse.id!r}, which is no row of this report"


def _failures(rows: tuple[Row, ...], red: list[str], baseline: Baseline) -> Iterator[str]:
    for row in rows:
        if row.id in red:
            excuse = baseline.get(row.id)
            ended = f"; its excuse ended on {excuse.until}" if excuse else ""
            yield f"{row.label} failed{ended}"


def _stale(rows: tuple[Row, ...], baseline: Baseline, today: date) -> Iterator[str]:
    """Excuses that are not needed: the row was judged and did not fail."""
    verdicts = {row.id: row.verdict for row in rows}
    for excuse in baseline.excuses:
        verdict = verdicts.get(excuse.id)
        if verdict in {"pass", "not-applicable"}:
            ended = " (and it ended)" if excuse.expired(today) else ""
            yield f"the excuse for {excuse.id} is no longer needed: its verdict is {verdict}{ended}; remove it"


def _unjudged(rows: tuple[Row, ...]) -> Iterator[str]:
    """The blocking rows without a verdict; in one sentence where they are many, as after an interruption."""
    for verdict in ("error", "not-run"):
        open_ = [row for row in rows if row.blocking and row.verdict == verdict and row.id != CERTIFICATE]
        if len(open_) > FEW:
            yield f"{len(open_)} blocking rows could not be judged ({verdict}): {', '.join(row.id for row in open_)}"
        else:
            yield from (f"{row.label} could not be judged: {verdict}" for row in open_)


def _remarks(rows: tuple[Row, ...], excused: tuple[str, ...]) -> Iterator[str]:
    if excused:
        yield f"{len(excused)} failed as excused: {', '.join(excused)}"
    for verdict in ("inconclusive", "untested"):
        yield from _not_shown(verdict, [row for row in rows if row.blocking and row.verdict == verdict])
    counts = count(row.verdict for row in rows if row.blocking)
    yield f"{counts['pass']} of {sum(counts.values())} blocking rows passed"


def _not_shown(verdict: str, rows: list[Row]) -> Iterator[str]:
    """The rows by the reason for which they were not shown, the reason of most first; few reasons, the rest in one."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        by_reason[shortened(" ".join((row.reason or "").split()), REASON)].append(row.id)
    groups = sorted(by_reason.items(), key=lambda group: -len(group[1]))
    last = REASONS if len(groups) == REASONS else REASONS - 1
    for reason, ids in groups[:last]:
        yield f"{len(ids)} not shown ({verdict}{': ' if reason else ''}{reason}): {', '.join(ids)}"
    if rest := [one for _, ids in groups[last:] for one in ids]:
        yield f"{len(rest)} not shown ({verdict}, each for another reason): {', '.join(rest)}"
