"""python -m reference_server: serve every dialect until SIGTERM, or list the faults."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import dialects
from reference_server import faults, vary
from reference_server.alterations import Alterations
from reference_server.app import application
from reference_server.context import Context
from reference_server.engine.embedded import EmbeddedEngine
from reference_server.engine.pace import Pace
from reference_server.engine.sglang_options import EngineError
from reference_server.engine.sglang_options import parse as engine_arguments
from reference_server.keys import ConfigError, KeyRing
from reference_server.serving import serve
from reference_server.sessions import Sessions, StateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reference_server.alterations import Alteration, Catalogue
    from reference_server.engine import Engine

ENGINES = ("embedded", "sglang")
LARGEST_PORT = 65535


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 after a clean end, 2 when the options or the machine do not allow a start."""
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns about every write to a client that just left
    options = _parser().parse_args(arguments)
    for catalogue, names in ((faults.FAULTS, options.fault), (vary.VARIATIONS, options.vary)):
        if "list" in names:
            _print_list(catalogue)
            return 0
    try:
        alterations = Alterations([*_chosen(faults.FAULTS, options.fault), *_chosen(vary.VARIATIONS, options.vary)])
        keys = KeyRing.read(options.config) if options.config else KeyRing.built_in()
        context = Context(_engine(options), keys, Sessions(options.state), alterations)
        app = application(context, options.dialect, with_control=options.control)
        with _listen(options.host, options.port) as listener:
            asyncio.run(serve(app, context, listener, _ready))
    except (UsageError, ConfigError, StateError, EngineError, dialects.DialectError) as error:
        print(f"reference_server: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


class UsageError(ValueError):
    """An option's value cannot be used."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"reference_server: {message}; try --help", file=sys.stderr)
        raise SystemExit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m reference_server", description="Serves chat completions in every documented dialect."
    )
    parser.add_argument("--dialect", default="openai", choices=dialects.known(), help="also served without a prefix")
    parser.add_argument("--engine", default="embedded", choices=ENGINES)
    parser.add_argument("--model", metavar="PATH", help="the model to load; for the embedded engine one more model id")
    parser.add_argument(
        "--engine-arg", action="append", default=[], metavar="KEY=VALUE", help="any server argument of SGLang"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=_port, default=8000, help="0 takes a free one")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with [[key]] entries")
    parser.add_argument("--state", type=Path, metavar="FILE", help="SQLite file for sessions; in memory by default")
    parser.add_argument(
        "--fault", action="append", default=[], metavar="NAME", help="break it on purpose; `list` lists"
    )
    parser.add_argument("--vary", action="append", default=[], metavar="NAME", help="a legal variation; `list` lists")
    parser.add_argument("--ttft-ms", type=_milliseconds, default=0.0, metavar="N", help="until the first token")
    parser.add_argument("--itl-ms", type=_milliseconds, default=0.0, metavar="N", help="between two tokens")
    parser.add_argument("--control", action="store_true", help="serve the control plane under /__ref__/")
    return parser


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; allowed are 0 to {LARGEST_PORT}")
    return int(text)


def _milliseconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of milliseconds, 0 or more")
    return value


def _chosen(catalogue: Catalogue, names: Sequence[str]) -> list[Alteration]:
    unknown = [name for name in names if name not in catalogue.all]
    if unknown:
        raise UsageError(f"no {unknown[0]!r} to choose; there are {', '.join(sorted(catalogue.all))}")
    return [catalogue.all[name] for name in names]


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
        listener.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # inherited; asyncio sets it on its own sockets only
        return listener  # noqa: TRY300 - both calls may fail alike
    except OSError as error:
        raise UsageError(f"cannot listen on {host} port {port}: {error.strerror}") from error


def _engine(options: argparse.Namespace) -> Engine:
    if options.engine == "embedded":
        if options.engine_arg:
            raise UsageError("--engine-arg is for --engine sglang; the embedded engine has no arguments")
        pace = Pace(options.ttft_ms / 1000, options.itl_ms / 1000)
        return EmbeddedEngine(pace, (options.model,) if options.model else ())
    if not options.model:
        raise UsageError("--engine sglang needs --model PATH")
    try:
        module = import_module("reference_server.engine.sglang")
    except ImportError as error:
        raise UsageError(f"--engine sglang cannot be used here: {error}") from error
    engine: Engine = module.SglangEngine(options.model, engine_arguments(options.engine_arg))
    return engine


def _ready(url: str) -> None:
    print(f"ready {url}", flush=True)


def _print_list(catalogue: Catalogue) -> None:
    loaded = [dialects.load(name) for name in dialects.known()]
    for alteration in catalogue.all.values():
        print(f"{alteration.name}: {alteration.says}")
        for dialect in loaded:
            rows = [row.id for row in faults.requirements(alteration, dialect)]
            if rows:
                print(f"    {dialect.id}: {' '.join(rows)}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # whoever reads the list has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
