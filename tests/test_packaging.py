"""The house itself: the commands of the README, the papers, and the wheel that users install."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
ROOMS = ("conformance", "dialects", "loadtest", "reference_server", "reports")
PAPERS = sorted(path.name for path in ROOT.glob("*.md"))


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(read("pyproject.toml"))["project"]
    return table


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", str(folder), "."]
    subprocess.run(build, cwd=ROOT, check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel unpacked as an installer would, in a folder of its own that stands first on the path."""
    folder = tmp_path_factory.mktemp("site")
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "-q", "--target", str(folder), str(wheel)]
    subprocess.run(install, check=True)
    return folder


# ---------------------------------------------------------------- README and .ci/run


def commands() -> list[str]:
    """The README's lines of code before its first second-level heading."""
    opening = read("README.md").partition("\n## ")[0]
    return [line.strip() for line in opening.splitlines() if line.startswith("    ")]


def test_the_readme_opens_with_two_commands_each_sufficient_alone() -> None:
    judge, check = commands()

    assert judge.startswith("python3 -m venv .venv && ")
    assert judge.endswith(".venv/bin/pytest --target embedded")
    assert check.startswith("python3 -m venv .venv && ")
    assert check.endswith(".venv/bin/python -m tests")


def test_ci_runs_the_readmes_second_command_to_the_letter() -> None:
    lines = read(".ci/run").splitlines()

    assert commands()[1] == lines[-1]
    assert "set -euo pipefail" in lines


def test_ci_run_is_an_executable_that_bash_can_read() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert subprocess.run(["bash", "-n", ".ci/run"], cwd=ROOT, check=False).returncode == 0  # noqa: S607 - bash, wherever it is


# ---------------------------------------------------------------- papers


def links() -> Iterator[tuple[str, str]]:
    for name in PAPERS:
        for target in re.findall(r"\]\(([^)#]+)", read(name)):
            if "://" not in target:
                yield name, target


@pytest.mark.parametrize(("paper", "target"), list(links()))
def test_a_link_of_a_paper_leads_somewhere(paper: str, target: str) -> None:
    assert (ROOT / target).exists(), f"{paper} links to {target}"


@pytest.mark.parametrize("paper", PAPERS)
def test_a_file_named_by_a_paper_exists(paper: str) -> None:
    named = set(
        re.findall(r"`((?:conformance|dialects|loadtest|reference_server|reports|tests)/[\w/.-]+)`", read(paper))
    )

    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_architecture_fits_on_eighty_lines() -> None:
    assert len(read("ARCHITECTURE.md").splitlines()) <= 80


def test_the_architecture_says_why_each_dependency_was_chosen(project: dict[str, Any]) -> None:
    wanted = [*project["dependencies"], *(d for group in project["optional-dependencies"].values() for d in group)]
    names = {match[0] for d in wanted if (match := re.match(r"[\w-]+", d))} - {project["name"]}
    said = read("ARCHITECTURE.md").partition("## Dependencies")[2]

    assert [name for name in sorted(names) if f"`{name}`" not in said] == []


def test_every_option_of_a_run_stands_in_the_readme() -> None:
    declared = set(re.findall(r'"(--[a-z-]+)"', read("conformance/options.py")))

    assert declared
    assert [option for option in sorted(declared) if option not in read("README.md")] == []


def test_the_changelog_keeps_a_changelog(project: dict[str, Any]) -> None:
    versions = re.findall(r"^## (.+)$", read("CHANGELOG.md"), re.MULTILINE)
    groups = set(re.findall(r"^### (.+)$", read("CHANGELOG.md"), re.MULTILINE))

    assert versions[0] == "[Unreleased]"
    assert f"[{project['version']}]" == versions[1].partition(" - ")[0]
    assert groups <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_licence_is_the_whole_apache_licence() -> None:
    text = read("LICENSE")

    assert "Version 2.0, January 2004" in text
    assert [f"   {n}. " in text for n in range(1, 10)] == [True] * 9
    assert "END OF TERMS AND CONDITIONS" in text


# ---------------------------------------------------------------- the wheel


def test_the_wheel_holds_every_file_of_the_five_rooms_and_nothing_else(wheel: Path) -> None:
    tracked = subprocess.run(["git", "ls-files", *ROOMS], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607
    if tracked.returncode or not tracked.stdout:
        pytest.skip("not a clone, so which files belong to the project is not known")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())

    assert sorted(set(tracked.stdout.split()) - packed) == []
    assert {name.partition("/")[0] for name in packed if ".dist-info/" not in name} == set(ROOMS)


def test_the_wheel_carries_the_licence_and_the_types(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (licence,) = [name for name in names if name.endswith("licenses/LICENSE")]
        text = archive.read(licence).decode()

    assert read("LICENSE") == text
    assert "conformance/py.typed" in names


def test_the_wheels_plugin_is_named_after_its_module_so_that_addopts_and_entry_point_are_one() -> None:
    (plugin,) = [e for e in entry_points(group="pytest11") if e.value == "conformance.plugin"]

    assert plugin.name == plugin.value


def run_from(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_installed_wheel_judges_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    where = run_from(installed, tmp_path, "-c", "import conformance; print(conformance.__file__)")
    run = run_from(
        installed, tmp_path, "-m", "pytest", "--target", "embedded", "--dialect", "dria", "-k", "service.chat-answers"
    )

    assert where.stdout.startswith(str(installed))
    assert run.returncode == 0, run.stdout + run.stderr
    assert (tmp_path / "conformance-report" / "report.html").is_file()
    assert "pytest --target URL" in run.stdout  # what to do next


def test_an_installed_plugin_leaves_other_projects_alone(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "def test_other(tmp_path):\n    assert tmp_path.is_dir()\n", encoding="utf-8"
    )

    run = run_from(installed, tmp_path, "-m", "pytest", "-q")

    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 passed" in run.stdout
    assert not (tmp_path / "conformance-report").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["reference_server", "--help"],
        ["reference_server", "--fault", "list"],
        ["reports", "--help"],
        ["loadtest", "list"],
    ],
    ids=" ".join,
)
def test_the_commands_of_the_wheel_run_from_an_empty_folder(
    installed: Path, tmp_path: Path, command: list[str]
) -> None:
    run = run_from(installed, tmp_path, "-m", *command)

    assert run.returncode == 0, run.stderr
    assert len(run.stdout.splitlines()) > 3
