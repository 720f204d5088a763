"""Ctrl-C: the first ends the run, whose report says so; the second waits for that report; the third ends everything.

pytest tells of an interruption at length, and a second Ctrl-C that comes meanwhile would leave a report that knows of none.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

    from conformance.results import Results

__all__ = ["REASON", "Interruption"]

REASON = "interrupted"
PATIENCE = b"\nwriting the report of what ran; Ctrl-C once more leaves it unwritten\n"


class Interruption:
    """What SIGINT does in a run; `given_back` puts back what was there before, unless the run was interrupted: it is ending."""

    def __init__(self, results: Results) -> None:
        self.results, self.times = results, 0
        self.before = signal.getsignal(signal.SIGINT)
        self.ours = threading.current_thread() is threading.main_thread() and self.before is signal.default_int_handler
        if self.ours:
            signal.signal(signal.SIGINT, self.handle)

    def handle(self, number: int, _: FrameType | None) -> None:
        """Raise KeyboardInterrupt, once."""
        self.times += 1
        self.results.reason = REASON
        if self.times == 1:
            raise KeyboardInterrupt
        if self.times == 2:  # noqa: PLR2004 - the second time
            os.write(2, PATIENCE)
            return
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    def given_back(self) -> None:
        """Leave SIGINT as it was found. After an interruption another Ctrl-C may still come, and must not change the exit code."""
        if self.ours and not self.times:
            signal.signal(signal.SIGINT, self.before)
