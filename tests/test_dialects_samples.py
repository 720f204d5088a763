"""The samples keep the rules of their dialect, or are listed as printed against them."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator

import dialects
from tests.dialect_facts import COPIED_WORDS, document, every_dialect, words

if TYPE_CHECKING:
    from pathlib import Path

    from dialects import Dialect

KINDS = {"request": "request", "response": "response", "stream": "chunk", "error": "error"}


@every_dialect
def test_samples_keep_the_rules_that_their_page_keeps(name: str) -> None:
    dialect = dialects.load(name)
    deviations = dialect.deviations()
    broken = {path.name: sorted(breaches(dialect, path)) for path in samples(dialect)}

    assert {sample: found for sample, found in broken.items() if found} == {
        sample: [breaks] for sample, breaks in deviations.items()
    }


@every_dialect
def test_there_is_a_sample_of_a_request_an_answer_and_a_refusal(name: str) -> None:
    kinds = {path.name.split("-")[0] for path in samples(dialects.load(name))}

    assert {"request", "response", "error"} <= kinds <= set(KINDS)


@every_dialect
def test_a_deviation_is_explained(name: str) -> None:
    folder = dialects.load(name).folder / "samples"
    path = folder / "deviations.toml"
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["deviation"] if path.is_file() else []

    for row in rows:
        assert {"sample", "breaks", "reason", "place"} == set(row)
        assert (folder / row["sample"]).is_file()
        assert len(words(row["reason"])) > COPIED_WORDS
        assert row["place"]


@every_dialect
def test_samples_hold_our_own_sentences(name: str) -> None:
    dialect = dialects.load(name)
    page = "\n".join(document(dialect))
    spoken = [text for path in samples(dialect) for text in sentences(path.read_text(encoding="utf-8"))]

    assert [text for text in spoken if text in page] == []


def samples(dialect: Dialect) -> list[Path]:
    return sorted(path for path in (dialect.folder / "samples").iterdir() if path.suffix in {".json", ".txt"})


def breaches(dialect: Dialect, path: Path) -> set[str]:
    """Which rules a sample breaks: the name of its schema, or framing."""
    kind = KINDS[path.name.split("-")[0]]
    text = path.read_text(encoding="utf-8")
    judge = Draft202012Validator(dialect.schemas[kind])
    if kind == "chunk":
        payloads, framed = events(text, done=dialect.stream.done)
        return ({"chunk"} if not all(map(judge.is_valid, payloads)) else set()) | (set() if framed else {"framing"})
    value = text.strip("\n") if path.suffix == ".txt" else json.loads(text)
    return set() if judge.is_valid(value) else {kind}


def events(text: str, *, done: bool) -> tuple[list[Any], bool]:
    """The JSON payloads of a printed stream, and whether a blank line ends each of its events."""
    blocks = text.split("\n\n")
    lines = [line for line in text.split("\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    payloads = [line.removeprefix("data: ") for line in lines]
    assert done == (payloads[-1] == "[DONE]")
    framed = [block.strip("\n") for block in blocks if block.strip("\n")] == lines and text.endswith("\n\n")
    return [json.loads(payload) for payload in payloads if payload != "[DONE]"], framed


def sentences(text: str) -> list[str]:
    """The quoted texts of a sample that are long enough to have been copied."""
    return [quoted for quoted in re.findall(r'"((?:[^"\\]|\\.)*)"', text) if quoted.count(" ") > 1]
