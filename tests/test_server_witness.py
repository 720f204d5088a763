"""The watching server: answers stay sound, and it tells which faults each of them would have met."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reference_server.faults import FAULTS
from tests.server_process import Server, body, running

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running("--control") as started:
        assert started.client.post(f"{started.url}/__ref__/faults", json={"watch": True}).status_code == 200
        yield started


def met(server: Server) -> set[str]:
    return set(server.client.get(f"{server.url}/__ref__/met").json()["met"])


@pytest.fixture(scope="module")
def always(server: Server) -> set[str]:
    """Those that count as met by every request, whatever it asks."""
    met(server)
    return met(server)


def test_those_that_remember_and_those_that_cannot_be_foreseen_are_always_met(always: set[str]) -> None:
    assert always == {
        name for name, fault in FAULTS.all.items() if fault.remembers or {"bytes", "gone"} & fault.acts.keys()
    }
    assert "stop-sticks" in always


def test_a_whole_answer_meets_the_faults_of_whole_answers(server: Server, always: set[str]) -> None:
    answer = server.post("openai").json()
    found = met(server) - always

    assert answer["id"].startswith("chatcmpl-")
    assert {"id-missing", "usage-sum-wrong", "coding-is-a-lie", "mark-before-json", "key-comes-back"} <= found
    assert not {"done-missing", "bad-key-accepted", "stop-ignored", "tools-ignored", "error-flat"} & found


def test_a_stream_meets_the_faults_of_streams(server: Server, always: set[str]) -> None:
    answer = server.post("openai", stream=True, stop="x")
    found = met(server) - always

    assert answer.text.endswith("data: [DONE]\n\n")
    assert {"done-missing", "id-changes-in-stream", "no-blank-lines", "stop-ignored", "first-text-lost"} <= found
    assert not {"id-missing", "arguments-cut", "error-flat"} & found


def test_a_fault_that_leaves_out_a_check_is_met_by_what_the_check_refuses(server: Server, always: set[str]) -> None:
    refused = server.client.post(
        server.chat_url("openai"), json=body("openai"), headers={"authorization": "Bearer wrong"}
    )
    found = met(server) - always

    assert refused.status_code == 401
    assert {"bad-key-accepted", "error-flat"} <= found
    assert not {"id-missing", "done-missing"} & found


def test_a_fault_that_refuses_a_good_request_is_met_by_such_a_request(server: Server, always: set[str]) -> None:
    server.client.post(server.chat_url("openai"), json=body("openai"), headers={"authorization": "bearer wrong"})

    assert "lower-case-scheme-refused" in met(server) - always


def test_asking_forgets_what_was_met(server: Server, always: set[str]) -> None:
    server.post("openai")

    assert met(server) > always
    assert met(server) == always


def test_faults_switched_on_end_the_watch(server: Server) -> None:
    try:
        server.client.post(f"{server.url}/__ref__/faults", json={"names": ["id-missing"]})
        assert "id" not in server.post("openai").json()
        assert not met(server)
    finally:
        server.client.post(f"{server.url}/__ref__/faults", json={"watch": True})
