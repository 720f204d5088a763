"""Clocks: when the kernel says bytes came, when they were seen, and a timer that fires when it says.

Kernel stamps are of the wall clock (CLOCK_REALTIME), so sends are stamped by it too, and steps of it are watched against
the monotonic clock. Linux only; elsewhere everything falls back to user-space stamps and the event loop's own timers.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from time import monotonic_ns, time_ns

__all__ = ["ANCILLARY_BYTES", "ClockWatch", "Deadline", "ask_for_stamps"]

SO_TIMESTAMPNS = 35  # Linux: asm-generic/socket.h; Python has no name for it
ANCILLARY_BYTES = 64
TFD_NONBLOCK = os.O_NONBLOCK
TFD_TIMER_ABSTIME = 1
LONG = 8  # the 32-bit layout of the stamp is another one
CLOCK_MONOTONIC = 1


def ask_for_stamps(sock: socket.socket) -> bool:
    """Ask the kernel to stamp what this socket receives; whether it will."""
    if sys.platform != "linux" or struct.calcsize("P") != LONG:
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


class ClockWatch:
    """How far the wall clock moved against the monotonic one between two looks."""

    def __init__(self) -> None:
        self._offset = time_ns() - monotonic_ns()

    def step_us(self) -> int:
        """The movement since the last call in us, its sign dropped."""
        was, self._offset = self._offset, time_ns() - monotonic_ns()
        return abs(self._offset - was) // 1000


class Deadline:
    """A file descriptor that becomes readable at a moment of the monotonic clock, to within tens of us.

    The event loop's own timers count in whole milliseconds, which would make every send late by half of one.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    @classmethod
    def available(cls) -> bool:
        """Whether this system has such timers."""
        return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "timerfd_create")

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return int(self._fd)

    def arm(self, at: int) -> None:
        """Fire at that monotonic ns; a moment in the past fires at once."""
        seconds, rest = divmod(max(at, 1), 1_000_000_000)
        spec = struct.pack("qqqq", 0, 0, seconds, rest)
        if self._libc.timerfd_settime(self._fd, TFD_TIMER_ABSTIME, spec, None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def drain(self) -> None:
        """Forget that it fired."""
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
