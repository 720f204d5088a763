"""Reports of real runs: every rendering holds to its schema, agrees with the report in every count, and holds no key.

The runs are against the reference server, sound and broken, and one of a load of two seconds. REPORTS names the folders
of more, parted by the system's path separator: so are the reports of servers that are too large for CI tried.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reports.matrix import matrix
from reports.model import LoadReport, Report, load
from reports.render import RENDERERS, rendered
from tests import test_reports_hostile as hostile
from tests import test_reports_renderings as renderings
from tests.published_schemas import Schemas, complaints, place
from tests.server_process import KEY, ROOT, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

FAULTS = (
    "id-null",
    "usage-sum-wrong",
    "done-missing",
    "model-changes-in-stream",
    "error-is-plain-text",
    "one-choice-only",
)
MORE = [name for name in os.environ.get("REPORTS", "").split(os.pathsep) if name]
NAMES = ("sound", "broken", *MORE)


def properties(*modules: ModuleType) -> dict[str, Callable[[Any], None]]:
    """What holds of any one report: the property tests of the renderings, as functions of a report."""
    tests = {name: test for module in modules for name, test in vars(module).items() if hasattr(test, "hypothesis")}
    wanted = {name: test.hypothesis.inner_test for name, test in tests.items()}
    return {name: test for name, test in wanted.items() if list(test.__annotations__) == ["one", "return"]}


AGREE = properties(renderings, hostile)
OF_ANY = {name for name, test in AGREE.items() if "LoadReport" in test.__annotations__["one"]}
OF_RUNS = {name for name, test in AGREE.items() if test.__annotations__["one"] != "LoadReport"}
OF_LOADS = OF_ANY | {name for name, test in AGREE.items() if test.__annotations__["one"] == "LoadReport"}


class Runs:
    """The folder of each run, made when first asked for."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def folder(self, name: str) -> Path:
        folder = self.place / name if name in {"sound", "broken", "load"} else Path(name)
        if not folder.exists():
            getattr(self, name)(folder)
        return folder

    def sound(self, folder: Path) -> None:
        judge(folder)

    def broken(self, folder: Path) -> None:
        judge(folder, *FAULTS)

    def load(self, folder: Path) -> None:
        if find_spec("locust") is None:
            pytest.skip("a load report needs the load extra")
        with running("--dialect", "openai") as server:
            send = ["-f", "loadtest/locustfile.py", "--headless", "--only-summary", "--rate", "20", "-t", "2s"]
            call("locust", *send, "--host", server.url, "--report", str(folder))

    def __getitem__(self, name: str) -> Report | LoadReport:
        return load(self.folder(name))


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CHAT_API_KEY": KEY}
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def judge(folder: Path, *faults: str) -> None:
    options = [word for fault in faults for word in ("--fault", fault)]
    with running("--dialect", "openai", *options) as server:
        done = call("pytest", "--target", server.url, "--depth", "smoke", "--report", str(folder), "-q")
    assert done.returncode == (1 if faults else 0), done.stdout


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Schemas:
    return Schemas(place(tmp_path_factory.mktemp("schemas")))


@pytest.mark.parametrize("kind", ["junit", "sarif", "ctrf", "har"])
@pytest.mark.parametrize("name", [*NAMES, "load"])
def test_a_rendering_of_a_real_run_is_valid(name: str, kind: str, runs: Runs, schemas: Schemas) -> None:
    if (name, kind) != ("load", "har"):  # a load run records samples, no exchanges
        assert complaints(schemas[kind], rendered(kind, runs[name])) == []


@pytest.mark.parametrize("property_", sorted(OF_RUNS))
@pytest.mark.parametrize("name", NAMES)
def test_what_holds_of_any_report_holds_of_a_real_run(name: str, property_: str, runs: Runs) -> None:
    AGREE[property_](runs[name])


@pytest.mark.parametrize("property_", sorted(OF_LOADS))
def test_what_holds_of_any_load_report_holds_of_a_real_run(property_: str, runs: Runs) -> None:
    AGREE[property_](runs["load"])


def test_there_is_something_to_hold() -> None:
    assert len(OF_RUNS) > 15
    assert len(OF_LOADS) > 7


@pytest.mark.parametrize("name", [*NAMES, "load"])
def test_no_file_of_a_real_run_holds_its_key(name: str, runs: Runs) -> None:
    files = [path for path in runs.folder(name).rglob("*") if path.is_file()]
    texts = {path.name: path.read_text(encoding="utf-8") for path in files}
    one = runs[name]
    texts |= {kind: rendered(kind, one) for kind in RENDERERS if isinstance(one, Report)}

    assert {"report.json", "load.json"} & set(texts)
    assert [where for where, text in texts.items() if KEY in text] == []


def test_the_matrix_of_real_runs_has_every_verdict(runs: Runs) -> None:
    reports = [one for name in NAMES if isinstance(one := runs[name], Report)]
    files = matrix(reports)

    for name, text in files.items():
        assert KEY not in text, name
    assert sum(name.startswith("badges/") for name in files) == 2 * len({(r.target, r.tool) for r in reports})
