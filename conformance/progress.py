"""One line on a terminal while the run goes on: the chapter, checks done, requests, tokens, failures, the time left.

Drawn only where somebody watches (a terminal, no -v, no -q); pytest's dots are held back there, and stay everywhere else.
The line is ASCII and rewritten in place with a carriage return; the last one is wiped before the summary.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from conformance.registry import info

if TYPE_CHECKING:
    from conformance.plugin_state import State
    from conformance.wire.exchange import Exchange

__all__ = ["Progress", "Quiet", "line", "watched"]

OFTEN = 0.1  # seconds between two drawings
FEWEST = 5  # checks before the time left is worth saying
PROPERTY = "conformance"


def watched(config: pytest.Config) -> Progress | Quiet | None:
    """What shows the run's progress: the line on a terminal, nothing there with -q, None where pytest's own does."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not reporter.isatty() or config.getoption("verbose") > 0:
        return None
    return Quiet(reporter) if config.getoption("verbose") < 0 else Progress(reporter)


def line(chapter: str, done: int, total: int, spent: dict[str, int], failed: int, left: float | None) -> str:
    """The line: `stream: 12 of 80 checks, 40 requests, 512 tokens, 2 failed, about 1 min left`."""
    tokens = spent.get("prompt_tokens", 0) + spent.get("completion_tokens", 0)
    parts = [
        f"{chapter}: {done} of {total} checks",
        f"{spent.get('requests', 0):,} requests",
        f"{tokens:,} tokens",
        f"{failed} failed" if failed else "",
        f"about {_took(left)} left" if left is not None else "",
    ]
    return ", ".join(part for part in parts if part)


def _took(seconds: float) -> str:
    whole = max(1, round(seconds))
    return f"{whole} s" if whole < 90 else f"{round(whole / 60)} min"  # noqa: PLR2004 - from there on minutes are enough


class Quiet:
    """Holds back pytest's file names, dots and percentages."""

    def __init__(self, reporter: Any) -> None:  # noqa: ANN401 - pytest's TerminalReporter
        self.reporter = reporter
        reporter.showfspath = False
        reporter._show_progress_info = False  # noqa: SLF001 - pytest decides it when it starts, and offers no other way

    @pytest.hookimpl(tryfirst=True, wrapper=True)
    def pytest_report_teststatus(self, report: Any) -> Any:  # noqa: ANN401 - pytest's reports and (category, letter, word)
        """The category as it is, and no sign for it on the terminal."""
        category, letter, word = yield
        return (category, "", "") if isinstance(report, pytest.TestReport) else (category, letter, word)


class Progress(Quiet):
    """The line and what it counts."""

    def __init__(self, reporter: Any) -> None:  # noqa: ANN401 - pytest's TerminalReporter
        super().__init__(reporter)
        # pytest captures what checks write, and would take the line with it: it goes to a descriptor of its own.
        self.terminal = os.dup(reporter._tw._file.fileno())  # noqa: SLF001 - the file that pytest writes to, as in finish.py
        self.drawing = threading.Lock()
        self.state: State | None = None
        self.started = self.drawn = time.monotonic()
        self.chapter, self.done, self.total, self.failed, self.under_way = "starting", 0, 0, 0, 0
        self.kinds: dict[str, bool] = {}

    def attend(self, state: State) -> None:
        """Draw also at each exchange: one check may take minutes."""
        self.state = state
        client, keep = state.judge.client, state.judge.client.observe

        def observe(exchange: Exchange) -> None:
            keep(exchange)
            self.under_way += 1
            self.draw()

        client.observe = observe

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count what is to come. Oracles only look at what came before, and take no time."""
        for item in session.items:
            mark = info(item.function) if isinstance(item, pytest.Function) else None
            self.kinds[item.nodeid] = mark is not None and mark.kind is not None
        self.total = list(self.kinds.values()).count(False)
        self.started = time.monotonic()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Workers know the items; the first one to say so counts for all."""
        self.total = self.total or len(ids)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count what ended."""
        if report.when != "call" and not report.failed:
            return
        self.done = min(self.total, self.done + (not self.kinds.get(report.nodeid, False)))
        self.failed += report.failed
        self.under_way = 0
        found = next((value for name, value in report.user_properties if name == PROPERTY), None)
        rows = self.state.selection.by_check.get(found["check"][0], ()) if self.state and found else ()  # type: ignore[index]  # pytest types properties as object
        self.chapter = rows[0].chapter if rows else self.chapter
        self.draw()

    def draw(self) -> None:
        """Rewrite the line, unless that was done a moment ago."""
        with self.drawing:
            now = time.monotonic()
            if self.state is None or now - self.drawn < OFTEN:
                return
            self.drawn = now
            left = (now - self.started) / self.done * (self.total - self.done) if self.done >= FEWEST else None
            spent = dict(self.state.results.spent) if self.state.results is not None else {}
            spent["requests"] = spent.get("requests", 0) + self.under_way
            self._rewrite(line(self.chapter, self.done, self.total, spent, self.failed, left or None))

    def _rewrite(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        os.write(self.terminal, f"\r{text[:width]:<{width}}\r{text[:width]}".encode("ascii", "replace"))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Wipe the line: the summary follows."""
        self._rewrite("")
        os.close(self.terminal)
        self.state = None
