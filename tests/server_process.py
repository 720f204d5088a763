"""How the tests of the reference server start it and talk to it: a process of its own, a real socket."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

import dialects

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

KEY = "sk-conformance-valid"
ROOT = Path(__file__).parents[1]
NAMES = dialects.known()
STORY = "Tell me a long story"


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    process: subprocess.Popen[str]
    client: httpx.Client

    def post(self, dialect: str, **fields: Any) -> httpx.Response:  # noqa: ANN401 - any JSON value
        """A chat in a dialect: a plain greeting unless `fields` say otherwise."""
        return self.client.post(self.chat_url(dialect), json=body(dialect, **fields))

    def chat_url(self, dialect: str) -> str:
        """Where a dialect's chat lies."""
        return f"{self.url}/{dialect}{dialects.load(dialect).paths.chat[0]}"

    def stop(self) -> int:
        """Ask it to end and wait for its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=120)


def body(dialect: str, **fields: Any) -> Json:  # noqa: ANN401 - any JSON value
    """A valid body; a `content` among the fields is what the user says."""
    said = [{"role": "user", "content": fields.pop("content", "Say hi")}]
    return {"model": dialects.load(dialect).models.example, "messages": said, **fields}


@contextmanager
def running(*options: str, **environment: str) -> Iterator[Server]:
    """A server with these options on a free port, gone when the block ends."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHAT_API_KEY")}
    process = subprocess.Popen(
        [sys.executable, "-m", "reference_server", "--port", "0", *options],
        cwd=ROOT,
        env={**kept, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        word, url = process.stdout.readline().split()
        assert word == "ready"
        with httpx.Client(headers={"authorization": f"Bearer {KEY}"}, timeout=120) as client:
            yield Server(url, process, client)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def events(response: httpx.Response) -> list[str]:
    """The data of every event of a stream that was read in full, by the plainest possible reading."""
    *frames, rest = response.text.split("\n\n")
    assert rest == ""
    assert all(frame.startswith("data: ") and "\n" not in frame for frame in frames)
    return [frame.removeprefix("data: ") for frame in frames]


def chunks(response: httpx.Response) -> list[Json]:
    """The chunks of a complete stream."""
    *documents, done = events(response)
    assert done == "[DONE]"
    return [json.loads(document) for document in documents]


def text_of(parts: list[Json], index: int = 0) -> str:
    """What a choice says, put together from chunks."""
    choices = [choice for part in parts for choice in part["choices"] if choice.get("index", 0) == index]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def finishes(parts: list[Json]) -> dict[int, str]:
    """Why each choice ended."""
    choices = [choice for part in parts for choice in part["choices"]]
    return {c.get("index", 0): c["finish_reason"] for c in choices if c.get("finish_reason")}
