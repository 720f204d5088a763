"""The CI kits: their YAML fits the vendors' schemas, and their shell steps, run as they stand, end in the gate's exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.server_process import KEY, running

if TYPE_CHECKING:
    from collections.abc import Iterator

yaml: Any = pytest.importorskip("yaml")
ROOT = Path(__file__).parents[1]
KITS = ROOT / "deploy/ci"
SCRIPT = KITS / "pre-release.sh"
DEAD = "http://127.0.0.1:9"
FAULT = "done-missing"
FAILS = "DOS-34"
EXPECTED = {"good": 0, "broken": 1, "dead": 2}
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
GITLAB: dict[str, Any] = yaml.safe_load((KITS / "gitlab-ci.yml").read_text(encoding="utf-8"))["conformance"]
JENKINS = (KITS / "Jenkinsfile").read_text(encoding="utf-8")
DOCKER = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def targets() -> Iterator[dict[str, str]]:
    with running("--dialect", "dos_ai") as good, running("--dialect", "dos_ai", "--fault", FAULT) as broken:
        yield {"good": good.url, "broken": broken.url, "dead": DEAD}


def shell(code: str, folder: Path, *, by: str = "sh", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a piece of shell in that folder, with a key, as a runner would."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CHAT_API_KEY", "PYTEST_"))}
    environment = {**kept, "CHAT_API_KEY": KEY, **variables}
    command = [by, "-c", code]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


# ---------------------------------------------------------------- what can be said without running


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        ("vendor.github-actions", "action.yml"),
        ("vendor.github-workflows", "deploy/ci/github-workflow.yml"),
        ("vendor.gitlab-ci", "deploy/ci/gitlab-ci.yml"),
    ],
)
def test_yaml_fits_the_vendors_schema(kind: str, file: str) -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", kind, str(ROOT / file)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_yaml_that_does_not_fit_would_be_noticed(tmp_path: Path) -> None:
    wrong = {**ACTION, "runs": {"using": "composite", "steps": [{"run": "true"}]}}  # a step without its shell
    (tmp_path / "action.yml").write_text(yaml.safe_dump(wrong), encoding="utf-8")
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-actions"]

    assert subprocess.run([*check, tmp_path / "action.yml"], capture_output=True, check=False).returncode == 1


def pieces() -> dict[str, tuple[str, str]]:
    """Every piece of shell in the kits, with its dialect."""
    steps = {f"action: {s['name']}": ("bash", s["run"]) for s in ACTION["runs"]["steps"] if "run" in s}
    jenkins = {f"jenkins: {n}": ("sh", part) for n, part in enumerate(jenkins_steps())}
    gitlab = {"gitlab": ("sh", "\n".join([*GITLAB["before_script"], *GITLAB["script"]]))}
    return {"pre-release.sh": ("sh", SCRIPT.read_text(encoding="utf-8")), **steps, **gitlab, **jenkins}


def jenkins_steps() -> list[str]:
    return [part.removeprefix("#!/bin/sh\n") for part in re.findall(r"sh '''(.*?)'''", JENKINS, re.DOTALL)]


@pytest.mark.parametrize("name", pieces())
def test_shellcheck_finds_nothing(name: str) -> None:
    dialect, code = pieces()[name]
    check = [str(Path(sys.executable).parent / "shellcheck"), "--shell", dialect, "-"]
    done = subprocess.run(check, input=code, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", pieces())
def test_no_expression_of_the_ci_is_pasted_into_shell(name: str) -> None:
    assert "${{" not in pieces()[name][1]  # it would run what an input says


def test_the_workflow_gives_the_action_only_inputs_that_it_has() -> None:
    (job,) = yaml.safe_load((KITS / "github-workflow.yml").read_text(encoding="utf-8"))["jobs"].values()
    (step,) = [s for s in job["steps"] if "chat-conformance" in s["uses"]]

    assert set(step["with"]) <= set(ACTION["inputs"])
    assert {name for name, i in ACTION["inputs"].items() if i.get("required")} <= set(step["with"])


def test_braces_of_the_jenkinsfile_are_balanced() -> None:
    code = re.sub(r"'''.*?'''|'[^'\n]*'|//[^\n]*", "", JENKINS, flags=re.DOTALL)

    assert code.count("{") == code.count("}") > 5
    assert code.count("(") == code.count(")")


def test_what_the_images_run_is_in_them() -> None:
    (script,) = re.findall(r"^COPY (deploy/\S+) (\S+)$", DOCKER, re.MULTILINE)
    entries = [json.loads(entry) for entry in re.findall(r"^ENTRYPOINT (.+)$", DOCKER, re.MULTILINE)]

    assert (ROOT / script[0]) == SCRIPT
    assert entries == [["sh", script[1]], ["locust", "-f", "/app/loadtest/locustfile.py"]]
    assert DOCKER.count("USER 10001") == len(entries)


# ---------------------------------------------------------------- the script


@pytest.mark.parametrize("target", EXPECTED)
def test_the_script_ends_in_the_gates_exit_code(target: str, targets: dict[str, str], tmp_path: Path) -> None:
    done = pre_release(tmp_path, targets[target])

    assert done.returncode == EXPECTED[target], done.stdout + done.stderr
    assert (tmp_path / "conformance-report" / "report.json").is_file() == (target != "dead")


def pre_release(folder: Path, target: str, **variables: str) -> subprocess.CompletedProcess[str]:
    asked = {"CONFORMANCE_TARGET": target, "CONFORMANCE_DIALECT": "dos_ai", "CONFORMANCE_DEPTH": "smoke"}
    return shell(f"sh {SCRIPT}", folder, PYTHON=sys.executable, **asked, **variables)


def test_the_script_without_a_target_is_a_wrong_call(tmp_path: Path) -> None:
    done = pre_release(tmp_path, "")

    assert done.returncode == 4
    assert "CONFORMANCE_TARGET is not set" in done.stderr


def test_the_script_hands_on_a_wrong_call(targets: dict[str, str], tmp_path: Path) -> None:
    assert pre_release(tmp_path, targets["good"], CONFORMANCE_PROFILE="missing.toml").returncode == 4


@pytest.mark.parametrize(("target", "code"), [("broken", 0), ("good", 1)])
def test_an_excuse_turns_red_to_green_and_green_to_red(
    target: str, code: int, targets: dict[str, str], tmp_path: Path
) -> None:
    excuse = f'[[excuse]]\nid = "{FAILS}"\nreason = "known"\nsince = 2026-01-01\n'
    (tmp_path / "known.toml").write_text(excuse, encoding="utf-8")

    done = pre_release(tmp_path, targets[target], CONFORMANCE_BASELINE="known.toml")

    assert done.returncode == code, done.stdout


def test_a_dead_target_is_not_judged_by_the_report_of_an_earlier_run(targets: dict[str, str], tmp_path: Path) -> None:
    assert pre_release(tmp_path, targets["good"]).returncode == 0
    assert pre_release(tmp_path, DEAD).returncode == 2


def test_the_projects_own_pytest_settings_do_not_reach_the_run(targets: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n", encoding="utf-8")
    (tmp_path / "conftest.py").write_text("raise RuntimeError\n", encoding="utf-8")

    assert pre_release(tmp_path, targets["good"]).returncode == 0


# ---------------------------------------------------------------- the GitHub action


class Job:
    """What a runner does with a composite action's own shell steps; actions of others are not run."""

    def __init__(self, folder: Path, **inputs: str) -> None:
        given = {name: str(facts.get("default", "")) for name, facts in ACTION["inputs"].items()} | inputs
        self.folder, self.summary = folder, folder / "summary"
        self.known = {f"inputs.{name}": value for name, value in given.items()}
        self.known |= {"github.action_path": str(ROOT), "runner.temp": str(folder)}
        self.known["steps.install.outputs.python"] = sys.executable  # what the step Install would have made

    def run(self, name: str) -> int:
        (step,) = [s for s in ACTION["runs"]["steps"] if s["name"] == name]
        outputs = self.folder / f"output-{name}"
        outputs.touch()
        environment = {key: self.resolved(value) for key, value in step["env"].items()}
        files = {"GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(self.summary)}
        # `shell: bash` of a runner is bash with these options
        done = shell("set -eo pipefail\n" + step["run"], self.folder, by="bash", **environment, **files)
        for line in outputs.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition("=")
            self.known[f"steps.{step.get('id')}.outputs.{key}"] = value
        return done.returncode

    def resolved(self, text: str) -> str:
        return re.sub(r"\$\{\{ *([\w.-]+) *\}\}", lambda found: self.known[found[1]], text)


@pytest.mark.parametrize("target", EXPECTED)
def test_the_action_shows_a_summary_keeps_the_report_and_ends_in_the_gates_exit_code(
    target: str, targets: dict[str, str], tmp_path: Path
) -> None:
    job = Job(tmp_path, target=targets[target], dialect="dos_ai", depth="smoke")

    judged, ended = job.run("Judge"), job.run("Gate")

    assert judged == 0  # so that the report is uploaded whatever the verdict
    assert ended == EXPECTED[target]
    summary = job.summary.read_text(encoding="utf-8")
    assert {"good": "passed", "broken": FAILS, "dead": "cannot judge (exit code 2)"}[target] in summary
    (upload,) = [s for s in ACTION["runs"]["steps"] if "uses" in s]
    assert (tmp_path / job.resolved(upload["with"]["path"]) / "report.html").is_file() == (target != "dead")


def test_the_action_gates_by_its_baseline_and_takes_an_input_for_a_word_and_never_for_code(
    targets: dict[str, str], tmp_path: Path
) -> None:
    name = "known failures $(touch pwned).toml"
    excuse = f'[[excuse]]\nid = "{FAILS}"\nreason = "known"\nsince = 2026-01-01\n'
    (tmp_path / name).write_text(excuse, encoding="utf-8")
    job = Job(tmp_path, target=targets["broken"], dialect="dos_ai", depth="smoke", baseline=name)

    assert job.run("Judge") == 0
    assert job.run("Gate") == 0
    assert not (tmp_path / "pwned").exists()


def test_the_action_installs_this_folder_with_the_given_python() -> None:
    (step,) = [s for s in ACTION["runs"]["steps"] if s["name"] == "Install"]

    assert step["env"]["SOURCE"] == "${{ github.action_path }}"
    assert '-m pip install --quiet "$SOURCE"' in step["run"]


# ---------------------------------------------------------------- GitLab and Jenkins


def installed(folder: Path) -> None:
    """What the installing lines of a job make: `.conformance/bin/python`, here this very environment's."""
    (folder / ".conformance/bin").mkdir(parents=True)
    python = folder / ".conformance/bin/python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', encoding="utf-8")
    python.chmod(0o755)


@pytest.mark.parametrize("target", EXPECTED)
def test_the_gitlab_job_ends_in_the_gates_exit_code(target: str, targets: dict[str, str], tmp_path: Path) -> None:
    installed(tmp_path)
    variables = {**GITLAB["variables"], "CONFORMANCE_TARGET": targets[target], "CONFORMANCE_DIALECT": "dos_ai"}
    variables["CONFORMANCE_DEPTH"] = "smoke"

    # GitLab runs the lines of a script one after the other, and stops at the first that fails
    done = shell("set -eo pipefail\n" + "\n".join(GITLAB["script"]), tmp_path, by="bash", **variables)

    assert done.returncode == EXPECTED[target], done.stdout + done.stderr
    assert (tmp_path / GITLAB["artifacts"]["reports"]["junit"]).is_file() == (target != "dead")


@pytest.mark.parametrize("target", EXPECTED)
def test_the_jenkins_step_ends_in_the_gates_exit_code(target: str, targets: dict[str, str], tmp_path: Path) -> None:
    installed(tmp_path)
    (tmp_path / "conformance").mkdir()
    (tmp_path / "conformance/known.toml").write_text("", encoding="utf-8")
    variables = dict(re.findall(r"^ +(CONFORMANCE_\w+) = '(.*)'$", JENKINS, re.MULTILINE))
    variables |= {"CONFORMANCE_TARGET": targets[target], "CONFORMANCE_DIALECT": "dos_ai"}

    done = shell(jenkins_steps()[1], tmp_path, **variables)

    assert done.returncode == EXPECTED[target], done.stdout + done.stderr
    (junit,) = re.findall(r"junit testResults: '([^']+)'", JENKINS)
    assert (tmp_path / junit).is_file() == (target != "dead")
