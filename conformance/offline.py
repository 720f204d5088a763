"""Runs the checks of a recorded run again, on the recorded bytes alone: no connection is made.

python -m conformance replay REPORT [ID]      0 nothing fails on the record, 1 something does, 2 cannot be decided

The run is repeated in its order, with its seed, and every request is answered by the recorded exchange of the same check
with the same method, URL, headers and body that was not used yet. What the record lacks cannot be decided: exchanges that
the report did not keep, bodies that it cut, requests with a value that is new in every run, and official clients, which
send by themselves. `RecordError` names the reason where no check can be run at all.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import shlex
import tempfile
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from conformance import embedded, fixtures, setup
from conformance.chat import Chat
from conformance.explore import Explorer
from conformance.judge import Judge
from conformance.options import DEPTHS, TIERS, Options
from conformance.plugin import CHECKS, _Run
from conformance.plugin_state import STATE, State
from conformance.profile import Profile, ProfileError
from conformance.profile import load as load_profile
from conformance.results import Results
from conformance.schema import needs
from conformance.selection import Selection
from conformance.target import Target
from conformance.wire.client import Budget, BudgetSpent, Client, Timeouts
from conformance.wire.exchange import KEPT_BODY, Exchange, Frame, Request
from dialects import DialectError
from dialects import load as load_dialect
from reports.model import Report, ReportError
from reports.model import load as load_report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine

    from dialects import Dialect
    from reports.model import ExchangeRecord

__all__ = ["Decision", "RecordError", "replayed", "told"]

KEY_ENV = "CHAT_CONFORMANCE_RECORDED_KEY"
KEY = "recorded-key-that-is-not-known"
CREDENTIAL = re.compile(r"(?i)auth|cookie|key|token")
BY_THEMSELVES = "clients."
UNDECIDED = "cannot be decided offline"
PASSED, FAILED, CANNOT_JUDGE = 0, 1, 2
CUT = re.compile(r"\[cut: \d+ bytes in \d+ frames\]")


class RecordError(ReportError):
    """The record cannot be replayed at all; the sentence says why."""


class Unrecorded(BudgetSpent):
    """The record holds no answer to this request."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A row, or a check, as it was recorded and as the record decides it now; `now` None where it cannot."""

    id: str
    was: str
    now: str | None
    reason: str | None


class RecordedClient(Client):
    """Answers from the record instead of sending. `check` is whose exchanges are used first."""

    def __init__(self, records: Iterable[ExchangeRecord]) -> None:
        self.timeouts, self.prefix, self.budget = Timeouts(), "", Budget()
        self.observe = lambda _: None
        self.check, self.now = "", 0.0
        self.missing: Counter[str] = Counter()
        self._lock, self._numbers = threading.Lock(), itertools.count(1)
        self._left: dict[tuple[Any, ...], list[ExchangeRecord]] = defaultdict(list)
        for record in records:
            self._left[_face(record)].append(record)
        self._used: dict[tuple[Any, ...], list[ExchangeRecord]] = defaultdict(list)
        self.again = False

    def close(self) -> None:
        """Nothing is open."""

    def send(
        self,
        request: Request,
        *,
        stop_after: int | None = None,
        total: float | None = None,  # noqa: ARG002 - the client's keywords
        pieces: Iterable[bytes] | None = None,  # noqa: ARG002
        undefined: bool = False,
    ) -> Exchange:
        """The recorded exchange of this request. Raises Unrecorded."""
        with self._lock:
            record = self._taken(request)
            exchange = _exchange(record, request, stop_after, undefined=undefined)
            self.now = exchange.started + exchange.seconds
        self.observe(exchange)
        return exchange

    def _taken(self, request: Request) -> ExchangeRecord:
        face = _asked(request)
        left = self._left[face]
        record = next((r for r in left if r.check == self.check), None)
        if record is None and self.again:
            record = next((r for r in reversed(self._used[face]) if r.check == self.check), None)
        if record is None or _is_cut(record):
            self.missing[self.check] += 1
            what = "holds the answer to this request only in part" if record else "does not hold this request"
            raise Unrecorded(f"the record {what}")
        if record in left:
            left.remove(record)
            self._used[face].append(record)
        return record


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


class _Replay(_Run):
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


def told(path: str, name: str | None, dialect: str | None, profile: str | None) -> tuple[list[str], int]:
    """What the record decides of one row or check, or of all rows, in lines; the exit code. Raises ReportError."""
    report = load_report(path)
    if not isinstance(report, Report):
        raise RecordError(f"{path}: a load report has no exchanges to replay")
    decisions = replayed(report, dialect=dialect, profile=profile)
    chosen = [one for one in decisions if name in (None, one.id)]
    if not chosen:
        raise RecordError(f"{name!r} is no requirement or check of this report")
    rows = {row.id for row in report.requirements}
    shown = chosen if name else [one for one in chosen if one.id in rows]
    lines = [_line(one) for one in shown if name or one.now != one.was]
    if name is None:
        counts = Counter(one.now or UNDECIDED for one in shown)
        lines.append(", ".join(f"{number} {verdict}" for verdict, number in counts.most_common()))
    verdicts = {one.now for one in shown}
    if "fail" in verdicts:
        return lines, FAILED
    return lines, CANNOT_JUDGE if verdicts == {None} else PASSED


def replayed(report: Report, *, dialect: str | None = None, profile: str | None = None) -> list[Decision]:
    """What the record decides of every row, then of every check. Raises RecordError where nothing can be run."""
    if not report.exchanges:
        raise RecordError("the report holds no exchange, so nothing can be decided offline")
    options = _options(report, dialect, profile)
    client = RecordedClient(report.exchanges)
    state = _state(report, options, client)
    replay = _Replay(state, client)
    _run(replay, client)
    assert state.results is not None  # noqa: S101 - made above
    return _decisions(report, state.results.report(), replay)


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
    setup._settings(options := _asked_for(report, facts, wanted))  # noqa: SLF001 - the run's own settings
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


def _decisions(report: Report, now: Report, replay: _Replay) -> list[Decision]:
    found = {check.id: check for check in now.checks}
    checks = {}
    for was in report.checks:
        again = found.get(was.id)
        reason = _undecided(was.id, replay, again.verdict if again else None)
        if again is None or reason:
            checks[was.id] = Decision(was.id, was.verdict, None, reason or "no row of this dialect lists it any more")
        else:
            checks[was.id] = Decision(was.id, was.verdict, again.verdict, again.reason)
    fresh = {row.id: row for row in now.requirements}
    rows = []
    for row in report.requirements:
        reason = next((checks[c.id].reason for c in row.checks if c.id in checks and checks[c.id].now is None), None)
        new = fresh.get(row.id)
        if new is None:
            rows.append(Decision(row.id, row.verdict, None, "the dialect has no such row any more"))
        elif reason and new.verdict != "fail":
            rows.append(Decision(row.id, row.verdict, None, reason))
        else:
            rows.append(Decision(row.id, row.verdict, new.verdict, new.reason))
    return [*rows, *checks.values()]


def _undecided(check: str, replay: _Replay, verdict: str | None) -> str | None:
    """Why the record does not decide this check; None when it does. What was seen to fail has failed."""
    if check.startswith(BY_THEMSELVES):
        return "the official clients send by themselves, and what they sent is not recorded"
    if replay.client.missing[check] and verdict != "fail":
        return "the report does not hold, or not whole, every exchange that the check needs"
    return None


def _face(record: ExchangeRecord) -> tuple[Any, ...]:
    return record.method, record.url, _plain(record.request_headers), record.request_body, record.request_body_base64


def _asked(request: Request) -> tuple[Any, ...]:
    """What the recorded form of this request would be matched by."""
    kept = Exchange("", request, 0.0, 0.0).record("")
    pairs = tuple((name, value) for name, value in kept["request_headers"])
    body = kept.get("request_body")
    return kept["method"], kept["url"], _plain(pairs), body, kept.get("request_body_base64")


def _plain(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The headers without what is masked in records, which says that a credential was sent and not which."""
    return tuple((n.lower(), "***" if CREDENTIAL.search(n) and v else v) for n, v in headers)


def _is_cut(record: ExchangeRecord) -> bool:
    last = record.frames[-1].text if record.frames else None
    return bool(last and CUT.fullmatch(last) and sum(len(f.data) for f in record.frames) > KEPT_BODY)


def _exchange(record: ExchangeRecord, request: Request, stop_after: int | None, *, undefined: bool) -> Exchange:
    try:
        frames = tuple(Frame(frame.t, frame.data) for frame in record.frames)
        started = datetime.fromisoformat(record.started).timestamp()
    except ValueError as error:
        raise Unrecorded(f"the record of {record.id} is damaged: {error}") from error
    return Exchange(
        id=record.id,
        request=request,
        started=started,
        seconds=record.seconds,
        status=record.status,
        headers=record.response_headers,
        frames=frames,
        error=record.error,
        aborted=stop_after is not None and record.error is None and len(frames) >= stop_after,
        undefined=undefined,
    )


def _line(one: Decision) -> str:
    """One harmless line, whatever a target has written into the reason."""
    text = f"{one.id}: was {one.was}, on the record {one.now or UNDECIDED}" + (f": {one.reason}" if one.reason else "")
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))[:600]
