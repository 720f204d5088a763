"""Runs one item: a check by calling it, an oracle by asking what it found; verdicts become pytest's outcomes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from conformance.plugin_state import OUTCOME, State
from conformance.registry import info
from conformance.setup import check_id
from conformance.verdict import Mismatch, Outcome

if TYPE_CHECKING:
    from conformance.chat import Chat
    from conformance.judge import Judge

__all__ = ["found", "run"]

KEPT_PER_ITEM = 12


def run(state: State, item: pytest.Function) -> None:
    """Decide the item and raise what pytest shows for the verdict; a pass raises nothing."""
    outcome = _decide(state, item)
    item.stash[OUTCOME] = outcome
    state.notes["gone"] = state.judge.gone
    _raise(outcome, blocks=state.selection.blocks(check_id(item)))


def found(state: State, item: pytest.Function, call: pytest.CallInfo[None]) -> dict[str, Any]:
    """What the item found, as JSON, for the report; an exception that is no verdict is the suite's own error."""
    outcome = item.stash.get(OUTCOME, None)
    if outcome is None:
        outcome = Outcome(
            "error", f"the check itself failed: {call.excinfo.exconly() if call.excinfo else 'unknown'}"[:2000]
        )
    judge, name = state.judge, check_id(item)
    judge.inspect()
    oracles = {i: (n, dataclasses.asdict(o) if o is not None else None) for i, (n, o) in judge.harvest().items()}
    wanted = {*outcome.evidence, *(e for _, o in oracles.values() if o for e in o["evidence"])}
    records = _records(judge, name, wanted, state.options.key_env)
    covered, judge.covered = sorted(judge.covered), set()
    judge.next_item()
    return {
        "check": (name, dataclasses.asdict(outcome)),
        "oracles": oracles,
        "exchanges": records,
        "spent": judge.spent(),
        "covered": covered,
    }


def _decide(state: State, item: pytest.Function) -> Outcome:
    mark = info(item.function)
    assert mark is not None  # noqa: S101 - the plugin asked
    judge = state.judge
    if mark.kind is not None:
        return judge.watch(PROBES[mark.kind], check_id(item))
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}  # noqa: SLF001 - pytest's own way, not public
    generated = hasattr(item.obj, "hypothesis")
    outcome = judge.run(lambda: item.obj(**arguments), _sentence(item), generated=generated)
    judge.inspect()
    return outcome


def _raise(outcome: Outcome, *, blocks: bool) -> None:
    if outcome.verdict == "fail":
        if blocks:
            raise Mismatch(outcome.expected or "", outcome.observed or outcome.reason or "")
        pytest.xfail(f"not blocking: {outcome.reason}")
    if outcome.verdict != "pass":
        pytest.skip(f"{outcome.verdict}: {outcome.reason}")


def _records(judge: Judge, check: str, wanted: set[str], key_env: str) -> list[dict[str, Any]]:
    """The item's first exchanges and all that are evidence."""
    kept = [e for n, e in enumerate(judge.exchanges) if n < KEPT_PER_ITEM or e.id in wanted]
    return [e.record(check, key_env) for e in kept]


def _sentence(item: pytest.Function) -> str:
    return " ".join((item.obj.__doc__ or "").split())


def _look(chat: Chat) -> None:
    chat.plain()


def _look_at_stream(chat: Chat) -> None:
    chat.streamed()


def _look_at_refusal(chat: Chat) -> None:
    chat.refused(chat.post(b"{"))


PROBES = {"exchange": _look, "answer": _look, "reply": _look, "stream": _look_at_stream, "refusal": _look_at_refusal}
