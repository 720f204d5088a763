"""Runs a body of a check with values drawn by hypothesis: smallest failing value, seeded by the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given, seed

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis import strategies as st

__all__ = ["Explorer"]


class Explorer:
    """Fixture `explore`: `explore(strategy, function)` calls the function with drawn values and raises what it raises."""

    def __init__(self, run_seed: int, examples: int) -> None:
        self._seed = run_seed
        self.examples = examples

    def __call__(self, values: st.SearchStrategy[Any], function: Callable[[Any], object]) -> None:
        """Try as many values as the depth allows; a failure is shrunk and raised for the smallest value."""

        def body(value: Any) -> None:  # noqa: ANN401 - whatever the strategy draws
            function(value)

        seed(self._seed)(given(value=values)(body))()
