"""The bytes of a model's tokens, whichever of the usual alphabets its tokenizer writes them in."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import count
from typing import Any

__all__ = ["Vocabulary"]

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"


class Vocabulary:
    """Looks tokens up in a transformers tokenizer."""

    def __init__(self, tokenizer: Any) -> None:  # noqa: ANN401 - transformers has no stable type for it
        self._tokenizer = tokenizer
        self._special = frozenset(tokenizer.all_special_ids)
        self._added = frozenset(getattr(tokenizer, "added_tokens_decoder", None) or ())
        self._byte_level = "\N{LATIN CAPITAL LETTER G WITH DOT ABOVE}" in tokenizer.get_vocab()
        self.bytes_of = lru_cache(maxsize=65_536)(self._bytes_of)

    def is_special(self, token: int) -> bool:
        """Whether the token is one that answers do not show, such as the end of a turn."""
        return token in self._special

    def _bytes_of(self, token: int) -> bytes:
        """The bytes that a token stands for; those of its name where it is a marker."""
        name = self._tokenizer.convert_ids_to_tokens(token)
        if name is None:
            return b""
        if token in self._added or token in self._special:
            return str(name).encode()
        return _from_alphabet(name) if self._byte_level else _from_pieces(name)

    def text_of(self, tokens: list[int]) -> bytes:
        """The bytes of several tokens, without those that answers do not show."""
        return b"".join(self.bytes_of(token) for token in tokens if token not in self._special)


def _alphabet() -> dict[str, int]:
    """The characters that byte-level tokenizers write bytes as: printable bytes as themselves, the others from 256 on."""
    shown = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = count(0x100)
    return {chr(byte if byte in shown else next(others)): byte for byte in range(0x100)}


_ALPHABET = _alphabet()


def _from_alphabet(name: str) -> bytes:
    return b"".join(bytes([_ALPHABET[c]]) if c in _ALPHABET else c.encode() for c in name)


def _from_pieces(name: str) -> bytes:
    byte = _BYTE.fullmatch(name)
    return bytes([int(byte[1], 16)]) if byte else name.replace(_SPACE, " ").encode()
