"""The embedded engine's tokens: pieces of the UTF-8 bytes of a text, by one rule.

A token is the first of these that fits: up to eight ASCII letters with at most one space before them; up to three ASCII
digits with at most one space before them; a run of up to four spaces, tabs or line ends; one other ASCII byte; up to three
bytes outside ASCII. The last rule cuts through characters of two and four bytes on purpose: whoever decodes token by token
instead of buffering shows it.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder

__all__ = ["Assembler", "count", "split"]

_TOKEN = re.compile(rb" ?[A-Za-z]{1,8}| ?[0-9]{1,3}|[ \t\r\n]{1,4}(?![A-Za-z0-9])|[\x80-\xff]{1,3}|[\x00-\x7f]")
_Utf8 = getincrementaldecoder("utf-8")


def split(text: str) -> list[bytes]:
    """The tokens of a text; joined they are its UTF-8 bytes."""
    return _TOKEN.findall(text.encode())


def count(text: str) -> int:
    """How many tokens a text has."""
    return len(split(text))


class Assembler:
    """Turns tokens back into text, holding bytes back until their code point is complete."""

    def __init__(self) -> None:
        self._decoder = _Utf8()

    def push(self, token: bytes) -> str:
        """The text that this token completes, often all of it, sometimes none."""
        return self._decoder.decode(token)

    @property
    def complete(self) -> bool:
        """Whether every byte pushed so far has come out as text."""
        return not self._decoder.getstate()[0]
