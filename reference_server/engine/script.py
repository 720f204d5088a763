"""What the embedded engine says: a few rules on the last user message, tried in order, so that a suite can ask for things.

Repeat exactly: TEXT        TEXT, to the letter (also "Reply with exactly this: TEXT", "Say verbatim: TEXT" and the like)
an image in the message     its format and size, as in "PNG 1x1"
after a tool's message      a sentence that holds the tool's result
count (from A) to B         the numbers, separated by ", "
N words                     N words, no more and no fewer
story, essay, poem, long, in detail, ...      a long text, several hundred tokens
emoji, accents              a line with emoji, joined emoji and combining characters
anything else               a short friendly answer
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from reference_server.engine import ChatRequest, Message

__all__ = ["answer", "hints", "last_user"]

_REPEAT = re.compile(
    r"(?is)\b(?:repeat|reply|respond|answer|say|echo|write|print|output|return)\b[^:\n]{0,80}?"
    r"\b(?:exactly|verbatim|nothing else|word for word|literally|unchanged|back)\b[^:\n]{0,60}:\s*(?P<text>.+)"
)
_COUNT = re.compile(
    r"(?i)\bcount\b.*?(?:\bfrom\s+(?P<first>\d{1,4})\s+)?(?:to|until|up to|through)\s+(?P<last>\d{1,5})\b"
)
_WORDS = re.compile(r"(?i)\b(?P<words>\d{1,5})[ -]words?\b")
_LONG = re.compile(
    r"(?i)\b(?:story|tale|essay|poem|novel|article|long|longer|detail|detailed|paragraphs?|at length|explain|describe|history)\b"
)
_EMOJI = re.compile(r"(?i)emoji|accent|combining|unicode|diacritic")
_GREETINGS = ("Hi", "Hello", "Hi there", "Hello there", "Good day", "Greetings")
_OFFERS = (
    "How can I help you today?",
    "What would you like to know?",
    "What can I do for you?",
    "Happy to help.",
    "It is good to hear from you.",
    "Ask me anything.",
)
_SIGNS = ("", "", "", " \N{WAVING HAND SIGN}", " \N{SPARKLES}")
_FAMILY = "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
_BRIGHT = (
    f"\N{PARTY POPPER} {_FAMILY} \N{WAVING HAND SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}",
    "\N{ROCKET} cafe\N{COMBINING ACUTE ACCENT} \N{REGIONAL INDICATOR SYMBOL LETTER A}\N{REGIONAL INDICATOR SYMBOL LETTER T}",
    "nai\N{COMBINING DIAERESIS}ve \N{SNOWFLAKE}\N{VARIATION SELECTOR-16} \N{GRINNING FACE}",
)
_WHO = (
    "A lighthouse keeper",
    "The old ferryman",
    "A young cartographer",
    "The clockmaker",
    "A quiet gardener",
    "The night baker",
)
_DID = (
    "walked along the shore",
    "opened the heavy door",
    "counted the stars",
    "wrote a letter",
    "waited for the tide",
    "lit a lamp",
)
_WHEN = (
    "before dawn",
    "when the rain stopped",
    "on the longest day",
    "while the town slept",
    "at the turn of the year",
)
_AND = (
    "and nobody noticed",
    "and the wind answered",
    "and the sea grew calm",
    "and a bell rang twice",
    "and the birds came back",
)
_FILLER = (
    "river",
    "stone",
    "light",
    "garden",
    "winter",
    "copper",
    "meadow",
    "signal",
    "paper",
    "harbor",
    "thunder",
    "willow",
)
SENTENCES = 40
LONGEST_COUNT = 20_000


def answer(request: ChatRequest, images: list[str], rng: Random) -> str:
    """The text that answers a request; `images` are the descriptions of the last message's images."""
    last = request.messages[-1] if request.messages else None
    if last is not None and last.role == "tool":
        return f"The tool answered: {last.text}"
    if images:
        return f"The image is {' and '.join(images)}."
    prompt = last_user(request.messages)
    return next(text for rule in _RULES if (text := rule(prompt, rng)) is not None)


def last_user(messages: tuple[Message, ...]) -> str:
    """The text of the last user message; of the last message where no user speaks."""
    spoken = [message.text for message in messages if message.role == "user"] or [m.text for m in messages[-1:]]
    return spoken[-1] if spoken else ""


def hints(prompt: str) -> tuple[str, ...]:
    """Names and places of a prompt (capitalised words after its first), for strings that are free to say anything."""
    words = re.findall(r"(?<=[a-z,:] )[A-Z][a-z]+(?: [A-Z][a-z]+)*", prompt)
    return tuple(dict.fromkeys(words))[:8]


def _repeat(prompt: str, _: Random) -> str | None:
    found = _REPEAT.search(prompt)
    return found["text"] if found else None


def _count(prompt: str, _: Random) -> str | None:
    found = _COUNT.search(prompt)
    if not found:
        return None
    first, last = int(found["first"] or 1), int(found["last"])
    return ", ".join(str(number) for number in range(first, min(last, first + LONGEST_COUNT) + 1))


def _words(prompt: str, rng: Random) -> str | None:
    found = _WORDS.search(prompt)
    return " ".join(rng.choice(_FILLER) for _ in range(int(found["words"]))) if found else None


def _bright(prompt: str, rng: Random) -> str | None:
    return f"Here you are: {rng.choice(_BRIGHT)} {rng.choice(_BRIGHT)}!" if _EMOJI.search(prompt) else None


def _story(prompt: str, rng: Random) -> str | None:
    if not _LONG.search(prompt):
        return None
    sentences = (" ".join(rng.choice(part) for part in (_WHO, _DID, _WHEN, _AND)) + "." for _ in range(SENTENCES))
    return " ".join(sentences)


def _greet(_: str, rng: Random) -> str:
    return f"{rng.choice(_GREETINGS)}! {rng.choice(_OFFERS)}{rng.choice(_SIGNS)}"


_RULES: tuple[Callable[[str, Random], str | None], ...] = (_repeat, _count, _words, _bright, _story, _greet)
