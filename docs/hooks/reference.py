"""The pages of the reference, each a function of the code or of the facts: options, profile, report, checks, scenarios."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dialects
from conformance import options, profile
from conformance.catalogue import checks
from loadtest import scenarios
from loadtest.schedule import expected
from reports.gate import WORDS
from reports.words import MEANINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ROOT = Path(__file__).parents[2]
SCHEMAS = {"report.json": "reports/report.schema.json", "load.json": "reports/load.schema.json"}
COMMANDS = (
    "reports gate",
    "reports diff",
    "reports render",
    "reports matrix",
    "reports replay",
    "conformance checks",
    "conformance requirements",
    "reference_server",
)
FROM_CODE = "Made from the code by each build of this site."


def pages() -> dict[str, str]:
    """Every page: its file name below `reference/` and its Markdown."""
    return {name: make() for name, make in PAGES.items()}


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [tuple(head), *(tuple(cell.replace("|", "\\|").replace("\n", " ") for cell in row) for row in rows)]
    lines.insert(1, tuple("---" for _ in lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


class _Recorder:
    """Stands where pytest's parser would, and keeps what is declared."""

    def __init__(self) -> None:
        self.declared: list[tuple[str, dict[str, Any]]] = []

    def getgroup(self, *_: str) -> _Recorder:
        return self

    def addoption(self, name: str, **facts: Any) -> None:  # noqa: ANN401 - as argparse
        self.declared.append((name, facts))


def pytest_options() -> list[tuple[str, dict[str, Any]]]:
    """(name, facts) of each option that the plugin adds to pytest."""
    recorder = _Recorder()
    options.add(recorder)  # type: ignore[arg-type] # what it uses of a parser
    return recorder.declared


def locust_options() -> list[tuple[str, dict[str, Any]]]:
    """The same of the locustfile, read from the source."""
    tree = ast.parse((ROOT / "loadtest" / "options.py").read_text(encoding="utf-8"))
    return [
        (ast.literal_eval(call.args[0]), {str(k.arg): _literal(k.value) for k in call.keywords})
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "add" and call.args
    ]


def _literal(node: ast.expr) -> Any:  # noqa: ANN401 - any literal
    return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)


def _option_rows(declared: list[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, str, str]]:
    for name, facts in declared:
        value = facts.get("metavar") or "|".join(facts.get("choices", ()))
        shown = f"`{facts['default']}`" if facts.get("default") else ""
        yield f"`{name}{' ' + value if value else ''}`", shown, facts["help"].replace("%%", "%")


def _options() -> str:
    helps = "\n\n".join(f"### python -m {name}\n\n```text\n{_help(name)}```" for name in COMMANDS)
    depths = _table(
        ("depth", "requests", "completion tokens", "examples a drawn check"),
        (
            (f"`{name}`", str(d.requests or "no cap"), str(d.tokens or "no cap"), str(d.examples))
            for name, d in options.DEPTHS.items()
        ),
    )
    return (
        f"# Options\n\n{FROM_CODE}\n\n## pytest\n\nBeside every option of pytest itself:\n\n"
        f"{_table(('option', 'default', 'meaning'), _option_rows(pytest_options()))}\n### Depths\n\n{depths}\n"
        f"## locust\n\nBeside every option of locust itself:\n\n"
        f"{_table(('option', 'default', 'meaning'), _option_rows(locust_options()))}\n## Modules\n\n{helps}\n"
    )


def _help(name: str) -> str:
    """What the command says of itself, at one width on every machine."""
    environment = {**os.environ, "COLUMNS": "100", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    command = [sys.executable, "-m", *name.split(), "--help"]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def _verdicts() -> str:
    codes = _table(("exit code", "word"), ((str(code), word) for code, word in WORDS.items()))
    return (
        f"# Verdicts and exit codes\n\n{FROM_CODE} Why there are so many: [Verdicts](../explanation/verdicts.md).\n\n"
        f"## Verdicts\n\n{_table(('verdict', 'meaning'), ((f'`{v}`', says) for v, says in MEANINGS.items()))}\n"
        f"## Exit codes\n\n{codes}\n"
        "`pytest --target` and `locust -f loadtest/locustfile.py` add 4: the call is wrong (an unknown option, dialect or\n"
        "profile key). How a report becomes a code is told in [Reports](../reports.md#how-the-gate-decides).\n"
    )


def _profile() -> str:
    kinds = {str: "text", int: "whole number", (int, float): "number"}
    rows = [
        (f"`[{table}]`", f"`{name}`", kinds[kind])
        for table, members in profile.TABLES.items()
        for name, kind in members.items()
    ]
    used: dict[str, list[str]] = {}
    for name in dialects.known():
        for needed in sorted(set(_needs(_schema(name)))):
            used.setdefault(needed, []).append(name)
    claims = _table(
        ("capability", "asked for in the request schema of", "unless said"),
        (
            (f"`{name}`", ", ".join(used.get(name, ())), "not offered" if name in profile.RARE else "offered")
            for name in sorted({*used, *profile.RARE})
        ),
    )
    return (
        f"# Profile keys\n\n{FROM_CODE} How to write one: [Write a profile](../howto/profile.md).\n\n"
        f"{_table(('table', 'key', 'value'), rows)}\n"
        "Values of `[keys]` are names of environment variables, never keys. `[timeouts]` are seconds.\n\n"
        f"## Capabilities\n\n`[capabilities]` takes `NAME = true` or `false`. What the request schemas ask for:\n\n{claims}"
    )


def _schema(name: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads((ROOT / "dialects" / name / "request.schema.json").read_text(encoding="utf-8"))


def _needs(node: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    if isinstance(node, dict):
        needed = node.get("x-needs", ())
        yield from [needed] if isinstance(needed, str) else needed
        for inner in node.values():
            yield from _needs(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _needs(inner)


def _report() -> str:
    parts = [
        f"# report.json and load.json\n\n{FROM_CODE} The schemas are published beside the code; all keys are listed.\n"
    ]
    for name, path in SCHEMAS.items():
        schema = json.loads((ROOT / path).read_text(encoding="utf-8"))
        parts.append(f"## {name}\n\n{schema['title']} (`{path}`). {schema['description']}\n\n{_members(schema)}")
        for part, inner in schema["$defs"].items():
            if inner.get("properties"):
                parts.append(f"### {name}: {part}\n\n{inner.get('description', '')}\n\n{_members(inner)}")
    return "\n".join(parts)


def _members(schema: dict[str, Any]) -> str:
    return _table(
        ("key", "value", "meaning"),
        (
            (f"`{name}`", _kind(facts), str(facts.get("description", "")))
            for name, facts in schema["properties"].items()
        ),
    )


def _kind(facts: dict[str, Any]) -> str:
    if "$ref" in facts:
        return str(facts["$ref"]).rpartition("/")[2]
    if "const" in facts:
        return f"`{json.dumps(facts['const'])}`"
    if "enum" in facts:
        return ", ".join(f"`{value}`" for value in facts["enum"])
    if "anyOf" in facts or "oneOf" in facts:
        return " or ".join(_kind(one) for one in facts.get("anyOf", facts.get("oneOf", ())))
    kind = facts.get("type", "any")
    text = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return f"{text} of {_kind(facts['items'])}" if isinstance(facts.get("items"), dict) else text


def _checks() -> str:
    entries = checks()
    rows = (
        (f"`{e.id}`", "every answer" if e.oracle else "asks", "yes" if e.smoke else "", e.says)
        for e in entries.values()
    )
    return (
        f"# Checks\n\n{FROM_CODE} {len(entries)} checks. Those that ask send requests; the others look at every answer that any\n"
        f"check got. Which rows list a check is told on the pages of the [requirements](dialects.md).\n\n"
        f"{_table(('check', 'looks at', 'smoke', 'what it expects'), rows)}"
    )


def _scenarios() -> str:
    rows = ((name, scenarios.load(name)) for name in scenarios.known())
    table = _table(
        ("scenario", "seconds", "requests", "what it is"),
        ((f"`{name}`", f"{row.seconds:g}", f"{expected(row.stages):.0f}", row.title) for name, row in rows),
    )
    return f"# Scenarios\n\n{FROM_CODE} `python -m loadtest show NAME` prints every field of one.\n\n{table}"


def _faults() -> str:
    text = subprocess.run(
        [sys.executable, "-m", "reference_server", "--fault", "list"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    heads = [line.partition(": ") for line in text.splitlines() if line and not line.startswith(" ")]
    rows = ((f"`{name}`", says) for name, _, says in heads)
    return (
        f"# Faults of the reference server\n\n{FROM_CODE} `python -m reference_server --fault NAME` breaks it in one way (the\n"
        f"option may be repeated); `--fault list` also names the rows that each one breaks. {len(heads)} faults.\n\n"
        f"{_table(('fault', 'what it does'), rows)}"
    )


def _dialects() -> str:
    rows = (
        (
            f"`{name}`",
            f"[{d.title}](../requirements/{name}.md)",
            str(len(d.requirements)),
            str(sum(bool(r.checks) for r in d.requirements)),
            f"`{d.paths.chat[0]}`",
        )
        for name in dialects.known()
        for d in [dialects.load(name)]
    )
    table = _table(("--dialect", "requirements", "rows", "judged", "chat path"), rows)
    return f"# Dialects and their requirements\n\n{FROM_CODE} Each page lists every row: level, place in the document, checks.\n\n{table}"


PAGES: dict[str, Callable[[], str]] = {
    "options.md": _options,
    "verdicts.md": _verdicts,
    "profile.md": _profile,
    "report.md": _report,
    "checks.md": _checks,
    "scenarios.md": _scenarios,
    "faults.md": _faults,
    "dialects.md": _dialects,
}
