"""What our layer costs per streamed token, by stage, without a model: SGLang's outputs are made up, the code is the real one.

    python benchmarks/sglang/layer.py [--tokens N] [--repeat N]

Each stage runs alone over the whole answer, so that the clock is read twice per stage and not twice per token; the best of the
repetitions counts, because whatever else the machine does can only add. Microseconds of wall time, one thread.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any

from reference_server import sse
from reference_server.engine import ChatRequest, Message
from reference_server.engine.sglang_choice import Plain
from reference_server.engine.sglang_vocabulary import Vocabulary
from reference_server.wire import Order, Stamp, codec

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = [
    "",
    "the",
    "lamp",
    "by",
    "the",
    "sea",
    "was",
    "lit",
    "at",
    "dusk",
    "and",
    "nobody",
    "saw",
    "who",
    "came",
    "to",
    "light",
    "it",
]
REQUEST = ChatRequest("m", (Message("user", "hi"),), stop=("\n\nEND",))
STAMP = Stamp("chatcmpl-1", 0, "m", "node-1", "", ("c-1",))


class Tokenizer:
    """No tokens are looked up without log probabilities."""

    all_special_ids = ()

    def get_vocab(self) -> dict[str, int]:
        """No vocabulary."""
        return {}


def outputs(tokens: int) -> list[dict[str, Any]]:
    """What SGLang would yield: the whole text each time."""
    text, made = "", []
    for number in range(tokens):
        text += " " + WORDS[number % len(WORDS)]
        end = {"type": "length", "length": tokens} if number == tokens - 1 else None
        made.append(
            {"text": text, "output_ids": [], "meta_info": {"finish_reason": end, "completion_tokens": number + 1}}
        )
    return made


def stages(tokens: int) -> dict[str, Callable[[], object]]:
    """Name and work of every stage, each fed with what the one before it made."""
    made = outputs(tokens)
    vocabulary = Vocabulary(Tokenizer())

    def events() -> list[Any]:
        choice = Plain(0, REQUEST, vocabulary)
        return [event for output in made for event in choice.feed(output)]

    def chunks() -> list[Any]:
        encoder = codec("openai").encoder(STAMP, Order(REQUEST, stream=True))
        return [chunk for event in told for chunk in encoder.push(event)]

    def texts() -> list[bytes]:
        return [json.dumps(chunk, ensure_ascii=False, separators=(",", ":")).encode() for chunk in built]

    def frames() -> list[bytes]:
        return [sse.event(text) for text in written]

    told = events()
    built = chunks()
    written = texts()
    return {"outputs to events": events, "events to chunks": chunks, "chunks to JSON": texts, "JSON to frames": frames}


def main() -> None:
    """Print microseconds per token for each stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=30)
    options = parser.parse_args()
    total = 0.0
    for name, work in stages(options.tokens).items():
        best = min(_seconds(work) for _ in range(options.repeat))
        total += best
        print(f"{name:20} {best / options.tokens * 1e6:6.1f} us per token")
    print(f"{'sum':20} {total / options.tokens * 1e6:6.1f} us per token")


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
