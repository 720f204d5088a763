"""Each rendering holds to the schema that its format's own package publishes; the packages come from NODE_PATH.

npm install ctrf har-schema        and NODE_PATH set to that node_modules (tox -e browser does both)
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for
from referencing import Registry, Resource

from reports.ctrf import ctrf
from reports.har import har
from tests.report_samples import HOSTILE, exchange, load_report, report, reports, row

if TYPE_CHECKING:
    from reports.model import LoadReport, Report

FOLDERS = [Path(name) for name in os.environ.get("NODE_PATH", "node_modules").split(os.pathsep) if name]


def package(name: str) -> Path:
    found = next((folder / name for folder in FOLDERS if (folder / name).is_dir()), None)
    if found is None:
        pytest.skip(f"needs its schema: npm install {name}, and NODE_PATH set to that node_modules")
    return found


def read(path: Path) -> Any:  # noqa: ANN401 - any JSON value
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def ctrf_schema() -> Any:  # noqa: ANN401 - a jsonschema validator
    schema = read(next(package("ctrf").glob("dist/ctrf-schema-*.json")))
    return validator_for(schema, Draft202012Validator)(schema)


@pytest.fixture(scope="module")
def har_schema() -> Any:  # noqa: ANN401 - a jsonschema validator
    schemas = [read(path) for path in sorted(package("har-schema").glob("lib/*.json"))]
    registry: Registry[Any] = Registry()
    for schema in schemas:
        registry = registry.with_resource(schema["$id"], Resource.from_contents(schema))
    whole = read(package("har-schema") / "lib" / "har.json")
    return validator_for(whole)(whole, registry=registry)


SAMPLES: dict[str, Report] = {
    "passing": report(row(), exchanges=(exchange(),)),
    "failing": report(row(verdict="fail", evidence=("x1",)), row("B", "not-run"), exchanges=(exchange(status=500),)),
    "hostile": report(
        *(row(f"{n}{text}", "fail", says=text, observed=text) for n, text in enumerate(HOSTILE)),
        exchanges=(exchange(body="".join(HOSTILE).encode("utf-8", "replace"), response_headers=(("x", HOSTILE[7]),)),),
    ),
    "no answer": report(row(verdict="error"), exchanges=(exchange(status=None, frames=(), error="connect: refused"),)),
    "empty": report(),
}


def complaints(schema: Any, text: str) -> list[str]:  # noqa: ANN401 - a jsonschema validator
    return [f"{error.json_path}: {error.message}" for error in schema.iter_errors(json.loads(text))]


@pytest.mark.parametrize("name", SAMPLES)
def test_ctrf_is_valid(name: str, ctrf_schema: Any) -> None:  # noqa: ANN401 - a jsonschema validator
    assert complaints(ctrf_schema, ctrf(SAMPLES[name])) == []


def test_ctrf_of_a_load_report_is_valid(ctrf_schema: Any) -> None:  # noqa: ANN401 - a jsonschema validator
    one: LoadReport = load_report()
    assert complaints(ctrf_schema, ctrf(one)) == []


@pytest.mark.parametrize("name", SAMPLES)
def test_har_is_valid(name: str, har_schema: Any) -> None:  # noqa: ANN401 - a jsonschema validator
    assert complaints(har_schema, har(SAMPLES[name])) == []


@given(one=reports())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
def test_both_are_valid_for_any_report(one: Report, ctrf_schema: Any, har_schema: Any) -> None:  # noqa: ANN401
    assert complaints(ctrf_schema, ctrf(one)) == []
    assert complaints(har_schema, har(one)) == []


def test_the_schemas_see_what_is_wrong(ctrf_schema: Any, har_schema: Any) -> None:  # noqa: ANN401
    one = replace(SAMPLES["passing"], started="2026-11-25T12:00:00Z")
    broken = json.loads(ctrf(one))
    broken["results"]["tests"][0]["status"] = "green"
    archive = json.loads(har(one))
    del archive["log"]["entries"][0]["timings"]

    assert complaints(ctrf_schema, json.dumps(broken)) != []
    assert complaints(har_schema, json.dumps(archive)) != []
