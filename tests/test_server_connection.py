"""Faults at the places of the connection: each shows on whole answers where it should, and nothing is left when it is off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.server_process import Server, body, running

if TYPE_CHECKING:
    from collections.abc import Iterator

JSON = {"content-type": "application/json"}
KEY = {"authorization": "Bearer sk-conformance-valid"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running("--control") as started:
        yield started


@pytest.fixture
def broken(server: Server, request: pytest.FixtureRequest) -> Iterator[Server]:
    switch(server, request.param)
    yield server
    switch(server)


def switch(server: Server, *names: str) -> None:
    assert server.client.post(f"{server.url}/__ref__/faults", json={"names": names}).status_code == 200


LIES = ["length-too-long", "last-chunk-missing"]


@pytest.mark.parametrize("broken", LIES, indirect=True)
def test_an_answer_whose_framing_lies_ends_too_early(broken: Server) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending complete"):
        broken.post("openai")
    with pytest.raises(httpx.RemoteProtocolError):
        broken.client.get(f"{broken.url}/nothing")


@pytest.mark.parametrize("broken", LIES, indirect=True)
def test_a_stream_goes_its_usual_way(broken: Server) -> None:
    assert broken.post("openai", stream=True).text.rstrip().endswith("[DONE]")


def test_without_a_fault_the_framing_is_true(server: Server) -> None:
    assert server.post("openai").json()["choices"]


@pytest.mark.parametrize("broken", ["key-comes-back"], indirect=True)
def test_the_key_that_was_sent_comes_back(broken: Server) -> None:
    answer = broken.client.post(broken.chat_url("openai"), json=body("openai"), headers=KEY)

    assert "sk-conformance-valid" in answer.headers["x-asked-with"]


@pytest.mark.parametrize("broken", ["methods-not-listed"], indirect=True)
def test_a_refused_method_is_refused_without_a_list(broken: Server) -> None:
    answer = broken.client.get(broken.chat_url("openai"))

    assert (answer.status_code, answer.headers.get("allow")) == (405, None)


@pytest.mark.parametrize("broken", ["health-unavailable"], indirect=True)
def test_a_server_that_is_not_well_says_so_and_answers(broken: Server) -> None:
    assert broken.client.get(f"{broken.url}/health").status_code == 503
    assert broken.post("openai").status_code == 200


@pytest.mark.parametrize("broken", ["paths-differ"], indirect=True)
def test_one_path_has_a_member_more(broken: Server) -> None:
    answers = [
        broken.client.post(f"{broken.url}/aqueduct{path}/chat/completions", json=body("aqueduct"), headers=KEY).json()
        for path in ("", "/v1")
    ]

    assert set(answers[1]) - set(answers[0]) == {"x_version"}


@pytest.mark.parametrize("broken", ["bad-requests-stun"], indirect=True)
def test_the_next_good_request_after_five_bad_ones_fails(broken: Server) -> None:
    for _ in range(5):
        assert broken.client.post(broken.chat_url("openai"), content=b"{", headers={**KEY, **JSON}).status_code == 400

    assert [broken.post("openai").status_code for _ in range(2)] == [500, 200]
