"""A thousand mixed requests, 32 at a time, against a running server, and whether every answer is valid and its own.

    python benchmarks/sglang/mixed.py --url http://127.0.0.1:8000 [--requests 1000] [--at-once 32]

Six dialects; plain and streamed; text, n, schemas, tools, an image to a text model, and bad input. An answer is its own when its
prompt has as many tokens as the same prompt had when it was sent alone, and when a word that only its own schema or tool
allows stands in it. Shapes are judged by the dialects' own schemas.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import httpx
import rig
from jsonschema import Draft202012Validator

import dialects

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = dialects.known()
FACTS = {name: dialects.load(name) for name in NAMES}
SHAPES = {
    (n, kind): Draft202012Validator(FACTS[n].schemas[kind]) for n in NAMES for kind in ("response", "chunk", "error")
}
IMAGE = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
LENGTHS = range(1, 40)  # words of a prompt


class Wrong(Exception):
    """An answer that is not what it should be; says why."""


@dataclass(frozen=True)
class Case:
    """One request: what is sent, which statuses are right, and what must hold of the text and of the calls."""

    kind: str
    dialect: str
    words: int
    fields: dict[str, Any]
    statuses: range | tuple[int, ...] = (200,)
    says: str | None = None

    def body(self) -> dict[str, Any]:
        """The request."""
        said = " ".join(["word"] * self.words)
        return {
            "model": FACTS[self.dialect].models.example,
            "messages": [{"role": "user", "content": said}],
            **self.fields,
        }


def case(number: int, luck: Random) -> Case:
    """The request of that number."""
    kind = luck.choice([name for name, weight in KINDS.items() for _ in range(weight)])
    only = CAPABLE.get(kind, NAMES)
    fields, statuses, says = MAKERS[kind](f"nonce{number}")
    stream = {"stream": True} if luck.random() < 0.5 else {}
    return Case(kind, luck.choice(only), luck.choice(LENGTHS), {"max_tokens": 24, **stream, **fields}, statuses, says)


Made = tuple[dict[str, Any], "range | tuple[int, ...]", "str | None"]


def _schema(nonce: str) -> Made:
    schema = {"type": "object", "properties": {"word": {"const": nonce}}, "required": ["word"]}
    form = {"type": "json_schema", "json_schema": {"name": "word", "schema": schema}}
    return {"response_format": form, "max_tokens": 64}, (200,), nonce


def _tool(nonce: str) -> Made:
    schema = {"type": "object", "properties": {"word": {"const": nonce}}, "required": ["word"]}
    tools = [{"type": "function", "function": {"name": "say", "parameters": schema}}]
    named = {"type": "function", "function": {"name": "say"}}
    return {"tools": tools, "tool_choice": named, "max_tokens": 64}, (200,), nonce


def _image(_: str) -> Made:
    parts = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": IMAGE}}]
    return {"messages": [{"role": "user", "content": parts}]}, range(400, 500), None


MAKERS: dict[str, Callable[[str], Made]] = {
    "text": lambda _: ({}, (200,), None),
    "choices": lambda _: ({"n": 2, "temperature": 1}, (200,), None),
    "schema": _schema,
    "tool": _tool,
    "image": _image,
    "bad type": lambda _: ({"max_tokens": "many"}, range(400, 500), None),
    "no messages": lambda _: ({"messages": None}, range(400, 500), None),
    "bad model": lambda _: ({"model": "no-such-model"}, range(400, 504), None),
    "bad schema": lambda _: ({"response_format": {"type": "json_schema", "json_schema": {"name": "b", "schema": {"type": "odd"}}}}, range(400, 500), None),
}  # fmt: skip
KINDS = dict(zip(MAKERS, (6, 2, 3, 3, 1, 1, 1, 1, 1), strict=True))
CAPABLE = {
    "choices": ["openai", "aqueduct"],
    "schema": ["openai", "aqueduct", "dria"],
    "tool": ["openai", "aqueduct", "dos_ai"],
    "bad schema": ["openai", "aqueduct"],
    "image": ["openai", "aqueduct"],
}


async def ask(client: httpx.AsyncClient, url: str, one: Case) -> tuple[int, str, dict[int, Any]]:
    """(prompt tokens or -1, what was said, the answer's choices by index). Raises Wrong."""
    facts = FACTS[one.dialect]
    answer = await client.post(f"{url}/{one.dialect}{facts.paths.chat[0]}", json=one.body())
    if answer.status_code not in one.statuses:
        raise Wrong(f"status {answer.status_code}: {answer.text[:200]}")
    if answer.status_code != 200:
        if facts.errors.body == "json":
            SHAPES[one.dialect, "error"].validate(answer.json())
        return -1, answer.text, {}
    read = _streamed if one.fields.get("stream") else _plain
    usage, said, reasons = read(one.dialect, answer)
    if any(not reason for reason in reasons.values()) or len(reasons) != one.fields.get("n", 1):
        raise Wrong(f"finish reasons {reasons}")
    return usage.get("prompt_tokens", -1), said, reasons


def _plain(dialect: str, answer: httpx.Response) -> tuple[dict[str, Any], str, dict[int, Any]]:
    document = answer.json()
    SHAPES[dialect, "response"].validate(document)
    choices = document["choices"]
    return (
        document.get("usage", {}),
        json.dumps(choices),
        {at: choice["finish_reason"] for at, choice in enumerate(choices)},
    )


def _streamed(dialect: str, answer: httpx.Response) -> tuple[dict[str, Any], str, dict[int, Any]]:
    usage: dict[str, Any] = {}
    said = ""
    reasons: dict[int, Any] = {}
    *frames, rest = answer.text.split("\n\n")
    if rest:
        raise Wrong(f"the stream was cut: {rest[-80:]!r}")
    for frame in frames:
        data = frame.removeprefix("data: ")
        if data == "[DONE]":
            continue
        chunk = json.loads(data)
        SHAPES[dialect, "chunk"].validate(chunk)
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            delta = choice["delta"]
            said += (delta.get("content") or "") + "".join(
                c["function"].get("arguments", "") for c in delta.get("tool_calls") or ()
            )
            reasons[choice.get("index", 0)] = choice.get("finish_reason") or reasons.get(choice.get("index", 0))
    if FACTS[dialect].stream.done and frames[-1] != "data: [DONE]":
        raise Wrong("the stream did not end with [DONE]")
    return usage, said, reasons


def _hold(one: Case, prompt: int, said: str, alone: dict[int, int]) -> None:
    """Raise Wrong for an answer that belongs to another request."""
    if one.kind == "text" and prompt not in (-1, alone[one.words]):
        raise Wrong(f"{prompt} prompt tokens instead of {alone[one.words]}")
    if one.says and one.says not in said:
        raise Wrong(f"{one.says} is not in {said[:200]!r}")


async def main_async(url: str, requests: int, at_once: int) -> Counter[str]:
    """Send everything; count what went wrong by its reason, and what was right by its kind."""
    luck = Random(11)  # noqa: S311 - cases, no secrets
    cases = [case(number, luck) for number in range(requests)]
    counted: Counter[str] = Counter()
    limits = httpx.Limits(max_connections=at_once)
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {rig.KEY}"}, timeout=600, limits=limits) as client:
        alone: dict[int, int] = {}
        for words in LENGTHS:
            alone[words], _, _ = await ask(client, url, Case("alone", "openai", words, {"max_tokens": 1}))
        gate = asyncio.Semaphore(at_once)

        async def one(each: Case) -> None:
            async with gate:
                try:
                    prompt, said, _ = await ask(client, url, each)
                    _hold(each, prompt, said, alone)
                    counted[f"right: {each.kind}"] += 1
                except Exception as error:  # noqa: BLE001 - whatever is wrong is counted and shown
                    counted[f"WRONG: {each.kind} {each.dialect} {type(error).__name__}: {str(error)[:300]}"] += 1

        await asyncio.gather(*map(one, cases))
    return counted


def main() -> int:
    """Exit status: 0 when every answer was right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=32)
    options = parser.parse_args()
    counted = asyncio.run(main_async(options.url, options.requests, options.at_once))
    for what, number in sorted(counted.items()):
        print(f"{number:5} {what}")
    return 1 if any(what.startswith("WRONG") for what in counted) else 0


if __name__ == "__main__":
    sys.exit(main())
