"""A thousand mixed requests, 32 at a time, against a running server, and whether every answer is valid and its own.

    python -m benchmarks.sglang.mixed --url http://127.0.0.1:8000 [--requests 1000] [--at-once 32] [--tokens 24]

Six dialects; plain and streamed; text, n, schemas, tools, an image to a text model, and bad input. Every exchange is looked at by
every oracle that the rows of its dialect list; what one finds is sent again, as in a run of the suite. An answer is its own when its
prompt has as many tokens as the same prompt had when it was sent alone, and when a word that only its own schema or tool allows
stands in it.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import dialects
from benchmarks.matrix.suite import KEY, Suite
from conformance.chat import Chat, brief
from conformance.judge import Judge
from conformance.profile import Profile
from conformance.reply import read
from conformance.target import Target
from conformance.wire.client import Client, Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.wire.exchange import Exchange

NAMES = dialects.known()
FACTS = {name: dialects.load(name) for name in NAMES}
IMAGE = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
LENGTHS = range(1, 40)  # words of a prompt
PATIENCE = Timeouts(read=600, total=900)  # seconds; a busy machine and 32 at a time


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
        models = FACTS[self.dialect].models
        model = models.unknown if self.kind == "bad model" else models.example
        return {"model": model, "messages": [{"role": "user", "content": said}], **self.fields}


def case(number: int, luck: Random, tokens: int) -> Case:
    """The request of that number."""
    kind = luck.choice([name for name, weight in KINDS.items() for _ in range(weight)])
    only = CAPABLE.get(kind, NAMES)
    fields, statuses, says = MAKERS[kind](f"nonce{number}")
    stream = {"stream": True} if luck.random() < 0.5 else {}
    return Case(
        kind, luck.choice(only), luck.choice(LENGTHS), {"max_tokens": tokens, **stream, **fields}, statuses, says
    )


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
    return {"messages": [{"role": "user", "content": parts}]}, (200, *range(400, 500)), None


MAKERS: dict[str, Callable[[str], Made]] = {
    "text": lambda _: ({}, (200,), None),
    "choices": lambda _: ({"n": 2, "temperature": 1}, (200,), None),
    "schema": _schema,
    "tool": _tool,
    "image": _image,
    "bad type": lambda _: ({"max_tokens": "many"}, range(400, 500), None),
    "no messages": lambda _: ({"messages": None}, range(400, 500), None),
    "bad model": lambda _: ({}, range(400, 504), None),
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


class Watch:
    """One dialect of the server: its chat, and the oracles that its rows list."""

    def __init__(self, url: str, dialect: str) -> None:
        self.chat = chat(url, dialect)
        self.judge = Judge(self.chat.client, FACTS[dialect])
        self.judge.chat = self.chat
        self.judge.oracles = Suite(dialect, self.chat.profile).oracles()

    def send(self, one: Case) -> Exchange:
        """Send a request; what a document forbids and is answered all the same no oracle judges."""
        exchange = self.chat.post(one.body())
        if 200 not in one.statuses and exchange.ok:
            self.chat.client.forbidden.add(exchange.id)
        return exchange

    def findings(self) -> list[str]:
        """What the oracles found in all that was sent, but for what the document leaves to the server."""
        self.judge.inspect()
        may = {check for row in self.chat.dialect.requirements if row.level == "MAY" for check in row.checks}
        found = [
            f"{v.oracle}, in {v.seen}: {v.outcome.reason}"
            for v in self.judge.violations.values()
            if v.oracle not in may
        ]
        return found + [f"{name}: {outcome.reason}" for name, outcome in self.judge.broken.items()]


def chat(url: str, dialect: str) -> Chat:
    """A chat in this dialect."""
    target = Target(f"{url}/{dialect}", FACTS[dialect].models.example, KEY)
    return Chat(Client(PATIENCE), target, FACTS[dialect], Profile(), {})


def hold(one: Case, exchange: Exchange, alone: dict[int, int | None]) -> None:
    """Raise Wrong for an answer of the wrong status, without an end, or that belongs to another request."""
    if exchange.status not in one.statuses:
        raise Wrong(brief(exchange))
    if not exchange.ok:
        return
    reply = read(exchange)
    reasons = [choice.finish for choice in reply.choices]
    if len(reasons) != one.fields.get("n", 1) or not all(reasons):
        raise Wrong(f"finish reasons {reasons}")
    prompt = reply.count("prompt_tokens")
    if one.kind == "text" and prompt is not None and prompt != alone[one.words]:
        raise Wrong(f"{prompt} prompt tokens instead of {alone[one.words]}")
    said = reply.text + "".join(call["function"]["arguments"] for call in reply.choice().calls)
    if one.says and one.says not in said:
        raise Wrong(f"{one.says} is not in {said[:200]!r}")


def run(url: str, requests: int, at_once: int, tokens: int) -> Counter[str]:
    """Send everything; count what went wrong by its reason, and what was right by its kind."""
    luck = Random(11)  # noqa: S311 - cases, no secrets
    cases = [case(number, luck, tokens) for number in range(requests)]
    watches = {name: Watch(url, name) for name in NAMES}
    lonely = chat(url, "openai")
    alone = {
        n: read(lonely.post(Case("alone", "openai", n, {"max_tokens": 1}).body())).count("prompt_tokens")
        for n in LENGTHS
    }
    with ThreadPoolExecutor(at_once) as pool:
        exchanges = list(pool.map(lambda one: watches[one.dialect].send(one), cases))
    counted: Counter[str] = Counter()
    for one, exchange in zip(cases, exchanges, strict=True):
        try:
            hold(one, exchange, alone)
            counted[f"right: {one.kind}{' (answered)' if exchange.ok else ' (refused)'}"] += 1
        except Wrong as error:
            counted[f"WRONG: {one.kind} {one.dialect}: {str(error)[:300]}"] += 1
    for name, watch in watches.items():
        counted.update(f"WRONG: {name} {finding[:400]}" for finding in watch.findings())
        counted["opinions of oracles"] += sum(watch.judge.applied.values())
        counted["oracles that looked at something"] += len(watch.judge.applied)
    return counted


def main() -> int:
    """Exit status: 0 when every answer was right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=24, help="of an answer that no grammar ends")
    options = parser.parse_args()
    counted = run(options.url, options.requests, options.at_once, options.tokens)
    for what, number in sorted(counted.items()):
        print(f"{number:6} {what}")
    return 1 if any(what.startswith("WRONG") for what in counted) else 0


if __name__ == "__main__":
    sys.exit(main())
