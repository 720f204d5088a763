"""Prompts that no cache has seen, unless the scenario wants it to: seeded words, lengths by distribution.

The same (seed, number) always gives the same prompt, so a run can be repeated, and two numbers never share more than
the scenario's prefix: each prompt opens with its own number. Lengths are words, which most tokenizers turn into about
1.3 tokens each; the server's usage says how many they were.
"""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import dataclass
from math import log, sqrt
from random import Random  # the same seed must give the same run, which a secure generator cannot
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loadtest.scenarios import Lengths, Scenario

__all__ = ["Prompt", "draw", "image_uri", "nonce", "pick", "prompt"]

WORDS = (
    "river",
    "stone",
    "market",
    "window",
    "silver",
    "garden",
    "letter",
    "morning",
    "engine",
    "paper",
    "bridge",
    "candle",
    "forest",
    "winter",
    "harbor",
    "signal",
    "kitchen",
    "ladder",
    "mirror",
    "number",
    "orange",
    "pencil",
    "quarter",
    "railway",
    "shadow",
    "table",
    "uncle",
    "valley",
    "wagon",
    "yellow",
    "anchor",
    "basket",
    "copper",
    "dinner",
    "eleven",
    "fabric",
    "guitar",
    "hammer",
    "island",
    "jacket",
    "kettle",
    "lantern",
    "meadow",
    "needle",
    "office",
    "pocket",
    "quiet",
    "ribbon",
)
OPENING = "Continue this list in the same manner and do not stop early:"
IMAGE_SIDE = 32


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one request asks: (role, text) messages, the answer's token limit, a word to echo, an image."""

    number: int
    messages: tuple[tuple[str, str], ...]
    answer: int
    stream: bool
    needs: tuple[str, ...] = ()
    echo: str | None = None
    image: str | None = None


def _seeded(seed: str) -> Random:
    return Random(seed)  # noqa: S311 - repeatable on purpose


def draw(lengths: Lengths, rng: Random) -> int:
    """One length of that distribution, within its bounds."""
    value = lengths.mean
    if lengths.dist == "uniform":
        value = rng.uniform(lengths.low, lengths.high)
    elif lengths.dist == "lognormal":
        sigma = sqrt(log(1 + lengths.cv * lengths.cv))
        value = rng.lognormvariate(log(lengths.mean) - sigma * sigma / 2, sigma)
    return int(min(max(round(value), lengths.low), lengths.high))


def prompt(
    scenario: Scenario, seed: int, number: int, *, words: int | None = None, answer: int | None = None
) -> Prompt:
    """The number-th prompt of a scenario; a trace gives its own lengths."""
    rng = _seeded(f"{seed}/{scenario.name}/{number}")
    length = draw(scenario.prompt, rng) if words is None else words
    limit = draw(scenario.answer, rng) if answer is None else answer
    echo = nonce(seed, number) if scenario.echo else None
    system = (
        (("system", _sentence(_seeded(f"{seed}/prefix"), scenario.shared_prefix)),) if scenario.shared_prefix else ()
    )
    turns = tuple(_turn(rng, f"{seed}-{number}-{turn}", length) for turn in range(scenario.turns))
    history = tuple(m for t in turns[:-1] for m in (("user", t), ("assistant", _sentence(rng, min(limit, 64)))))
    last = turns[-1] if echo is None else f"Repeat this word ten times and say nothing else: {echo}"
    image = image_uri(rng) if "vision" in scenario.needs else None
    return Prompt(number, (*system, *history, ("user", last)), limit, scenario.stream, scenario.needs, echo, image)


def pick(weights: list[float], seed: int, number: int) -> int:
    """Which part of a mix the number-th request belongs to."""
    return _seeded(f"{seed}/mix/{number}").choices(range(len(weights)), weights)[0]


def nonce(seed: int, number: int) -> str:
    """A word that no other request of the run asks for."""
    rng = _seeded(f"{seed}/nonce/{number}")
    return "".join(rng.choice("bcdfghjkmnpqrstvwxz") + rng.choice("aeiou") for _ in range(5)) + str(number)


def image_uri(rng: Random) -> str:
    """A small PNG of random colours as a data URI, so that no two requests show the same picture."""
    rows = b"".join(b"\0" + rng.randbytes(3 * IMAGE_SIDE) for _ in range(IMAGE_SIDE))
    head = struct.pack(">IIBBBBB", IMAGE_SIDE, IMAGE_SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, data) for kind, data in chunks)
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _turn(rng: Random, label: str, length: int) -> str:
    return f"[{label}] {OPENING} {_sentence(rng, max(length - 11, 1))}"


def _sentence(rng: Random, length: int) -> str:
    return " ".join(rng.choices(WORDS, k=length))
