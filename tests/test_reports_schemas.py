"""Each rendering holds to the schema that its format's own package publishes (tests/published_schemas.py brings them)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from reports.render import rendered
from tests.published_schemas import Schemas, complaints, place
from tests.report_samples import HOSTILE, exchange, load_report, load_reports, report, reports, row

if TYPE_CHECKING:
    from reports.model import LoadReport, Report

KINDS = ("junit", "sarif", "ctrf", "har")
relaxed = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=60
)


@pytest.fixture(scope="session")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Schemas:
    return Schemas(place(tmp_path_factory.mktemp("schemas")))


SAMPLES: dict[str, Report] = {
    "passing": report(row(), exchanges=(exchange(),)),
    "failing": report(row(verdict="fail", evidence=("x1",)), row("B", "not-run"), exchanges=(exchange(status=500),)),
    "hostile": report(
        *(row(f"{n}{text}", "fail", says=text, observed=text) for n, text in enumerate(HOSTILE)),
        exchanges=(exchange(body="".join(HOSTILE).encode("utf-8", "replace"), response_headers=(("x", HOSTILE[7]),)),),
    ),
    "no answer": report(row(verdict="error"), exchanges=(exchange(status=None, frames=(), error="connect: refused"),)),
    "incomplete": report(row(verdict="not-run"), complete=False, reason="interrupted"),
    "empty": report(),
}


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_report_by_hand_is_valid(kind: str, name: str, schemas: Schemas) -> None:
    assert complaints(schemas[kind], rendered(kind, SAMPLES[name])) == []


@pytest.mark.parametrize("kind", KINDS)
@relaxed
@given(one=reports())
def test_any_report_is_valid(kind: str, one: Report, schemas: Schemas) -> None:
    assert complaints(schemas[kind], rendered(kind, one)) == []


@pytest.mark.parametrize("kind", ["junit", "sarif", "ctrf"])
@relaxed
@given(one=load_reports())
def test_any_load_report_is_valid(kind: str, one: LoadReport, schemas: Schemas) -> None:
    assert complaints(schemas[kind], rendered(kind, one)) == []


def test_a_load_report_by_hand_is_valid(schemas: Schemas) -> None:
    assert [complaints(schemas[kind], rendered(kind, load_report())) for kind in ("junit", "sarif", "ctrf")] == [[]] * 3


def test_the_json_schemas_see_what_is_wrong(schemas: Schemas) -> None:
    one = SAMPLES["failing"]
    ctrf = json.loads(rendered("ctrf", one))
    ctrf["results"]["tests"][0]["status"] = "green"
    har = json.loads(rendered("har", one))
    del har["log"]["entries"][0]["timings"]
    sarif = json.loads(rendered("sarif", one))
    sarif["runs"][0]["results"][0]["level"] = "fatal"

    for kind, broken in (("ctrf", ctrf), ("har", har), ("sarif", sarif)):
        assert complaints(schemas[kind], json.dumps(broken)) != []


@pytest.mark.parametrize(
    ("pattern", "instead"),
    [
        (r"<testcase ", '<testcase level="MUST" '),
        (r'(<testsuite name="[^"]*") tests="\d+"', r"\1"),
        (r"<failure", "<properties/><failure"),
    ],
)
def test_the_schema_of_junit_sees_what_is_wrong(pattern: str, instead: str, schemas: Schemas) -> None:
    text, times = re.subn(pattern, instead, rendered("junit", SAMPLES["failing"]))

    assert times
    assert complaints(schemas["junit"], text) != []
