"""The comparison with other testers: what counts as found, what Schemathesis is told, the relay, and the part of the page."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import dialects
from tests.loopback import Loopback, as_json

pytest.importorskip("benchmarks.peers.compare", reason="not in the wheel's tests")

from benchmarks.peers import compare
from benchmarks.peers.__main__ import applicable, place, planned, sampled
from benchmarks.peers.openapi import describe
from benchmarks.peers.relay import Relay
from benchmarks.peers.testers import TESTERS, Said
from benchmarks.trust import peers

Json = dict[str, Any]
SOUND = [Said(0, {"a": "pass", "b": "fail", "c": "skip"}, 1.0), Said(0, {"a": "pass", "b": "pass", "c": "skip"}, 1.0)]


def said(code: int | None = 0, **tests: str) -> Said:
    return Said(code, {"a": "pass", "b": "fail", "c": "skip", **tests}, 1.0)


@pytest.mark.parametrize(
    ("now", "found"),
    [
        (said(), []),
        (said(b="pass"), []),
        (said(a="fail"), ["a"]),
        (said(a="warn"), ["a"]),
        (said(a="skip"), ["a"]),
        (said(c="fail"), ["c"]),
        (said(d="fail"), ["d"]),
        (said(1), ["exit code"]),
        (said(None), ["no end"]),
        (Said(0, {}, 1.0), ["a"]),
    ],
    ids=["as before", "noise", "failed", "warned", "skipped", "now fails", "new", "exit code", "no end", "crashed"],
)
def test_what_is_worse_than_in_every_run_before_is_found(now: Said, found: list[str]) -> None:
    assert compare.found(now, SOUND) == found


@pytest.mark.parametrize("now", [said(a="inconclusive"), said(a="error"), said(2), said(None), Said(0, {}, 1.0)])
def test_of_this_suite_failed_checks_count_alone(now: Said) -> None:
    assert compare.found(now, SOUND, strict=True) == []
    assert compare.found(said(a="fail"), SOUND, strict=True) == ["a"]


def test_noise_and_false_alarms_are_told_from_the_runs_on_the_correct_server() -> None:
    assert compare.unstable(SOUND) == ["b"]
    assert compare.failing(SOUND) == ["b"]


def test_every_part_of_the_description_is_a_schema_and_takes_the_printed_samples() -> None:
    facts = dialects.load("openai")
    for narrow in (True, False):
        operation = describe(facts, narrow=narrow)["paths"]["/v1/chat/completions"]["post"]
        request = operation["requestBody"]["content"]["application/json"]
        answer = operation["responses"]["200"]["content"]
        for schema in (
            request["schema"],
            answer["application/json"]["schema"],
            answer["text/event-stream"]["itemSchema"],
        ):
            Draft202012Validator.check_schema(schema)
            assert not {key for key in keys(schema) if key.startswith("x-") or key in ("$ref", "$defs")}
        if not narrow:
            for example in request["examples"].values():
                Draft202012Validator(request["schema"]).validate(example["value"])


def keys(node: Any) -> set[str]:  # noqa: ANN401 - any JSON
    """Every key of a schema that is a keyword or a member's name."""
    if isinstance(node, list):
        return set().union(*map(keys, node))
    if not isinstance(node, dict):
        return set()
    inner = (keys(value) for key, value in node.items() if key not in ("enum", "const", "default"))
    return set(node).union(*inner)


def test_the_relay_adds_the_key_and_changes_nothing_else() -> None:
    with Loopback(lambda _: as_json({"ok": True})) as server:
        relay = Relay(int(server.url.rsplit(":", 1)[1]), "a-key")
        request = urllib.request.Request(f"{relay.url}/v1/x", b'{"a": 1}')  # noqa: S310 - our own server
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            assert json.load(answer) == {"ok": True}
    received = server.received[0]
    assert received.body == b'{"a": 1}'
    assert ("authorization", "Bearer a-key") in [(name.lower(), value) for name, value in received.headers]


def test_a_sample_is_drawn_by_the_seed_and_every_fault_has_a_place() -> None:
    faults = applicable()
    assert sampled(faults, 9, 1) == sampled(faults, 9, 1) != sampled(faults, 9, 2)
    assert sorted(sampled(faults, None, 1)) == sorted(faults)
    assert all(map(place, faults))


def test_every_tester_is_asked_of_the_correct_server_at_each_pace_that_a_fault_needs() -> None:
    runs = planned(TESTERS, applicable(), 2, variations=False)
    sound = Counter((run.tester, run.pace) for run in runs if not run.fault)
    assert {tester for tester, _ in sound} == {tester.name for tester in TESTERS}
    assert len({run.pace for run in runs if run.fault}) > 1
    assert {sound[run.tester, run.pace] for run in runs if run.fault} == {2}


def test_a_part_of_the_page_is_replaced_and_the_others_stay() -> None:
    page = f"# Page\n\n## One\n\nText.\n\n{peers.HEADING}\n\nOld.\n\n## Two\n\nMore.\n"
    part = f"{peers.HEADING}\n\nNew.\n"
    assert peers.replaced(page, part) == f"# Page\n\n## One\n\nText.\n\n{peers.HEADING}\n\nNew.\n\n## Two\n\nMore.\n"
    assert peers.replaced("# Page\n", part) == f"# Page\n\n{part}"


def test_the_page_says_what_the_kept_results_say() -> None:
    if not peers.KEPT.exists():
        pytest.skip("no results are kept")
    part = "\n".join(peers.section(json.loads(peers.KEPT.read_text(encoding="utf-8")))).rstrip("\n")
    assert part in Path(__file__).parents[1].joinpath("docs/trust.md").read_text(encoding="utf-8")
