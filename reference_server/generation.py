"""Running a generation to its end, to its deadline, or until nobody waits for it any more."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from reference_server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Coroutine

    from starlette.types import Receive

    from reference_server.engine import Event
    from reference_server.wire import Order

__all__ = ["Gone", "Stopping", "never_in_time", "punctual", "while_wanted"]

T = TypeVar("T")


class Gone(Exception):
    """The client left before its answer was complete."""


class Stopping(Exception):
    """The server is ending and the time for running answers is over."""


async def punctual(events: AsyncIterator[Event], order: Order) -> AsyncGenerator[Event, None]:
    """The same events, as long as the order's deadlines are met. Raises ApiError(timeout)."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    finish = None if order.finish_within is None else start + order.finish_within
    first = [
        due for due in (finish, None if order.first_within is None else start + order.first_within) if due is not None
    ]
    due = min(first, default=None)
    try:
        while True:
            event = await _next(events, due)
            if event is None:
                return
            yield event
            due = finish
    except TimeoutError as error:
        raise ApiError(
            "timeout", "The answer was not ready in the time that the request allows", retry_after=1
        ) from error
    finally:
        await _close(events)


async def never_in_time(seconds: float) -> AsyncGenerator[Event, None]:
    """A generation that outlives the server's own patience. Raises ApiError(timeout)."""
    await asyncio.sleep(seconds)
    raise ApiError("timeout", f"The model gave no answer within {seconds:g} s", retry_after=1)
    yield  # the function is a generator, like every generation


async def while_wanted(work: Coroutine[None, None, T], receive: Receive, stopping: asyncio.Event) -> T:
    """The result of the work, which is given up when the client leaves (Gone) or the server's time is over (Stopping).

    The request's body must have been read in full.
    """
    task = asyncio.ensure_future(work)
    left = asyncio.ensure_future(_departure(receive))
    ended = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((task, left, ended), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Gone if left.done() else Stopping
    finally:
        for each in (task, left, ended):
            each.cancel()
        if not task.done():
            with suppress(asyncio.CancelledError, Exception):
                await task


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _next(events: AsyncIterator[Event], due: float | None) -> Event | None:
    """The next event, None after the last. Raises TimeoutError at loop time `due`."""
    if due is None:
        return await anext(events, None)
    async with asyncio.timeout_at(due):
        return await anext(events, None)


async def _close(events: AsyncIterator[Event]) -> None:
    close = getattr(events, "aclose", None)
    if close:
        await close()
