"""The Kubernetes example: its parts fit each other, and its arguments fit the program."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import dialects
from loadtest import scenarios, slo

yaml: Any = pytest.importorskip("yaml")
ROOT = Path(__file__).parent.parent
OWN_OPTIONS = set(re.findall(r'add\(\s*"(--[a-z-]+)"', (ROOT / "loadtest/options.py").read_text()))
LOCUST_OPTIONS = {"--master", "--expect-workers", "--headless", "--host", "--worker", "--master-host", "--master-port"}


def documents() -> dict[tuple[str, str], Any]:
    found = yaml.safe_load_all((ROOT / "deploy/kubernetes/load.yaml").read_text())
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def container(name: str) -> Any:  # noqa: ANN401 - YAML
    return documents()["Job", name]["spec"]["template"]["spec"]["containers"][0]


def arguments(name: str) -> dict[str, str]:
    return {word.partition("=")[0]: word.partition("=")[2] for word in container(name)["args"]}


def test_the_service_finds_the_master_s_pod_and_the_workers_find_the_service() -> None:
    service = documents()["Service", "load-master"]
    labels = documents()["Job", "load-master"]["spec"]["template"]["metadata"]["labels"]

    assert service["spec"]["selector"].items() <= labels.items()
    assert arguments("load-worker")["--master-host"] == service["metadata"]["name"]
    assert int(arguments("load-worker")["--master-port"]) == service["spec"]["ports"][0]["port"]
    assert service["spec"]["ports"][0]["targetPort"] == container("load-master")["ports"][0]["name"]


def test_the_master_waits_for_as_many_workers_as_there_are() -> None:
    worker = documents()["Job", "load-worker"]["spec"]

    assert int(arguments("load-master")["--expect-workers"]) == worker["parallelism"] == worker["completions"]


@pytest.mark.parametrize("name", ["load-master", "load-worker"])
def test_arguments_are_options_that_exist(name: str) -> None:
    assert set(arguments(name)) <= OWN_OPTIONS | LOCUST_OPTIONS


def test_the_master_s_scenario_dialect_and_objectives_can_be_read() -> None:
    asked = arguments("load-master")

    assert scenarios.load(asked["--scenario"]).name == asked["--scenario"]
    assert dialects.load(asked["--dialect"]).id == asked["--dialect"]
    assert len(slo.parse([asked["--slo"]])) == 2


@pytest.mark.parametrize("name", ["load-master", "load-worker"])
def test_pods_run_unprivileged_with_a_core_of_their_own_and_the_key_from_a_secret(name: str) -> None:
    pod = container(name)

    assert pod["resources"]["requests"]["cpu"] == pod["resources"]["limits"]["cpu"]
    assert pod["securityContext"]["readOnlyRootFilesystem"] is True
    assert "secretKeyRef" in pod["env"][0]["valueFrom"]


def test_the_image_has_the_version_of_the_package_and_every_package_of_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    copied = re.findall(r"^COPY (\w+) \1$", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)

    assert container("load-master")["image"].endswith(":" + project["project"]["version"])
    assert sorted(copied) == sorted(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
