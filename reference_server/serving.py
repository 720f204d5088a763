"""Running the application on a socket until a signal ends it; answers that run then get a few seconds to finish."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from types import FrameType

    from starlette.types import ASGIApp, Message, Scope, Send

    from reference_server.context import Context

__all__ = ["GRACE", "RawAnswer", "Server", "serve"]

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


class RawAnswer:
    """An answer that goes over the connection as bytes of our own, which may break HTTP as uvicorn never would.

    Streams of events, of which nobody can wait for the end, and the control plane's answers go the usual way.
    """

    def __init__(self, send: Send, scope: Scope) -> None:
        self._send = send
        self._usual = scope["path"].startswith("/__ref__")
        self._head: Message | None = None
        self._body = b""

    async def take(self, message: Message) -> None:
        """Keep a message of a whole answer, pass on any other."""
        if message["type"] == "http.response.start":
            kinds = [value for name, value in message["headers"] if name == b"content-type"]
            self._usual = self._usual or any(kind.startswith(b"text/event-stream") for kind in kinds)
            self._head = message
        if self._usual:
            await self._send(message)
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")

    def write(self, alter: Callable[[bytes], bytes]) -> None:
        """Write what was kept, altered, and end the connection."""
        if self._usual or self._head is None:
            return
        status = self._head["status"]
        lines = [b"HTTP/1.1 %d %b" % (status, HTTPStatus(status).phrase.encode())]
        lines += [b"%b: %b" % pair for pair in self._head["headers"]]
        answer = alter(b"\r\n".join([*lines, b"connection: close", b"", self._body]))
        cycle: Any = getattr(self._send, "__self__", None)  # uvicorn's state of this exchange, which has the connection
        cycle.transport.write(answer)
        cycle.transport.close()
        cycle.disconnected = True  # uvicorn asks nothing more of an answer whose client has left
