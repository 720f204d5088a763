"""The load of the comparison: N streams at once, each request of a fixed length; reads bytes, keeps times, nothing else."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from statistics import median
from urllib.parse import urlsplit

WORDS = ["amber", "basalt", "cedar", "delta", "ember", "fjord", "grove", "harbor", "iris", "juniper", "krill", "lotus"]


@dataclass
class Result:
    """What one round has shown. `ttft` in seconds, `tokens` by the servers' own usage."""

    streams: int
    seconds: float = 0.0
    tokens: int = 0
    ttft: list[float] = field(default_factory=list)
    failed: int = 0

    @property
    def rate(self) -> float:
        """Output tokens a second over the whole round."""
        return self.tokens / self.seconds if self.seconds else 0.0

    @property
    def ttft_p50(self) -> float:
        """The median time to the first content, in seconds."""
        return median(self.ttft) if self.ttft else float("nan")


def run(chat: str, model: str, key: str, streams: int, requests: int, length: int) -> Result:
    """Send `requests` requests of `length` tokens, `streams` at a time."""
    return asyncio.run(_run(chat, model, key, streams, requests, length))


async def _run(chat: str, model: str, key: str, streams: int, requests: int, length: int) -> Result:
    result = Result(streams)
    numbers = iter(range(requests))
    start = time.perf_counter()

    async def client() -> None:
        for number in numbers:
            body = _body(model, number, length)
            try:
                first, tokens = await _stream(chat, key, body)
            except (OSError, ValueError, asyncio.IncompleteReadError):
                result.failed += 1
                continue
            result.ttft.append(first)
            result.tokens += tokens

    await asyncio.gather(*(client() for _ in range(streams)))
    result.seconds = time.perf_counter() - start
    return result


def _body(model: str, number: int, length: int) -> bytes:
    """A prompt of its own for each number, the same in every round and for every server."""
    said = " ".join(WORDS[(number * 7 + at * 5) % len(WORDS)] for at in range(24))
    document = {
        "model": model,
        "messages": [{"role": "user", "content": f"Number {number}. Write a long story about {said}."}],
        "max_tokens": length,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return json.dumps(document).encode()


async def _stream(chat: str, key: str, body: bytes) -> tuple[float, int]:
    """(seconds to the first content, completion tokens). Raises ValueError for an answer that is no complete stream."""
    at = urlsplit(chat)
    sent = time.perf_counter()
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    try:
        head = (
            f"POST {at.path} HTTP/1.1\r\nhost: {at.netloc}\r\nauthorization: Bearer {key}\r\nconnection: close\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        status = await reader.readline()
        if b" 200 " not in status:
            raise ValueError(status.decode(errors="replace"))
        return await _read(reader, sent)
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader, sent: float) -> tuple[float, int]:
    first: float | None = None
    tokens: int | None = None
    while line := await reader.readline():
        if not line.startswith(b"data: {"):
            continue
        chunk = json.loads(line[6:])
        if first is None and any(choice["delta"].get("content") for choice in chunk["choices"]):
            first = time.perf_counter() - sent
        if chunk.get("usage"):
            tokens = int(chunk["usage"]["completion_tokens"])
    if first is None or tokens is None:
        raise ValueError("the stream had no content or no usage")
    return first, tokens
