"""A relay in front of a server that adds the key to each request, for a tester that cannot send one.

Answers pass byte for byte, so that every fault of the wire stays what it is.
"""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import suppress

__all__ = ["Relay"]

LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
HOST = "127.0.0.1"


class Relay:
    """Listens from its making until the process ends; `url` is where."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._line = f"\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.url = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    async def _listen(self) -> str:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        return f"http://{HOST}:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, outward = await asyncio.open_connection(HOST, self._port)
        answers = asyncio.create_task(_pour(upstream, writer))
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = LENGTH.search(head)
                body = await reader.readexactly(int(found[1])) if found else b""
                outward.write(head.removesuffix(b"\r\n\r\n") + self._line + body)
                await outward.drain()
        outward.close()
        await answers


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything that comes, until its end or a break."""
    with suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    writer.close()
