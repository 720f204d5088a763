"""Running the application on a socket until a signal ends it; answers that run then get a few seconds to finish."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from types import FrameType

    from starlette.types import ASGIApp

    from reference_server.context import Context

__all__ = ["GRACE", "Server", "serve"]

GRACE = 5.0  # seconds that running answers have after the signal
KEEP_ALIVE = 75  # seconds that an idle connection is kept
CLOSING = 2  # seconds more for their last event to be read


class Server(uvicorn.Server):
    """A uvicorn server that says when it is ready and tells the application when it must end."""

    def __init__(self, config: uvicorn.Config, context: Context, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._context = context
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, then say so."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature is uvicorn's
        """End: no new connections, and the time of running answers is counted from now."""
        self.force_exit = self.should_exit  # a second signal does not wait
        self.should_exit = True
        self._loop.call_soon_threadsafe(self._loop.call_later, GRACE, self._context.stopping.set)


async def serve(app: ASGIApp, context: Context, listener: socket.socket, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called with the base URL once it answers."""
    url = _url(listener)
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=int(GRACE) + CLOSING,
    )
    await context.engine.start()
    try:
        await Server(config, context, lambda: ready(url)).serve([listener])
    finally:
        await context.engine.close()
        context.sessions.close()


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
