"""python -m benchmarks.streams.large [--size BYTES]: answers of one thing over and over, as long as the client lets through.

What takes time or memory in the square of its length is harmless in a short answer and hangs in a long one. Each is read,
folded, judged by every oracle of the dialect with the most, and recorded; printed are the seconds and the MiB that it took.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.streams import hold
from benchmarks.streams.trial import judge
from conformance.reply import read
from conformance.wire.client import LINES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conformance.wire.exchange import Exchange

PATIENCE = 60.0  # seconds of the processor
JSON = (("content-type", "application/json"),)
HEAD = b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m",'
BEGIN = b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m",'
MESSAGE = b'"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant",'
DELTA = b'"choices":[{"index":0,"finish_reason":null,"delta":{'


def bodies(size: int) -> Iterator[tuple[str, Exchange]]:
    """(what, exchange) of every shape."""
    for what, head, piece, tail in WHOLE:
        count = max(1, size // len(piece % 7))
        yield f"whole: {what}", hold.exchange([head + b",".join(piece % i for i in range(count)) + tail], JSON)
    for what, head, piece, tail in WHOLE_STREAMED:
        count = max(1, size // len(piece % 7))
        yield f"chunk: {what}", hold.exchange([head + b",".join(piece % i for i in range(count)) + tail])
    for what, piece in MANY:
        count = min(LINES // piece.count(b"\n"), size // len(piece))
        body = b"".join(piece % i if b"%d" in piece else piece for i in range(count))
        yield f"chunks: {what}", hold.exchange([body[i : i + 65_536] for i in range(0, len(body), 65_536)])


WHOLE = [
    ("members", HEAD, b'"k%d":1', b"}"),
    ("one member over and over", HEAD + b'"a0":1,', b'"a0":%d', b"}"),
    ("each member twice", HEAD + b'"a":1,', b'"k%d":1,"l":1', b"}"),
    ("choices", HEAD + b'"choices":[', b'{"index":%d,"finish_reason":"stop","message":{"role":"assistant","content":"a"}}', b"]}"),
    ("calls", HEAD + MESSAGE + b'"tool_calls":[', b'{"id":"c%d","type":"function","function":{"name":"f","arguments":"{}"}}', b"]}}]}"),
    ("scores", HEAD + MESSAGE + b'"content":"a"},"logprobs":{"content":[', b'{"token":"a","logprob":-1,"bytes":[%d],"top_logprobs":[]}', b"]}}]}"),
    ("numbers that are none", HEAD + b'"x":[%d,' % 1, b"NaN,%d", b"]}"),
    ("surrogates", HEAD + b'"x":[', b'"\\ud83d%d"', b"]}"),
    ("brackets", b"[", b"[[[%d", b"]"),
    ("text", HEAD + MESSAGE + b'"content":"', b"word %d <think> [INST] {", b'"}}]}'),
]  # fmt: skip
WHOLE_STREAMED = [
    ("choices", BEGIN + b'"choices":[', b'{"index":%d,"finish_reason":null,"delta":{"content":"a"}}', b"]}\n\n"),
    ("calls", BEGIN + DELTA + b'"tool_calls":[', b'{"index":%d,"id":"c","type":"function","function":{"name":"f","arguments":"{"}}', b"]}}]}\n\n"),
    ("members", BEGIN, b'"k%d":1', b"}\n\n"),
]  # fmt: skip
MANY = [
    ("one token each", BEGIN + DELTA + b'"content":"token "}}]}\n\n'),
    ("long tokens", BEGIN + DELTA + b'"content":"' + b"x" * 250 + b'"}}]}\n\n'),
    ("an id each", BEGIN.replace(b"chatcmpl-1", b"chatcmpl-%d") + DELTA + b'"content":"a"}}]}\n\n'),
    ("a choice each", BEGIN + DELTA.replace(b'"index":0', b'"index":%d') + b'"content":"a"}}]}\n\n'),
    ("a call each", BEGIN + DELTA + b'"tool_calls":[{"index":%d,"id":"c","type":"function","function":{"name":"f","arguments":"{"}}]}}]}\n\n'),
    ("pieces of one call", BEGIN + DELTA + b'"tool_calls":[{"index":0,"function":{"arguments":"abcdefgh"}}]}}]}\n\n'),
    ("usage", BEGIN + b'"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":%d,"total_tokens":3}}\n\n'),
    ("[DONE]", b"data: [DONE]\n\n"),
    ("errors", b'data: {"error":{"message":"no","type":"x","code":%d}}\n\n'),
    ("other events", b"event: ping\ndata: {}\n\n"),
    ("no JSON", b"data: {\n\n"),
]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Try each, print a line for it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams.large", description=__doc__)
    parser.add_argument("--size", type=int, default=16 * 1024 * 1024 - 1000)
    parser.add_argument("--only", default="", help="shapes whose name holds this")
    options = parser.parse_args(arguments)
    slow = 0
    for what, exchange in bodies(options.size):
        if options.only in what:
            seconds = tried(exchange)
            slow += seconds > PATIENCE
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(f"{seconds:7.2f} s  {memory:5} MiB so far  {len(exchange.body):9} bytes  {what}", flush=True)
    return 1 if slow else 0


def tried(exchange: Exchange) -> float:
    """The seconds of the processor that it takes to read, judge and record an answer. Raises Broken where an oracle fails itself."""
    before = time.process_time()
    reply = read(exchange)
    _ = reply.choices, reply.usages, reply.done, reply.distinct
    hold.looked(judge(), exchange)
    exchange.record("any")
    return time.process_time() - before


if __name__ == "__main__":
    sys.exit(main())
