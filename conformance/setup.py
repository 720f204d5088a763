"""Begins a run: options, target, selection; and arranges the collected checks by the rows that list them."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from conformance import embedded
from conformance.chat import Chat
from conformance.coverage import Coverage
from conformance.finish import excuses
from conformance.judge import Judge, Oracle
from conformance.options import DEPTHS, Options
from conformance.options import read as read_options
from conformance.plugin_state import State
from conformance.registry import CheckInfo, info
from conformance.results import Results
from conformance.selection import Selection
from conformance.target import Target, TargetError, base_url, resolve
from conformance.wire.client import Budget, Client

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["arrange", "begin", "check_id", "draw_as", "for_worker", "note_partial"]

SEED = "hypothesis_seed"  # the name under which pytest keeps --hypothesis-seed
CANNOT_JUDGE = 2
WRITTEN = ("report.json", "report.html", "report.md", "junit.xml", "coverage.json")


def begin(config: pytest.Config) -> State:
    """The state of a run. Ends pytest with one sentence where nothing can be judged."""
    given = getattr(config, "workerinput", {}).get("conformance")
    if given:
        os.environ.update(given["environment"])
    options = read_options(config, given["seed"] if given else _seed(config))
    draw_as(options)
    known = None if given else excuses(options)
    if not given:
        _forget(Path(options.report))
    server = None
    try:
        if given:
            options = embedded.profiled(options) if options.target == "embedded" else options
            target = Target(given["url"], given["model"], options.key, options.key_env, given["limit"])
        else:
            server, options, target = _target(options)
    except TargetError as error:
        pytest.exit(f"cannot judge: {error}", returncode=CANNOT_JUDGE)
    prefix = f"{given['worker']}-x" if given else "x"
    budget = Budget(options.max_requests, given["budget"] if given else None)
    client = Client(options.profile.timeouts, prefix, budget)
    judge = Judge(
        client,
        options.dialect,
        max_tokens=options.max_tokens and max(1, options.max_tokens // (given["of"] if given else 1)),
    )
    judge.chat = Chat(client, target, options.dialect, options.profile, judge.memo)
    judge.coverage = Coverage(options.dialect, options.profile)
    selection = Selection.of(options)
    state = State(options, selection, judge, judge.chat, embedded=server, baseline=known)
    if not given:
        from conformance.plugin import command

        state.results = Results(options, selection, target.model, target.url, command())
    state.plan = _plan(options, target, selection)
    return state


def for_worker(state: State, node: Any) -> dict[str, Any]:  # noqa: ANN401 - xdist's WorkerController
    """What a worker need not find out again, and its share of the budget."""
    options, target = state.options, state.chat.target
    names = (options.key_env, *options.profile.keys.values())
    if state.spent is None:
        state.spent = tempfile.NamedTemporaryFile(prefix="conformance-budget-")  # noqa: SIM115 - closed at the end of the run
    return {
        "url": target.url,
        "model": target.model,
        "limit": target.limit,
        "seed": options.seed,
        "worker": node.workerinput["workerid"],
        "of": max(1, len(node.config.getoption("tx") or [1])),
        "budget": state.spent.name,
        "environment": {name: os.environ[name] for name in names if name in os.environ},
    }


def check_id(item: pytest.Item) -> str:
    """The id of an item's check, with its argument, as rows write it."""
    assert isinstance(item, pytest.Function)  # noqa: S101 - checks are functions
    mark = _mark(item)
    if mark.per is None:
        return mark.id
    return f"{mark.id}[{item.callspec.params[mark.per]}]"


def arrange(state: State, items: Sequence[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """(kept, dropped): what the rows list, at this depth; what weighs most first, for the budget's end; oracles last."""
    checks = [item for item in items if isinstance(item, pytest.Function) and info(item.function) is not None]
    others = [item for item in items if item not in set(checks)]
    _note_unknown(state, checks)
    kept: list[pytest.Function] = []
    dropped: list[pytest.Item] = []
    for item in checks:
        reason = _left_out(state, item)
        if reason and state.selection.lists(check_id(item)):
            state.notes["skipped"][check_id(item)] = reason
        (dropped if reason else kept).append(item)
    for item in kept:
        _name(state, item)
    state.judge.oracles = [_oracle(item) for item in kept if _mark(item).kind is not None]
    kept.sort(
        key=lambda item: (_mark(item).kind is not None, not _mark(item).smoke, state.selection.rank(check_id(item)))
    )
    return [*kept, *others], dropped


def note_partial(state: State, selected: set[str], running: set[str]) -> None:
    """Say in the report that -k or -m left checks out, if so."""
    if running < selected:
        state.notes["partial"] = f"only {len(running)} of {len(selected)} checks were selected on the command line"


def _target(options: Options) -> tuple[embedded.Embedded | None, Options, Target]:
    if options.target == "embedded":
        return embedded.start(options)
    try:
        url = base_url(options.target)
    except TargetError as error:
        raise pytest.UsageError(str(error)) from error
    timeouts = options.profile.timeouts
    return None, options, resolve(url, options.dialect, options.model, options.key, options.key_env, timeouts)


def _forget(folder: Path) -> None:
    """Remove what an earlier run left: a run that cannot judge must not leave another's verdict for a gate to read."""
    try:
        for name in WRITTEN:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise pytest.UsageError(f"--report {folder}: no folder that can be written to: {error.strerror}") from error


def _seed(config: pytest.Config) -> int:
    given = config.getoption(SEED, None)
    if given not in (None, "random"):
        return int(given)
    seed = random.SystemRandom().randrange(2**32)
    setattr(config.option, SEED, str(seed))
    return seed


def draw_as(options: Options) -> None:
    """Hypothesis serves many requests to a remote server: no deadline, no database, the smallest failing request."""
    settings.register_profile(
        "conformance",
        max_examples=DEPTHS[options.depth].examples,
        deadline=None,
        database=None,
        print_blob=False,
        report_multiple_bugs=False,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("conformance")


def _plan(options: Options, target: Target, selection: Selection) -> list[str]:
    caps = [
        f"at most {n} {what}"
        for n, what in ((options.max_requests, "requests"), (options.max_tokens, "completion tokens"))
        if n
    ]
    return [
        f"conformance: {target.url} as {options.dialect.id}, model {target.model}, key {'from ' + target.key_env if target.key else 'none'}",
        f"conformance: {len(selection.rows)} requirements ({', '.join(options.tiers)}), depth {options.depth}, seed {options.seed}"
        + "".join(f", {cap}" for cap in caps),
    ]


def _mark(item: pytest.Function) -> CheckInfo:
    mark = info(item.function)
    assert mark is not None  # noqa: S101 - callers asked
    return mark


def _left_out(state: State, item: pytest.Function) -> str | None:
    """Why the item does not run; None when it does."""
    if "NOTSET" in item.name or not state.selection.lists(check_id(item)):
        return "no row of the dialect lists it"
    if state.options.depth == "smoke" and not _mark(item).smoke:
        return "not part of --depth smoke"
    if state.options.depth != "deep" and state.selection.spared(check_id(item)):
        return "tried at --depth deep"
    return None


def _note_unknown(state: State, checks: list[pytest.Function]) -> None:
    """A row that lists a check which nobody wrote is an error of the dialect; a part of the files tells nothing of that."""
    everything = {item.path for item in checks} >= set((Path(__file__).parent / "checks").glob("test_*.py"))
    if everything:
        state.notes["unknown"] = state.selection.unknown(_mark(item).id for item in checks)


def _name(state: State, item: pytest.Function) -> None:
    rows = state.selection.by_check[check_id(item)]
    item.extra_keyword_matches.update({check_id(item), *(row.id for row in rows), *(row.chapter for row in rows)})


def _oracle(item: pytest.Function) -> Oracle:
    mark = _mark(item)
    assert mark.kind is not None  # noqa: S101 - callers asked
    return Oracle(check_id(item), mark.kind, _call(item, mark))


def _call(item: pytest.Function, mark: CheckInfo) -> Callable[[Any], None]:
    """The oracle with its dialect and argument filled in."""
    extra: dict[str, Any] = {}
    names = item._fixtureinfo.argnames  # noqa: SLF001 - pytest offers no public list of a function's arguments
    run = item.config.pluginmanager.get_plugin("conformance-run")
    for name in ("dialect", "profile"):
        if name in names and run is not None:
            extra[name] = getattr(run.state.options, name)
    if mark.per is not None:
        extra[mark.per] = item.callspec.params[mark.per]
    function = item.obj
    return lambda view: function(view, **extra)
