"""Starts a third-party simulator of chat completions and prints `ready URL`.

    pip install guidellm==0.8.1          # or: npm install @copilotkit/aimock@1.43.0, and so on, see the table below
    CHAT_API_KEY=... python benchmarks/targets/mocks.py guidellm --port 8080 [--home FOLDER]

`--home` is the virtual environment or the folder with node_modules in which it is installed; without it the one of this
Python, or the working directory. Each gets the smallest configuration with which it answers whatever it is asked.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import launch

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

Json = dict[str, Any]
MODEL = "gpt-4o-mini"
SAYS = "The lighthouse keeper counted the stars, wrote a letter and waited for the tide."


@dataclass(frozen=True)
class Mock:
    """How to install one, what it is started with, the file that tells it what to say, and a path that answers."""

    install: str
    command: Callable[[Path, int, Path], list[str]]
    settings: Callable[[str | None], Json] | None = None
    path: str = "/v1/models"


def _python(program: str, *options: str) -> Callable[[Path, int, Path], list[str]]:
    """A console script of a virtual environment; `{port}` and `{file}` stand for theirs."""

    def command(home: Path, port: int, file: Path) -> list[str]:
        return [str(home / "bin" / program), *(option.format(port=port, file=file) for option in options)]

    return command


def _node(script: str, *options: str) -> Callable[[Path, int, Path], list[str]]:
    """A script below node_modules."""

    def command(home: Path, port: int, file: Path) -> list[str]:
        given = (option.format(port=port, file=file) for option in options)
        return ["node", str(home / "node_modules" / script), *given]

    return command


def _aimock(_: str | None) -> Json:
    return {"fixtures": [{"match": {"userMessage": ""}, "response": {"content": SAYS}}]}


def _openai_mock_api(key: str | None) -> Json:
    """It answers the conversations that it was told of, so it is told of those of one to five turns."""
    turns = [["user"], ["system", "user"], ["assistant"], ["user", "assistant", "user"]]
    turns += [["system", *turns[-1]], ["system"], ["assistant", "user"]]
    said = [[{"role": role, "matcher": "any"} for role in roles] for roles in turns]
    ends = {"role": "assistant", "content": SAYS}
    flows = [{"id": f"flow-{number}", "messages": [*flow, ends]} for number, flow in enumerate(said)]
    return {"apiKey": key or "none", "responses": flows}


def _fakellm(_: str | None) -> Json:
    return {"version": 1, "defaults": {"fallback": "deterministic_echo"}, "rules": []}


MOCKS = {
    "guidellm": Mock(
        "pip install guidellm==0.8.1",
        _python("guidellm", "mock-server", "--port", "{port}", "--host", launch.HOST, "--model", MODEL),
    ),
    "aimock": Mock(
        "npm install @copilotkit/aimock@1.43.0",
        _node("@copilotkit/aimock/dist/cli.js", "--port", "{port}", "--fixtures", "{file}", "--log-level", "warn"),
        _aimock,
    ),
    "openai-mock-api": Mock(
        "npm install openai-mock-api@0.4.0",
        _node("openai-mock-api/dist/cli.js", "--port", "{port}", "--config", "{file}"),
        _openai_mock_api,
    ),
    "mock-llm": Mock("npm install @dwmkerr/mock-llm@0.1.29", _node("@dwmkerr/mock-llm/dist/main.js")),
    "llmock": Mock(
        "pip install llmock==0.2.2", _python("llmock", "serve", "--port", "{port}", "--response-style", "varied")
    ),
    "fakellm": Mock(
        "pip install fakellm==0.3.5",
        _python("fakellm", "serve", "--port", "{port}", "--config", "{file}"),
        _fakellm,
        "/_fakellm/stats",
    ),
    "stubllm": Mock("pip install stubllm==0.1.5", _python("stubllm", "serve", "--port", "{port}")),
}


def _asked(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=MOCKS)
    parser.add_argument("--home", type=Path, default=Path(sys.prefix), help="where it is installed")


def main() -> None:
    """Serve until a signal comes."""
    options = launch.options(__doc__, _asked)
    mock = MOCKS[options.name]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "settings.json"  # JSON is YAML, for those that read that
        if mock.settings is not None:
            file.write_text(json.dumps(mock.settings(options.key)), encoding="utf-8")
        os.chdir(folder)  # some look for a file there
        where = {"HOST": launch.HOST, "PORT": str(options.port)}
        launch.serve(mock.command(options.home.absolute(), options.port, file), options.port, mock.path, **where)


if __name__ == "__main__":
    main()
