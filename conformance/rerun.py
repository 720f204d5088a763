"""Runs the checks of a recorded run again, in their order and with their seed, on a client that answers from the record.

The run is pytest's own, in this process, with the plugin's hooks: only its beginning (there is no target to find), its
draws (the values that the record holds) and its end (nothing is written) are replaced.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import shlex
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from conformance import embedded, fixtures, setup
from conformance.chat import Chat
from conformance.explore import Explorer
from conformance.judge import Judge
from conformance.options import DEPTHS, TIERS, Options
from conformance.plugin import CHECKS, Run
from conformance.plugin_state import STATE, State
from conformance.profile import Profile, ProfileError
from conformance.profile import load as load_profile
from conformance.record import RecordedClient, RecordError, Unrecorded
from conformance.results import Results
from conformance.schema import needs
from conformance.selection import Selection
from conformance.target import Target
from dialects import DialectError
from dialects import load as load_dialect

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine

    from dialects import Dialect
    from reports.model import Report

__all__ = ["BY_THEMSELVES", "rerun"]

KEY_ENV = "CHAT_CONFORMANCE_RECORDED_KEY"
KEY = "recorded-key-that-is-not-known"
BY_THEMSELVES = "clients."
"""Checks that send by an official client: it would connect."""


def rerun(report: Report, dialect: str | None, profile: str | None) -> tuple[Report, Counter[str]]:
    """What the checks find on the record, and by check how many of its requests the record does not answer.

    Dialect and profile are those of the recorded command line unless given. Raises RecordError.
    """
    if not report.exchanges:
        raise RecordError("the report holds no exchange, so nothing can be decided offline")
    options = _options(report, dialect, profile)
    client = RecordedClient(report.exchanges)
    state = _state(report, options, client)
    _run(_Replay(state, client), client)
    assert state.results is not None  # noqa: S101 - made above
    return state.results.report(), client.missing


class _Drawn(Explorer):
    """Tries the values that the run tried, as far as the record holds them."""

    def __init__(self, run_seed: int, examples: int, client: RecordedClient) -> None:
        super().__init__(run_seed, examples)
        self.client = client

    def __call__(self, values: st.SearchStrategy[Any], function: Callable[[Any], object]) -> None:
        def recorded(value: Any) -> None:  # noqa: ANN401 - whatever the strategy draws
            self.client.again = True  # hypothesis tries the smallest value again
            with contextlib.suppress(Unrecorded):
                function(value)

        try:
            super().__call__(values, recorded)
        finally:
            self.client.again = False

    def walk(
        self, machine: Callable[[], RuleBasedStateMachine], *, walks: int, steps: int, shrink: bool = True
    ) -> None:
        """Walk as the run walked, as far as the record holds the answers."""
        self.client.again = True
        try:
            with contextlib.suppress(Unrecorded):
                super().walk(machine, walks=walks, steps=steps, shrink=shrink)
        finally:
            self.client.again = False

    def wait(self, seconds: float) -> None:
        """The record's time has passed already."""


class _RecordedJudge(Judge):
    """A judge that does not knock at the target's door."""

    def _knock(self) -> None:
        """The record says itself how each exchange ended."""


class _Entry:
    """Stands in for the plugin's own beginning, which saw no target."""

    def __init__(self, replay: _Replay) -> None:
        self.replay = replay

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Begin as a run does, with the record for a target."""
        config.option.target = "record"
        config.stash[STATE] = self.replay.state
        config.pluginmanager.register(self.replay, "conformance-run")
        config.pluginmanager.register(fixtures, "conformance-fixtures")


class _Replay(Run):
    """The hooks of a run over a record; what it found stays in `state.results`."""

    def __init__(self, state: State, client: RecordedClient) -> None:
        super().__init__(state)
        self.client = client

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """As in a run, without the official clients: they would connect."""
        super().pytest_collection_modifyitems(config, items)
        items[:] = [item for item in items if not setup.check_id(item).startswith(BY_THEMSELVES)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Run the check on its own exchanges."""
        self.client.check = setup.check_id(pyfuncitem)
        if "explore" in pyfuncitem.funcargs:
            seed, depth = self.state.options.seed, DEPTHS[self.state.options.depth]
            pyfuncitem.funcargs["explore"] = _Drawn(seed, depth.examples, self.client)
        return super().pytest_pyfunc_call(pyfuncitem)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:  # noqa: ARG002 - a hook's
        """Nothing is written; what the collection left out is kept."""
        assert self.state.results is not None  # noqa: S101 - a replay has them
        self.state.results.note(self.state.notes)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:  # noqa: ANN401 - pytest's TerminalReporter
        """Nothing is shown."""


def _run(replay: _Replay, client: RecordedClient) -> None:
    said = io.StringIO()
    levers = {name: f"{KEY}-{lever}" for lever, name in replay.state.options.profile.keys.items()}
    quiet = {"PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", KEY_ENV: KEY, **levers}
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(os.environ, quiet),
        mock.patch("time.time", side_effect=lambda: client.now),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        ini = Path(folder, "pytest.ini")
        ini.write_text("[pytest]\n", encoding="utf-8")
        arguments = ["-c", str(ini), "--rootdir", folder, "-p", "conformance.plugin", "-p", "no:cacheprovider", "-q"]
        status = pytest.main([*arguments, "--tb=no", str(CHECKS)], plugins=[_Entry(replay)])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RecordError(f"the checks could not be run on the record: {said.getvalue().strip()[-300:]}")


def _options(report: Report, dialect: str | None, profile: str | None) -> Options:
    """What the run was asked for, as far as the report tells; the rest as its command line says."""
    given = _given(report.command)
    try:
        facts = load_dialect(dialect or _kept(given, "--dialect") or report.target.dialect)
        file = profile or _kept(given, "--profile")
        wanted = load_profile(file, needs(facts.schemas["request"])) if file else Profile()
    except (DialectError, ProfileError) as error:
        raise RecordError(str(error)) from error
    options = _asked_for(report, facts, wanted)
    setup.draw_as(options)
    return embedded.profiled(options) if given.get("--target") == "embedded" else options


def _asked_for(report: Report, dialect: Dialect, profile: Profile) -> Options:
    return Options(
        target="record",
        dialect=dialect,
        model=report.target.model,
        profile=profile,
        tiers=report.tiers,
        gating=TIERS,
        level=report.level,
        report="",
        baseline=None,
        depth=report.depth,
        max_requests=None,
        max_tokens=None,
        key_env=KEY_ENV,
        seed=report.seed,
    )


def _given(command: str) -> dict[str, str]:
    """The options of the recorded command line that take a value."""
    try:
        words = shlex.split(command)
    except ValueError:
        return {}
    flat = [piece for word in words for piece in (word.split("=", 1) if word.startswith("--") else [word])]
    return {name: value for name, value in itertools.pairwise(flat) if name.startswith("--")}


def _kept(given: dict[str, str], name: str) -> str | None:
    """A file or folder of the recorded command line, where it is still there."""
    value = given.get(name)
    return value if value and Path(value).exists() else None


def _state(report: Report, options: Options, client: RecordedClient) -> State:
    limits = [
        n
        for n in options.dialect.request.token_limits
        for r in report.exchanges
        if f'"{n}"' in r.sent.decode("utf-8", "replace")
    ]
    limit = next((name for name, _ in Counter(limits).most_common(1)), None)
    keyed = any("$" + "{" in record.curl for record in report.exchanges)
    target = Target(report.target.url, report.target.model or "", KEY if keyed else None, KEY_ENV, limit)
    judge = _RecordedJudge(client, options.dialect)
    judge.chat = Chat(client, target, options.dialect, options.profile, judge.memo)
    selection = Selection.of(options)
    results = Results(options, selection, target.model, target.url, report.command)
    return State(options, selection, judge, judge.chat, results)
