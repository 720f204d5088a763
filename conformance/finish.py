"""Ends a run: the report is written whole, the exit code decided, the verdicts shown."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from rich.console import Console

from conformance.coverage import Coverage
from conformance.interruption import REASON
from reports import gate, terminal
from reports.baseline import Baseline, BaselineError, load_baseline
from reports.model import Report, ReportError, write
from reports.redact import redacted

if TYPE_CHECKING:
    from conformance.options import Options
    from conformance.plugin_state import State
    from reports.model import RequirementResult

__all__ = ["conclude", "excuses", "show"]

CANNOT_JUDGE = 2
FAILED = 1
BLOCKS = 50  # failures that are told on the terminal
VERY_QUIET = -2  # pytest's -qq


def excuses(options: Options) -> Baseline:
    """The known failures that the user names, read before the first request. Raises pytest.UsageError."""
    try:
        return load_baseline(options.baseline) if options.baseline else Baseline()
    except BaselineError as error:
        raise pytest.UsageError(f"--baseline {error}") from error


def conclude(state: State, session: pytest.Session, exitstatus: int) -> int:
    """Write the report; the exit code: 0 no blocking failure, 1 the target failed, 2 cannot judge."""
    assert state.results is not None  # noqa: S101 - the plugin asked
    if exitstatus in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERNAL_ERROR) and not state.results.checks:
        return exitstatus
    _note_ending(state, session, exitstatus)
    state.report = redacted(state.results.report(), _secrets(state))
    assert state.baseline is not None  # noqa: S101 - read before the first request
    try:
        state.path = write(state.report, state.options.report, secrets=_secrets(state), baseline=state.baseline)
    except ReportError as error:
        state.trouble = f"cannot judge: {error}"
        return CANNOT_JUDGE
    _coverage(state, state.path.parent)
    if state.results.reason == REASON:
        return CANNOT_JUDGE
    if _chosen(state):
        return _partial(state.report, state.baseline)
    return gate.judge(state.report, state.baseline, state.options.level).code


def show(state: State, reporter: Any) -> None:  # noqa: ANN401 - pytest's TerminalReporter
    """The summary by chapter, a block for each failed requirement, and where the report lies."""
    reporter.ensure_newline()
    if state.report is not None and state.path is not None:
        colour: Literal["standard"] | None = "standard" if reporter.hasmarkup else None
        console = Console(file=reporter._tw._file, color_system=colour, force_terminal=reporter.hasmarkup)  # noqa: SLF001 - the file that pytest writes to, which -s and capture decide
        shown, others = _part(state.report, reporter.config.option.keyword) if _chosen(state) else (state.report, ())
        blocks = 0 if reporter.config.option.verbose <= VERY_QUIET else BLOCKS
        level, path = state.options.level, str(state.path)
        terminal.summarise(shown, console, path=path, baseline=state.baseline, level=level, blocks=blocks)
        if others:
            reporter.write_line(_beside(others))
        if state.covered is not None:
            cost = state.report.cost.requests
            reporter.write_line(f"constraint coverage: {state.covered.line()}, in {cost} requests (coverage.json)")
        reporter.write_line(f"report: {Path(state.path).with_name('report.html')}")
        if state.options.target == "embedded":
            reporter.write_line(f"your own endpoint: CHAT_API_KEY=... {_called()} --target URL --dialect NAME")
    if state.trouble:
        reporter.write_line(state.trouble, red=True)


def _called() -> str:
    """How pytest was called, so that the next call finds it, too."""
    called = sys.argv[0]
    return called if Path(called).name == "pytest" else f"{sys.executable} -m pytest"


def _coverage(state: State, folder: Path) -> None:
    """Write coverage.json beside the report."""
    assert state.results is not None  # noqa: S101 - the caller asked
    state.covered = Coverage(state.options.dialect, state.options.profile, state.results.covered)
    text = json.dumps(state.covered.document(), indent=1, ensure_ascii=True)
    (folder / "coverage.json").write_text(text + "\n", encoding="utf-8")


def _secrets(state: State) -> list[str]:
    profile = state.options.profile
    return [key for key in (state.options.key, *map(profile.key, profile.keys)) if key]


def _note_ending(state: State, session: pytest.Session, exitstatus: int) -> None:
    """Why the report is incomplete, when it is."""
    assert state.results is not None  # noqa: S101 - the plugin asked
    if exitstatus == pytest.ExitCode.INTERRUPTED or state.results.reason == REASON:
        state.results.reason = REASON
    elif session.shouldfail or session.shouldstop:
        state.results.reason = f"stopped early: {session.shouldfail or session.shouldstop}"
    elif exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and not state.results.reason:
        state.results.reason = "no check was selected"


def _chosen(state: State) -> bool:
    """Whether the user asked for a part of the checks or for an early stop: then the part that ran decides."""
    reason = state.results.reason if state.results is not None else None
    return bool(reason and reason.startswith(("only ", "stopped early")))


def _part(report: Report, keyword: str) -> tuple[Report, tuple[RequirementResult, ...]]:
    """What ran of a run that was asked to be a part, as a report of its own; and the rows that -k did not mean.

    A check that decides a row which -k names often decides its neighbours too.
    """
    ran = tuple(row for row in report.requirements if row.verdict != "not-run")
    meant = tuple(row for row in ran if _named(row.id, keyword)) or ran
    others = tuple(row for row in ran if row not in meant and row.verdict != "untested")
    return dataclasses.replace(report, requirements=meant, complete=True, reason=None), others


def _beside(others: tuple[RequirementResult, ...]) -> str:
    """What the chosen rows' checks also decided, in one line: whose verdict is bad is named."""
    bad = [f"{row.id} {row.verdict}" for row in others if row.verdict not in {"pass", "not-applicable"}]
    rows = f"{len(others)} other row{'s' if len(others) > 1 else ''}"
    return f"the same checks also decided {rows}, " + (f"among them {', '.join(bad)}" if bad else "none of them failed")


def _named(row: str, keyword: str) -> bool:
    """Whether a word of the -k expression is meant for this row: words that look like a row's id, found as -k finds."""
    words = () if re.search(r"\bnot\b", keyword) else re.findall(r"[A-Za-z]\w*-\w*\d\w*", keyword)
    return any(word.lower() in row.lower() for word in words)


def _partial(report: Report, baseline: Baseline) -> int:
    """The exit code of a run that was asked to be a part: what ran decides."""
    if any(row.blocking and row.verdict == "fail" and baseline.get(row.id) is None for row in report.requirements):
        return FAILED
    return CANNOT_JUDGE if any(check.verdict == "error" for check in report.checks) else 0
