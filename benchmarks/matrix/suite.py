"""The suite in this process: the same checks, judge and report as `pytest --target`, without pytest around them.

A matrix of faults runs every check hundreds of times; collecting, importing and writing reports would be most of its
time. What decides is `conformance.judge` here as there, and a test compares the verdicts of both ways.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import conformance.checks
import dialects
from conformance import setup
from conformance.chat import Chat
from conformance.explore import Explorer
from conformance.judge import Judge, Oracle
from conformance.options import DEPTHS, Options
from conformance.registry import CheckInfo, info
from conformance.results import Results
from conformance.runner import PROBES
from conformance.selection import Selection
from conformance.target import Target
from conformance.verdict import Outcome
from conformance.wire.client import Budget, Client, Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conformance.profile import Profile
    from reports.model import Report

__all__ = ["KEY", "TIERS", "Item", "Suite"]

KEY = "sk-conformance-valid"
TIERS = ("seed", "extended", "common")
SEED = 20_260_101


@dataclass(frozen=True, slots=True)
class Item:
    """One check with its argument, as a row lists it."""

    id: str
    mark: CheckInfo
    function: Callable[..., Any]
    argument: str | None


class Suite:
    """The checks of one dialect at one depth; `run` judges a URL and may be called again and again.

    `leave` are names of checks that are not run (and then are `not-run` in the report).
    """

    def __init__(
        self, dialect: str, profile: Profile, depth: str = "full", leave: frozenset[str] = frozenset()
    ) -> None:
        self.options = _options(dialect, profile, depth)
        self.selection = Selection.of(self.options)
        found = [item for item in _items(self.selection) if item.mark.id not in leave and self._runs(item)]
        self.items = sorted(found, key=lambda item: item.mark.kind is not None)

    def run(
        self,
        url: str,
        profile: Profile | None = None,
        *,
        timeouts: Timeouts | None = None,
        patience: float | None = None,
        until: Callable[[Results], bool] = lambda _: False,
        seed: int | None = None,
        only: frozenset[str] | None = None,
        after: Callable[[Judge, Item], None] = lambda *_: None,
    ) -> Report:
        """The report on the target at this URL, with a profile of its own if one is given.

        After each item `until` may end the run; the checks that it did not reach are `not-run`, as are those that are not among
        `only`, where that is given. `after` is told of each item that was judged. `patience`: seconds for which a 429 is waited
        for, where that is not to be a minute.
        """
        setup.draw_as(self.options)  # the same hypothesis settings as a run of the plugin
        given = {"profile": profile or self.options.profile, "seed": self.options.seed if seed is None else seed}
        options = dataclasses.replace(self.options, **given)
        target = Target(url, options.model or options.dialect.models.example, KEY)
        budget = Budget(options.max_requests)
        client = Client(timeouts or options.profile.timeouts, "x", budget)
        judge = Judge(client, options.dialect)
        judge.chat = Chat(client, target, options.dialect, options.profile, judge.memo)
        if patience is not None:
            judge.chat.patience.longest = patience
        judge.oracles = self.oracles(options)
        results = Results(options, self.selection, target.model, url, "benchmarks.matrix")
        try:
            for item in self.items:
                if only is not None and item.id not in only:
                    continue
                results.take(_found(judge, item, self._decide(judge, item, options)))
                after(judge, item)
                if until(results):
                    break
        finally:
            client.close()
        return results.report()

    def oracles(self, options: Options | None = None) -> list[Oracle]:
        """What looks at every exchange."""
        return [self._oracle(item, options or self.options) for item in self.items if item.mark.kind is not None]

    def _runs(self, item: Item) -> bool:
        if self.options.depth == "smoke":
            return item.mark.smoke
        return self.options.depth == "deep" or not self.selection.spared(item.id)

    def _decide(self, judge: Judge, item: Item, options: Options) -> Outcome:
        try:
            if item.mark.kind is not None:
                return judge.watch(PROBES[item.mark.kind], item.id)
            call = partial(item.function, **_arguments(judge, item, options))
            return judge.run(call, inspect.getdoc(item.function) or "", generated=False)
        except Exception as error:  # noqa: BLE001 - as the plugin does: what is no verdict is the suite's own error
            return Outcome("error", f"the check itself failed: {type(error).__name__}: {error}"[:500])

    def _oracle(self, item: Item, options: Options) -> Oracle:
        wanted = _parameters(item.function)
        given: dict[str, Any] = {
            "dialect": options.dialect,
            "profile": options.profile,
            item.mark.per or "": item.argument,
        }
        extra = {name: value for name, value in given.items() if name in wanted}
        return Oracle(item.id, item.mark.kind or "", partial(item.function, **extra))


def _options(dialect: str, profile: Profile, depth: str) -> Options:
    return Options(
        target="",
        dialect=dialects.load(dialect),
        model=profile.models.get("chat"),
        profile=profile,
        tiers=TIERS,
        gating=("seed", "common"),
        level="must",
        report="",
        baseline=None,
        depth=depth,
        max_requests=DEPTHS[depth].requests if depth == "smoke" else None,  # a fault makes a full run longer
        max_tokens=None,
        key_env="CHAT_API_KEY",
        seed=SEED,
    )


def _items(selection: Selection) -> Iterator[Item]:
    """Every check that rows list, once for each argument, in the order of the files, as pytest collects them."""
    for path in sorted(Path(conformance.checks.__file__).parent.glob("test_*.py")):
        module = importlib.import_module(f"conformance.checks.{path.stem}")
        for function in vars(module).values():
            mark = info(function) if inspect.isfunction(function) else None
            if mark is None:
                continue
            if mark.per is not None:
                yield from (Item(f"{mark.id}[{a}]", mark, function, a) for a in selection.arguments(mark.id))
            elif selection.lists(mark.id):
                yield Item(mark.id, mark, function, None)


def _arguments(judge: Judge, item: Item, options: Options) -> dict[str, Any]:
    given: dict[str, Any] = {
        "chat": judge.chat,
        "dialect": options.dialect,
        "profile": options.profile,
        "explore": Explorer(options.seed, DEPTHS[options.depth].examples),
        item.mark.per or "": item.argument,
    }
    return {name: given[name] for name in _parameters(item.function)}


@cache
def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)


def _found(judge: Judge, item: Item, outcome: Outcome) -> dict[str, Any]:
    """What the plugin would take from an item, without the exchanges, which nobody reads here."""
    judge.inspect()
    oracles = {i: (n, dataclasses.asdict(o) if o is not None else None) for i, (n, o) in judge.harvest().items()}
    judge.next_item()
    return {
        "check": (item.id, dataclasses.asdict(outcome)),
        "oracles": oracles,
        "exchanges": [],
        "spent": judge.spent(),
        "covered": [],
    }
