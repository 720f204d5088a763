"""Runs a body of a check with what hypothesis draws, values or walks of a state machine: smallest failure, seeded by the run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hypothesis import Phase, given, seed, settings
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import run_state_machine_as_test

from conformance.verdict import Mismatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine

__all__ = ["Explorer"]


class Explorer:
    """Fixture `explore`: `explore(strategy, function)` calls the function with drawn values and raises what it raises.

    `patience` is how many seconds a check may wait for a limit to be lifted.
    """

    def __init__(self, run_seed: int, examples: int, patience: float = 0.0) -> None:
        self._seed = run_seed
        self.examples = examples
        self.patience = patience

    def __call__(self, values: st.SearchStrategy[Any], function: Callable[[Any], object]) -> None:
        """Try as many values as the depth allows; a failure is shrunk and raised for the smallest value."""

        def body(value: Any) -> None:  # noqa: ANN401 - whatever the strategy draws
            function(value)

        _seen(seed(self._seed)(given(value=values)(body)))

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(max(0.0, seconds))

    def walk(
        self, machine: Callable[[], RuleBasedStateMachine], *, walks: int, steps: int, shrink: bool = True
    ) -> None:
        """Take so many walks over the machine's rules in drawn orders; a failure is raised for the shortest walk.

        Without `shrink` for the walk that met it: where what happens depends on what happened in walks before.
        """

        def begun() -> RuleBasedStateMachine:
            return machine()

        wanted = settings(max_examples=walks, stateful_step_count=steps)
        phases = [phase for phase in wanted.phases if shrink or phase is not Phase.shrink]
        chosen = settings(wanted, phases=phases)
        _seen(lambda: run_state_machine_as_test(seed(self._seed)(begun), settings=chosen))  # type: ignore[arg-type]


def _seen(test: Callable[[], object]) -> None:
    """Run it; a mismatch that did not come again is raised all the same: whether it counts is the judge's to find out."""
    try:
        test()
    except FlakyFailure as error:
        mismatches, _ = error.split(Mismatch)
        if mismatches is None:
            raise
        raise _first(mismatches) from error


def _first(group: BaseExceptionGroup[Mismatch]) -> Mismatch:
    found = group.exceptions[0]
    return found if isinstance(found, Mismatch) else _first(found)
