"""Who may import whom: the table of ARCHITECTURE.md, held against every module by reading its source."""

from __future__ import annotations

import ast
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOMS = ("conformance", "dialects", "loadtest", "reference_server", "reports")

# What a module may import of ours; the longest matching prefix decides. A name allows the module and all below it.
LAW: dict[str, tuple[str, ...]] = {
    "dialects": ("dialects",),
    "reports": ("reports",),
    "conformance.wire": ("conformance.wire", "dialects"),
    "conformance": ("conformance", "dialects", "reports.model"),
    # The end of a run is told by the gate and the terminal of the reports, so that no second place decides it.
    "conformance.finish": (
        "conformance",
        "dialects",
        "reports.model",
        "reports.gate",
        "reports.baseline",
        "reports.redact",
        "reports.terminal",
    ),
    "conformance.plugin_state": ("conformance", "dialects", "reports.model", "reports.baseline"),
    "loadtest": ("loadtest", "conformance.wire.sse", "dialects", "reports.model"),
    "reference_server": ("reference_server", "dialects"),
}
# What nobody imports, whatever the table above allows; the plugin collects the checks, and starts the server as a process.
NOBODY = ("conformance.checks",)

# Where each package of others may be imported. One that is not listed may be imported nowhere.
THEIRS: dict[str, tuple[str, ...]] = {
    "httpx": ("conformance.wire.client",),
    "httpcore": ("conformance.wire.client",),
    "openai": ("conformance.checks.test_clients",),
    "pytest": ("conformance",),
    "hypothesis": ("conformance",),
    "jsonschema": (
        "dialects",
        "conformance",
        "reports.storage",
        "reference_server.validation",
        "reference_server.engine.constrained",
    ),
    "rich": ("conformance.finish", "reports.terminal"),
    "jinja2": ("reports.html",),
    "markupsafe": ("reports.html", "reports.timeline"),
    "starlette": ("reference_server",),
    "uvicorn": ("reference_server.serving",),
    "llguidance": ("reference_server.engine.constrained",),
    "PIL": ("reference_server.engine.images", "conformance.checks.test_vision"),
    "sglang": ("reference_server.engine.sglang",),
    # The stand-in that lets sglang run on a CPU, and the makers of its models, in processes of their own.
    "torch": ("reference_server.engine.sglang_cpu",),
    "transformers": ("reference_server.engine.sglang_cpu",),
    "tokenizers": ("reference_server.engine.sglang_cpu",),
    "gevent": (
        "loadtest.reader",
        "loadtest.pool",
        "loadtest.generator",
        "loadtest.recorder",
        "loadtest.conductor",
        "loadtest.user",
        "loadtest.locustfile",
    ),
    "locust": ("loadtest.conductor", "loadtest.user", "loadtest.locustfile"),
    "flask": ("loadtest.locustfile",),
    "geventhttpclient": ("loadtest.head",),
    "opentelemetry": ("loadtest.telemetry",),
    "orjson": ("loadtest",),
    "hdrh": ("loadtest.histogram",),
}
# The wire knows bytes and times, and neither tests nor drawn values nor rules.
KEPT_OUT = {"conformance.wire": ("pytest", "hypothesis", "jsonschema")}
# The protocol core does no I/O and reads no clock, so that httpx, gevent and a test can feed it alike.
PURE = ("conformance.wire.sse", "conformance.wire.strict_json", "conformance.wire.exchange")
IO = (
    "socket",
    "ssl",
    "select",
    "selectors",
    "asyncio",
    "threading",
    "time",
    "subprocess",
    "http",
    "urllib.request",
    "urllib.error",
)


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def folder(room: str) -> Path:
    spec = find_spec(room)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def modules() -> Iterator[tuple[str, str]]:
    """(dotted name, source) of every module of the five rooms."""
    for room in ROOMS:
        for path in sorted(folder(room).rglob("*.py")):
            parts = [room, *path.relative_to(folder(room)).with_suffix("").parts]
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path.read_text(encoding="utf-8")


def imported(name: str, source: str) -> Iterator[str]:
    """Every module that the source may load: by statement, for types only, or through importlib with a literal."""
    names = {module for module, _ in MODULES}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = name.rsplit(".", node.level)[0] + "." if node.level else ""
            base = (parent + (node.module or "")).rstrip(".")
            for alias in node.names:
                yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in names or base in ROOMS else base
        elif isinstance(node, ast.Call) and _loads(node):
            yield _literal(node.args[0], name)


def _loads(call: ast.Call) -> bool:
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return called in ("import_module", "__import__", "importorskip") and bool(call.args)


def _literal(argument: ast.expr, name: str) -> str:
    """The text of a literal; of an f-string its constant beginning, in which `__name__` is known."""
    if isinstance(argument, ast.JoinedStr):
        first = argument.values[0]
        own = isinstance(first, ast.FormattedValue) and getattr(first.value, "id", "") == "__name__"
        return name if own else str(getattr(first, "value", "")).rstrip(".")
    return str(getattr(argument, "value", "a computed name"))


def broken(name: str, source: str) -> list[str]:
    """What a module imports against the law."""
    allowed = LAW[max((prefix for prefix in LAW if within(name, prefix)), key=len)]
    wrong = []
    for found in imported(name, source):
        root = found.partition(".")[0]
        if root in ROOMS:
            permitted = any(within(found, prefix) for prefix in allowed) and not any(within(found, n) for n in NOBODY)
        elif root in sys.stdlib_module_names:
            permitted = name not in PURE or not any(within(found, module) for module in IO)
        else:
            barred = any(within(name, room) and root in theirs for room, theirs in KEPT_OUT.items())
            permitted = not barred and any(within(name, place) for place in THEIRS.get(root, ()))
        if not permitted:
            wrong.append(found)
    return wrong


MODULES = list(modules())


@pytest.mark.parametrize(("name", "source"), MODULES, ids=[name for name, _ in MODULES])
def test_a_module_imports_only_what_the_law_allows(name: str, source: str) -> None:
    assert broken(name, source) == []


@pytest.mark.parametrize(
    ("name", "source", "wrong"),
    [
        ("dialects", "import reports.model", "reports.model"),
        ("reports.html", "from dialects import load", "dialects.load"),
        ("conformance.wire.client", "from conformance.reply import read", "conformance.reply"),
        ("conformance.chat", "from reports import gate", "reports.gate"),
        ("conformance.chat", "import httpx", "httpx"),
        ("conformance.setup", "from conformance.checks import test_auth", "conformance.checks.test_auth"),
        ("conformance.judge", "def f():\n    import reference_server.sse", "reference_server.sse"),
        ("conformance.judge", "from importlib import import_module\nimport_module('loadtest')", "loadtest"),
        ("conformance.wire.sse", "import socket", "socket"),
        ("conformance.wire.exchange", "from urllib.request import urlopen", "urllib.request"),
        ("conformance.wire.client", "import pytest", "pytest"),
        ("loadtest.analysis", "from conformance.wire.client import Client", "conformance.wire.client"),
        ("loadtest.metrics", "import gevent.socket", "gevent.socket"),
        ("reference_server.app", "import sglang", "sglang"),
        ("reference_server.chat", "import conformance", "conformance"),
        ("reports.model", "import requests", "requests"),
        ("reports.model", "__import__(wanted)", "a computed name"),
    ],
)
def test_the_law_sees_a_module_that_breaks_it(name: str, source: str, wrong: str) -> None:
    assert broken(name, source) == [wrong]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("conformance.chat", "from __future__ import annotations\nimport json\nfrom dialects import Dialect"),
        ("conformance.finish", "from reports import gate, terminal"),
        ("conformance.results", "from reports.model import Report"),
        ("loadtest.user", "import gevent\nfrom conformance.wire.sse import Decoder"),
        ("reference_server.__main__", "import_module('reference_server.engine.sglang')"),
        ("reference_server.wire", "import_module(f'{__name__}.{dialect}')"),
    ],
)
def test_the_law_allows_what_the_table_says(name: str, source: str) -> None:
    assert broken(name, source) == []


def test_the_law_is_held_over_every_room() -> None:
    assert {name.partition(".")[0] for name, _ in MODULES} == set(ROOMS)
