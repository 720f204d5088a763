"""Every dialect is served as its own schemas say, plain and streamed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

import dialects
from tests.server_process import NAMES, STORY, Json, Server, body, chunks, finishes, running, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

every_dialect = pytest.mark.parametrize("name", NAMES)
SEEDED = {"temperature": 0}
DOCUMENTED = (
    "wrong_type",
    "missing_field",
    "malformed_json",
    "not_object",
    "unknown_model",
    "no_key",
    "bad_key",
    "unavailable",
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as started:
        yield started


def problems(name: str, kind: str, document: object) -> list[str]:
    return [error.message for error in Draft202012Validator(dialects.load(name).schemas[kind]).iter_errors(document)]


@every_dialect
def test_a_plain_answer_satisfies_the_response_schema(server: Server, name: str) -> None:
    answer = server.post(name)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert problems(name, "response", answer.json()) == []


@every_dialect
def test_every_chunk_satisfies_the_chunk_schema(server: Server, name: str) -> None:
    answer = server.post(name, stream=True)
    parts = chunks(answer)

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [problems(name, "chunk", part) for part in parts] == [[]] * len(parts)


@every_dialect
@pytest.mark.parametrize("content", ["Say hi", STORY, "Show me some emoji", "Repeat exactly: a\nb 🎉 e\u0301\u2028 z"])
def test_a_stream_says_what_the_plain_answer_says(server: Server, name: str, content: str) -> None:
    plain = server.post(name, content=content, max_tokens=40, **SEEDED).json()["choices"][0]
    parts = chunks(server.post(name, content=content, max_tokens=40, stream=True, **SEEDED))

    assert (plain["message"]["content"], {0: plain["finish_reason"]}) == (text_of(parts), finishes(parts))


@every_dialect
def test_every_documented_chat_path_answers(server: Server, name: str) -> None:
    paths = dialects.load(name).paths.chat

    assert [server.client.post(f"{server.url}/{name}{path}", json=body(name)).status_code for path in paths] == [
        200
    ] * len(paths)


@every_dialect
@pytest.mark.parametrize("field", ["temperature", "max_tokens", "messages", "stream"])
def test_a_field_of_the_wrong_type_is_refused_in_the_dialects_words(server: Server, name: str, field: str) -> None:
    answer = server.post(name, **{field: {"no": "such"}})

    assert dialects.load(name).errors.causes["wrong_type"].status[0] == answer.status_code
    assert field in answer.text
    if dialects.load(name).errors.body != "text":
        assert problems(name, "error", answer.json()) == []


@every_dialect
@pytest.mark.parametrize("cause", DOCUMENTED)
def test_a_cause_has_the_first_status_that_the_document_gives_it(server: Server, name: str, cause: str) -> None:
    dialect = dialects.load(name)
    known = dialect.cause(cause)
    if known is None or (cause == "no_key" and not dialect.auth.required):
        pytest.skip("the document is silent")
    url, valid = server.chat_url(name), body(name)
    table: dict[str, Json] = {
        "wrong_type": {"json": {**valid, "temperature": "warm"}},
        "missing_field": {"json": {"model": dialect.models.example}},
        "malformed_json": {"content": b"{", "headers": {"content-type": "application/json"}},
        "not_object": {"json": []},
        "unknown_model": {"json": {**valid, "model": dialect.models.unknown}},
        "no_key": {"json": valid, "headers": {"authorization": ""}},
        "bad_key": {"json": valid, "headers": {"authorization": "Bearer nonsense"}},
        "unavailable": {"json": {**valid, "model": "unavailable-model"}},
    }
    sent = table[cause]

    for extra in ({}, {"stream": True}):
        arguments: Json = {**sent, "json": {**sent["json"], **extra}} if isinstance(sent.get("json"), dict) else sent
        assert known.status[0] == server.client.post(url, **arguments).status_code


@every_dialect
def test_a_refusal_has_the_documented_envelope(server: Server, name: str) -> None:
    answer = server.client.get(server.chat_url(name))
    form = dialects.load(name).errors.body

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    if form == "text":
        assert answer.headers["content-type"].startswith("text/plain")
        assert "not allowed" in answer.text
    else:
        assert problems(name, "error", answer.json()) == []


@every_dialect
def test_an_unknown_path_is_refused_in_the_dialects_words(server: Server, name: str) -> None:
    answer = server.client.post(server.chat_url(name) + "/nothing", json=body(name))

    assert answer.status_code == 404
    assert ("text/plain" if dialects.load(name).errors.body == "text" else "application/json") in answer.headers[
        "content-type"
    ]


@every_dialect
def test_a_documented_list_of_models_holds_the_example(server: Server, name: str) -> None:
    dialect = dialects.load(name)
    if dialect.paths.models is None:
        pytest.skip("the document has none")
    listed = server.client.get(f"{server.url}/{name}{dialect.paths.models}").json()

    assert [dialect.models.example] == [model["id"] for model in listed["data"]]


@every_dialect
def test_every_answer_has_its_own_request_id(server: Server, name: str) -> None:
    answers = [server.post(name), server.post(name, stream=True), server.client.get(f"{server.url}/{name}/nothing")]

    assert len({answer.headers["x-request-id"] for answer in answers}) == 3


@every_dialect
def test_answers_have_different_ids(server: Server, name: str) -> None:
    if not problems(name, "response", {"id": 1}):
        pytest.skip("answers have no id")

    assert len({server.post(name).json()["id"] for _ in range(20)}) == 20


def test_the_chosen_dialect_is_served_at_the_root() -> None:
    with running("--dialect", "dria") as server:
        answer = server.client.post(f"{server.url}/v1/chat/completions", json=body("dria"))

        assert answer.json()["metadata"] == server.post("dria").json()["metadata"]


def test_dria_has_no_role_and_no_index_and_names_its_node(server: Server) -> None:
    answer = server.post("dria").json()

    assert answer.keys() == {"id", "model", "choices", "usage", "metadata"}
    assert answer["choices"][0].keys() == {"message", "finish_reason"}
    assert answer["choices"][0]["message"].keys() == {"content"}
    assert answer["metadata"]["node_id"].startswith("node-")


@pytest.mark.parametrize("member", ["name", "tool_call_id"])
def test_a_member_of_a_message_that_dria_does_not_list_may_be_of_any_type(server: Server, member: str) -> None:
    messages = [{"role": "user", "content": "Hello", member: 5}]

    assert server.post("dria", messages=messages).status_code == 200


def test_dos_ai_puts_usage_into_the_chunk_of_the_last_finish(server: Server) -> None:
    parts = chunks(server.post("dos_ai", stream=True, n=3, max_tokens=4))

    assert [("usage" in part) for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1]["choices"][0]["finish_reason"] == "length"
    assert finishes(parts) == dict.fromkeys(range(3), "length")


def test_openai_sends_usage_only_on_request_and_null_before(server: Server) -> None:
    asked = chunks(server.post("openai", stream=True, stream_options={"include_usage": True}))
    unasked = chunks(server.post("openai", stream=True))

    assert [part["usage"] for part in asked[:-1]] == [None] * (len(asked) - 1)
    assert asked[-1]["choices"] == []
    assert (
        asked[-1]["usage"]["total_tokens"]
        == asked[-1]["usage"]["prompt_tokens"] + asked[-1]["usage"]["completion_tokens"]
    )
    assert not any("usage" in part for part in unasked)


def test_openai_opens_every_choice_with_its_role(server: Server) -> None:
    parts = chunks(server.post("openai", stream=True, n=2))

    assert [(part["choices"][0]["index"], part["choices"][0]["delta"]["role"]) for part in parts[:2]] == [
        (0, "assistant"),
        (1, "assistant"),
    ]
    assert not any("role" in part["choices"][0]["delta"] for part in parts[2:])


def test_aqueduct_drops_null_keys_and_always_ends_with_a_usage_chunk(server: Server) -> None:
    answer = server.post("aqueduct", stream=True)

    assert "null" not in answer.text
    assert chunks(answer)[-1]["choices"] == []
    assert "usage" in chunks(answer)[-1]
    assert server.post("aqueduct", temperature=None, stop=None, stream=None).status_code == 200


def test_adaptive_echoes_a_session_and_mints_one(server: Server) -> None:
    session = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
    minted = {server.post("adaptive").json()["session_id"] for _ in range(3)}

    assert server.post("adaptive", session_id=session).json()["session_id"] == session
    assert len(minted) == 3


def test_adaptive_answers_for_a_project_and_for_its_model(server: Server) -> None:
    project, model = dialects.load("adaptive").models.example.split("/")
    answers = [server.post("adaptive", model=form).json() for form in (project, f"{project}/{model}")]

    assert [answer["choices"][0]["model"] for answer in answers] == [model, model]
    assert server.post("adaptive", model=f"{project}/none").status_code == 404
    assert server.post("adaptive", model=f"{project}/").status_code == 404


def test_adaptive_takes_labels_by_both_names_when_they_agree(server: Server) -> None:
    assert server.post("adaptive", labels={"a": "b"}, metadata={"a": "b"}).status_code == 200
    assert server.post("adaptive", labels={"a": "b"}, metadata={"a": "c"}).status_code == 400


def test_adaptive_allows_no_choices_and_no_tokens(server: Server) -> None:
    none = server.post("adaptive", n=0).json()
    empty = server.post("adaptive", n=2, max_tokens=0).json()

    assert none["choices"] == []
    assert [(choice["message"]["content"], choice["finish_reason"]) for choice in empty["choices"]] == [
        ("", "length")
    ] * 2
    assert len({choice["completion_id"] for choice in empty["choices"]}) == 2


def test_solidrust_takes_the_bare_key_in_a_header_of_its_own(server: Server) -> None:
    headers = {"authorization": "", "x-api-key": "sk-conformance-valid"}

    assert server.client.post(server.chat_url("solidrust"), json=body("solidrust"), headers=headers).status_code == 200


@every_dialect
def test_the_printed_requests_are_answered(server: Server, name: str) -> None:
    dialect = dialects.load(name)
    for sample, text in dialect.samples("request"):
        document = {**json.loads(text), "model": dialect.models.example}
        if '"http' in text:
            continue  # the server fetches nothing

        assert (sample, 200) == (sample, server.client.post(server.chat_url(name), json=document).status_code)


@every_dialect
@pytest.mark.parametrize("value", [None, 5, "x", [], [5], {}, {"type": 5}, True])
def test_fields_that_a_document_does_not_have_are_ignored(server: Server, name: str, value: object) -> None:
    fields = ("n", "stop", "seed", "tools", "tool_choice", "response_format", "logprobs", "stream_options", "x_unknown")
    for field in fields:
        if not dialects.load(name).documents(field):
            assert (field, 200) == (field, server.post(name, **{field: value}).status_code)


@every_dialect
def test_an_empty_conversation_is_refused_except_where_it_is_allowed(server: Server, name: str) -> None:
    assert (200 if name == "adaptive" else 400) == server.post(name, messages=[]).status_code
