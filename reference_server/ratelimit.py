"""Sliding windows per key, and the headers in which each dialect tells about them."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from reference_server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dialects import Dialect
    from reference_server.keys import Key

__all__ = ["Limiter", "Standing", "Window", "duration", "headers"]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a key stands: `limit` in a window of `seconds`, `remaining` of it, and when the oldest use is forgotten."""

    limit: int
    remaining: int
    seconds: float
    reset_in: float


class Window:
    """A sliding window: at most `limit` of something in any `seconds`. The clock is any that only goes forward."""

    def __init__(self, limit: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self.seconds = seconds
        self._clock = clock
        self._uses: deque[tuple[float, int]] = deque()
        self._used = 0

    def standing(self) -> Standing:
        """Where it stands now."""
        now = self._clock()
        while self._uses and self._uses[0][0] <= now - self.seconds:
            self._used -= self._uses.popleft()[1]
        reset = self._uses[0][0] + self.seconds - now if self._uses else 0.0
        return Standing(self.limit, max(0, self.limit - self._used), self.seconds, reset)

    def spend(self, amount: int) -> None:
        """Count this use, allowed or not."""
        self._uses.append((self._clock(), amount))
        self._used += amount


class Limiter:
    """The windows of all keys, by dialect: each API counts for itself."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[tuple[str, str], tuple[Window, Window]] = {}

    def take(self, dialect: str, key: Key) -> tuple[Standing, Standing, ApiError | None]:
        """Count one request unless it is refused: where requests and tokens stand, and the refusal if it is one."""
        requests, tokens = self._of(dialect, key)
        spent = _spent(requests.standing(), "requests") or _spent(tokens.standing(), "tokens")
        if not spent:
            requests.spend(1)
        return requests.standing(), tokens.standing(), spent

    def charge(self, dialect: str, key: Key, tokens: int) -> None:
        """Count the tokens of an answer."""
        self._of(dialect, key)[1].spend(tokens)

    def _of(self, dialect: str, key: Key) -> tuple[Window, Window]:
        if (dialect, key.label) not in self._windows:
            windows = Window(key.requests, key.window, self._clock), Window(key.tokens, key.window, self._clock)
            self._windows[dialect, key.label] = windows
        return self._windows[dialect, key.label]


def _spent(standing: Standing, what: str) -> ApiError | None:
    if standing.remaining > 0:
        return None
    wait = max(1, ceil(standing.reset_in))
    says = f"Rate limit exceeded: {standing.limit} {what} in {standing.seconds:g} s. Try again in {wait} s"
    return ApiError("rate_limited", says, retry_after=wait)


def headers(dialect: Dialect, requests: Standing, tokens: Standing) -> dict[str, str]:
    """The documented rate-limit headers with their values."""
    return {
        name: _VALUES[name.lower()](requests, tokens) for name in dialect.ratelimit.headers if name.lower() in _VALUES
    }


def duration(seconds: float) -> str:
    """A time span as the x-ratelimit-reset headers write it: 12ms, 1.5s, 6m0s."""
    if seconds < 1:
        return f"{ceil(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{rest:.0f}s" if minutes else f"{rest:.3g}s"


_VALUES: dict[str, Callable[[Standing, Standing], str]] = {
    "x-ratelimit-limit": lambda requests, _: str(requests.limit),
    "x-ratelimit-remaining": lambda requests, _: str(requests.remaining),
    "x-ratelimit-reset": lambda requests, _: str(ceil(time.time() + requests.reset_in)),
    "x-ratelimit-window": lambda requests, _: str(ceil(requests.seconds)),
    "x-ratelimit-limit-requests": lambda requests, _: str(requests.limit),
    "x-ratelimit-remaining-requests": lambda requests, _: str(requests.remaining),
    "x-ratelimit-reset-requests": lambda requests, _: duration(requests.reset_in),
    "x-ratelimit-limit-tokens": lambda _, tokens: str(tokens.limit),
    "x-ratelimit-remaining-tokens": lambda _, tokens: str(tokens.remaining),
    "x-ratelimit-reset-tokens": lambda _, tokens: duration(tokens.reset_in),
}
