"""The testers that are compared: how each is installed, called, and what it said."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.matrix.suite import KEY

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TESTERS", "Said", "Tester"]

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]
SECONDS = 240  # for one run of one tester; one that does not end has noticed something


@dataclass(frozen=True, slots=True)
class Said:
    """What a tester said of a server: its exit code (None: it did not end) and a word on each of its tests."""

    code: int | None
    tests: dict[str, str]
    seconds: float


@dataclass(frozen=True, slots=True)
class Tester:
    """One tester. `call` gives its command lines from (home, url, scratch folder); `read` what it said, test by test.

    `bare` marks one that cannot send a key: it is sent through a relay that adds one.
    """

    name: str
    call: Callable[[Path, str, Path], list[list[str]]]
    read: Callable[[str, Path], dict[str, str]]
    install: tuple[str, ...] = ()
    version: str = ""
    bare: bool = False
    about: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    def ask(self, homes: Path, url: str, scratch: Path, environment: dict[str, str]) -> Said:
        """Run it against the server at `url`."""
        began, codes, printed = time.monotonic(), [], []
        for command in self.call(homes / self.name, url, scratch):
            code, text = _run(command, scratch, {**environment, **self.environment})
            codes.append(code)
            printed.append(text)
        worst = None if None in codes else max(code for code in codes if code is not None)
        return Said(worst, self._read("\n".join(printed), scratch), round(time.monotonic() - began, 2))

    def _read(self, printed: str, scratch: Path) -> dict[str, str]:
        try:
            return self.read(printed, scratch)
        except (ValueError, KeyError, TypeError, AttributeError, OSError, ET.ParseError):
            return {}  # it crashed or wrote nothing: none of its tests has passed


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[int | None, str]:
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as child:
        try:
            printed, _ = child.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            return None, child.communicate()[0]
        return child.returncode, printed


def _document(printed: str) -> Json:
    """The JSON object that a program printed, whatever stands around it."""
    found: Json = json.loads(printed[printed.index("{") : printed.rindex("}") + 1])
    return found


def _listed(key: str, name: str) -> Callable[[str, Path], dict[str, str]]:
    """A reader of a printed JSON document with a list of tests under `key`, each with its status."""

    def read(printed: str, _: Path) -> dict[str, str]:
        return {entry[name]: entry["status"].lower() for entry in _document(printed)[key]}

    return read


def _filed(printed: str, scratch: Path) -> dict[str, str]:
    del printed
    entries = json.loads((scratch / "report.json").read_text(encoding="utf-8"))["checks"]
    return {entry["id"]: entry["status"] for entry in entries}


def _comply(home: Path, url: str, _: Path) -> list[list[str]]:
    asked = ["--format", "openai-chat", "-u", f"{url}/v1", "-k", KEY, "-m", MODEL, "--json"]
    return [[str(home / "bin/llm-comply"), "run", *asked]]


def _apiwells(home: Path, url: str, _: Path) -> list[list[str]]:
    asked = ["--base-url", f"{url}/v1", "--api-key-env", "CHAT_API_KEY", "--deep", "--model", MODEL, "--v2-json"]
    return [[str(home / "bin/apiwells"), "doctor", *asked]]


def _trusted(home: Path, url: str, scratch: Path) -> list[list[str]]:
    asked = ["--base-url", f"{url}/v1", "--model", MODEL, "--tier", "5", "--json", str(scratch / "report.json")]
    return [[str(home / "bin/trustedrouter-provider-check"), *asked]]


def _canary(home: Path, url: str, _: Path) -> list[list[str]]:
    asked = ["--base-url", f"{url}/v1", "--model", MODEL, "--profile", "chat", "--api-key-env", "CHAT_API_KEY"]
    return [["node", str(home / "node_modules/compatcanary/src/cli.js"), "scan", *asked, "--format", "json"]]


def _artemis(home: Path, url: str, _: Path) -> list[list[str]]:
    return [[str(home / "bin/artemisllmbench"), "check-conformance", "-e", url, "-m", MODEL]]


def _artemis_said(printed: str, _: Path) -> dict[str, str]:
    return {name: word.lower() for name, word in re.findall(r"\[\d+/\d+\] (.+?) \.\.\. +(\w+)", printed)}


def _sdk(_: Path, url: str, __: Path) -> list[list[str]]:
    return [[sys.executable, str(Path(__file__).with_name("sdk.py")), f"{url}/v1", MODEL]]


def _schemathesis(home: Path, url: str, scratch: Path) -> list[list[str]]:
    return [_drawn(home, url, scratch, "positive"), _drawn(home, url, scratch, "negative")]


def _drawn(home: Path, url: str, scratch: Path, mode: str) -> list[str]:
    """Valid requests from the narrow description, invalid ones from the wide one."""
    description = home / f"openai-{mode}.json"
    asked = ["--url", url, "-H", f"Authorization: Bearer {KEY}", "--mode", mode, "--max-examples", "10", "--seed", "2"]
    told = [
        "--continue-on-failure",
        "--no-shrink",
        "--no-color",
        "--generation-database",
        "none",
        "--request-timeout",
        "10",
    ]
    return [
        str(home / "bin/schemathesis"),
        "run",
        str(description),
        *asked,
        *told,
        "--report-json-path",
        str(scratch / f"{mode}.json"),
    ]


def _schemathesis_said(_: str, scratch: Path) -> dict[str, str]:
    """Each kind of failure at each operation, and each phase: "pass" is what no report mentions."""
    said: dict[str, str] = {}
    for mode in ("positive", "negative"):
        report = json.loads((scratch / f"{mode}.json").read_text(encoding="utf-8"))
        said |= {f"{mode} {name}": _phase(phase["status"]) for name, phase in report["phases"].items()}
        for failure in report["failures"]:
            said |= {f"{mode} {failure['type']} {operation}": "fail" for operation in failure["operations"]}
    return said


def _phase(status: str) -> str:
    return {"success": "pass", "skip": "skip"}.get(status, "fail")


def _ours(_: Path, url: str, __: Path) -> list[list[str]]:
    return [[sys.executable, "-m", "benchmarks.peers.ours", url, MODEL]]


def _printed(printed: str, _: Path) -> dict[str, str]:
    """A printed JSON object with a word for each test."""
    return {name: str(word) for name, word in _document(printed).items()}


MODEL = "gpt-4o-mini"
TESTERS = (
    Tester(
        "llm-comply",
        _comply,
        _listed("results", "id"),
        ("pip", "llm-comply==0.5.0"),
        "0.5.0",
        about="nine calls, the bodies held against the official document",
    ),
    Tester(
        "apiwells",
        _apiwells,
        _listed("probes", "name"),
        ("pip", "apiwells==0.2.3"),
        "0.2.3",
        about="`doctor --deep`",
    ),
    Tester(
        "trustedrouter-provider-check",
        _trusted,
        _filed,
        ("pip", "trustedrouter-provider-check==0.1.8"),
        "0.1.8",
        environment={"TR_PROVIDER_API_KEY": KEY},
        about="tiers 1 to 5",
    ),
    Tester(
        "compatcanary",
        _canary,
        _listed("results", "id"),
        ("npm", "compatcanary@0.2.2"),
        "0.2.2",
        about="profile chat",
    ),
    Tester(
        "artemisllmbench",
        _artemis,
        _artemis_said,
        ("pip", "artemisllmbench==0.1.4"),
        "0.1.4",
        bare=True,
        about="`check-conformance`, its key added on the way",
    ),
    Tester(
        "official SDK",
        _sdk,
        _printed,
        about="eight calls with the assertions of a careful user (`benchmarks/peers/sdk.py`)",
    ),
    Tester(
        "schemathesis",
        _schemathesis,
        _schemathesis_said,
        ("pip", "schemathesis==4.32.5"),
        "4.32.5",
        about="told what the dialect's facts say, as OpenAPI (`benchmarks/peers/openapi.py`)",
    ),
    Tester("this suite", _ours, _printed, about="depth full, without a profile"),
)
