"""The pytest plugin: hooks only. `pytest --target URL --dialect NAME` judges; without --target it does nothing.

Options are in options.py, which checks run in selection.py, how they run in judge.py, what they found in results.py.
"""

from __future__ import annotations

import functools
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conformance import options
from conformance.registry import info

if TYPE_CHECKING:
    from collections.abc import Generator

    from conformance.interruption import Interruption
    from conformance.plugin_state import State

CHECKS = Path(__file__).parent / "checks"
PROPERTY = "conformance"
PYTESTS_OWN = "fE"  # the default of -r
SMOKE = "not part of --depth smoke"
EXIT_CANNOT_JUDGE = 2


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    options.add(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Resolve the target before anything is collected, so that a dead one costs one clear sentence."""
    if not config.getoption("target"):
        return
    from conformance import setup

    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args = [str(CHECKS)]
    if config.option.tbstyle == "auto":
        config.option.tbstyle = "no"
    if config.option.reportchars == PYTESTS_OWN:
        config.option.reportchars = ""  # the summary tells failures by row; pytest would list them again by function
    from conformance.plugin_state import STATE

    state = config.stash[STATE] = setup.begin(config)
    config.pluginmanager.register(Run(state), "conformance-run")
    from conformance import fixtures

    config.pluginmanager.register(fixtures, "conformance-fixtures")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without a target there is nothing for the checks to judge."""
    if not config.getoption("target") and collection_path.is_relative_to(CHECKS):
        return True
    return None


class Run:
    """The hooks of a run that judges."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.selected: set[str] = set()
        self.interruption: Interruption | None = None

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Show the progress, where somebody watches; see to it that Ctrl-C leaves a report."""
        from conformance import progress
        from conformance.interruption import Interruption

        if self.state.results is not None:
            self.interruption = Interruption(self.state.results)

        shown = progress.watched(session.config)
        if isinstance(shown, progress.Progress):
            shown.attend(self.state)
        if shown is not None:
            session.config.pluginmanager.register(shown, "conformance-progress")

    def pytest_report_header(self) -> list[str]:
        """The plan, before the first check."""
        return self.state.plan

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:  # noqa: ANN401 - xdist's WorkerController
        """Tell an xdist worker what was resolved already."""
        from conformance import setup

        node.workerinput["conformance"] = setup.for_worker(self.state, node)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Give a check one item for each argument with which rows list it."""
        mark = info(metafunc.function)
        if mark is not None and mark.per is not None:
            arguments = self.state.selection.arguments(mark.id)
            metafunc.parametrize(mark.per, arguments, ids=arguments)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep what the rows list, oracles last; name items by their rows, so that -k finds them."""
        from conformance import setup

        kept, dropped = setup.arrange(self.state, items)
        items[:] = kept
        if dropped:
            config.hook.pytest_deselected(items=dropped)
        self.selected = {setup.check_id(item) for item in items}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Remember whether the user selected a part only."""
        from conformance import setup

        if session.items:
            setup.note_partial(self.state, self.selected, {setup.check_id(item) for item in session.items})

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Run a check through the judge and turn its verdict into pytest's outcome."""
        from conformance import runner

        if info(pyfuncitem.function) is None:
            return None
        runner.run(self.state, pyfuncitem)
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach what was found to the item's report: it travels the same way with and without xdist."""
        from conformance import runner

        report = yield
        if (
            (call.when == "call" or report.failed)
            and isinstance(item, pytest.Function)
            and info(item.function) is not None
        ):
            report.user_properties.append((PROPERTY, runner.found(self.state, item, call)))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what an item found into the results."""
        if self.state.results is not None:
            for name, value in report.user_properties:
                if name == PROPERTY:
                    self.state.results.take(value)  # type: ignore[arg-type]  # pytest types properties as object

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401 - xdist's WorkerController
        """Take what a worker's collection noticed."""
        if self.state.results is not None and hasattr(node, "workeroutput"):
            self.state.results.note(node.workeroutput.get(PROPERTY, self.state.notes))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the report and decide the exit code."""
        from conformance import finish

        if self.state.results is not None:
            self.state.results.note(self.state.notes)
            session.exitstatus = finish.conclude(self.state, session, int(exitstatus))
        else:
            session.config.workeroutput[PROPERTY] = self.state.notes  # type: ignore[attr-defined]  # xdist puts it there

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:  # noqa: ANN401 - pytest's TerminalReporter
        """Show the verdicts, the failed requirements and where the report lies."""
        from conformance import finish

        finish.show(self.state, terminalreporter)

    def pytest_unconfigure(self) -> None:
        """End what was started."""
        if self.interruption is not None:
            self.interruption.given_back()
        self.state.judge.client.close()
        if self.state.embedded is not None:
            self.state.embedded.stop()
        if self.state.spent is not None:
            self.state.spent.close()


@functools.cache
def command() -> str:
    """The command line as the user typed it, for the report."""
    return shlex.join(["pytest", *sys.argv[1:]])
