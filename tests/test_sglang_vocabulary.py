"""The bytes of tokens in the two alphabets that tokenizers use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.engine.sglang_vocabulary import Vocabulary

GPT2_SPACE, GPT2_LINE_END = "\u0120", "\u010a"


class Tokenizer:
    """Names its tokens as it was told; 0 is special, 1 was added."""

    all_special_ids = (0,)
    added_tokens_decoder = {1: "<tool_call>"}  # noqa: RUF012 - as in transformers

    def __init__(self, *names: str, byte_level: bool = False) -> None:
        self._names = ["<|im_end|>", "<tool_call>", *names]
        self._byte_level = byte_level

    def get_vocab(self) -> dict[str, int]:
        return {name: at for at, name in enumerate(self._names)} | ({GPT2_SPACE: -1} if self._byte_level else {})

    def convert_ids_to_tokens(self, token: int) -> str | None:
        return self._names[token] if token < len(self._names) else None


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("hi", b"hi"),
        (f"{GPT2_SPACE}hi{GPT2_LINE_END}", b" hi\n"),
        ("\u00c3\u00a9", "é".encode()),
        ("\u00f0\u0141", b"\xf0\x9f"),
    ],
)
def test_byte_level_names_are_read(name: str, data: bytes) -> None:
    assert Vocabulary(Tokenizer(name, byte_level=True)).bytes_of(2) == data


@pytest.mark.parametrize(
    ("name", "data"), [("\u2581hi", b" hi"), ("<0x0A>", b"\n"), ("<0xf0>", b"\xf0"), ("é", "é".encode())]
)
def test_piece_names_are_read(name: str, data: bytes) -> None:
    assert Vocabulary(Tokenizer(name)).bytes_of(2) == data


@given(data=st.binary(max_size=20))
def test_every_byte_has_a_letter_in_the_byte_level_alphabet(data: bytes) -> None:
    from reference_server.engine.sglang_vocabulary import _ALPHABET

    letters = {byte: letter for letter, byte in _ALPHABET.items()}
    name = "".join(letters[byte] for byte in data)

    assert Vocabulary(Tokenizer(name, byte_level=True)).bytes_of(2) == data


def test_markers_are_their_names_and_special_ones_are_not_shown() -> None:
    vocabulary = Vocabulary(Tokenizer("a", byte_level=True))

    assert vocabulary.text_of([2, 1, 0]) == b"a<tool_call>"
    assert vocabulary.is_special(0)
    assert not vocabulary.is_special(1)
    assert vocabulary.bytes_of(99) == b""
