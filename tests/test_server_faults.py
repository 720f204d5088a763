"""Faults and variations: each shows where it should, declares what it breaks, and changes nothing else's outcome."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import dialects
from conformance.wire.sse import Decoder
from reference_server.faults import FAULTS, means
from reference_server.faults import requirements as rows_of
from reference_server.vary import VARIATIONS
from tests.server_process import NAMES, STORY, Server, body, running
from tests.test_server_lifecycle import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

Json = dict[str, Any]

CHAPTERS = {"service", "auth", "request", "chat", "stream", "usage", "errors"}
ROWS = [(name, row) for name in NAMES for row in dialects.load(name).requirements]
TOOL = {"type": "function", "function": {"name": "look_up"}}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running("--control") as started:
        yield started


def switch(server: Server, **chosen: list[str]) -> None:
    assert server.client.post(f"{server.url}/__ref__/faults", json=chosen).status_code == 200


def said(answer: httpx.Response) -> list[Json]:
    """The JSON documents of a stream, whatever legal form it has."""
    decoder = Decoder()
    found = [*decoder.feed(answer.content), *decoder.close()]
    return [json.loads(event.data) for event in found if event.data != "[DONE]"]


def text(parts: list[Json]) -> str:
    return "".join(choice["delta"].get("content") or "" for part in parts for choice in part["choices"])


def plain(server: Server, dialect: str = "openai", **fields: Any) -> Json:  # noqa: ANN401 - any JSON value
    answer: Json = server.post(dialect, **fields).json()
    return answer


def streamed(server: Server, dialect: str = "openai", **fields: Any) -> list[Json]:  # noqa: ANN401 - any JSON value
    return said(server.post(dialect, stream=True, **fields))


def reasons(server: Server, **fields: Any) -> list[str]:  # noqa: ANN401 - any JSON value
    return [choice["finish_reason"] for choice in plain(server, **fields)["choices"]]


def counted(usage: Json) -> bool:
    return bool(usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"])


def calls(server: Server) -> Json:
    found: Json = plain(server, content="look_up and look_up", tools=[TOOL])["choices"][0]
    return found


def sent(server: Server, data: bytes, **headers: str) -> httpx.Response:
    return server.client.post(
        server.chat_url("openai"), content=data, headers={"content-type": "application/json", **headers}
    )


PROBES: dict[str, Callable[[Server], bool]] = {
    "get-answers-500": lambda s: s.client.get(s.chat_url("openai")).status_code == 500,
    "answer-as-text": lambda s: s.post("openai").headers["content-type"] == "text/plain",
    "name-stands-twice": lambda s: s.post("openai").content.count(b'"id":') == 2,
    "bad-key-accepted": lambda s: (
        sent(s, json.dumps(body("openai")).encode(), authorization="Bearer x").status_code == 200
    ),
    "server-error-on-malformed-json": lambda s: sent(s, b"{").status_code == 500,
    "unknown-model-accepted": lambda s: plain(s, model="who").get("model") == "who",
    "values-not-checked": lambda s: s.post("openai", temperature=99).status_code == 200,
    "stop-ignored": lambda s: "3" in plain(s, content="Count to 5", stop="3")["choices"][0]["message"]["content"],
    "limit-ignored": lambda s: plain(s, content=STORY, max_tokens=3)["usage"]["completion_tokens"] > 3,
    "finish-stop-at-limit": lambda s: reasons(s, content=STORY, max_tokens=3) == ["stop"],
    "same-id-again": lambda s: plain(s)["id"] == plain(s)["id"],
    "replacement-char": lambda s: (
        "\N{REPLACEMENT CHARACTER}" in s.post("openai").text + s.post("dria", stream=True).text
    ),
    "one-choice-only": lambda s: len(reasons(s, n=2)) == 1,
    "done-missing": lambda s: "[DONE]" not in s.post("openai", stream=True).text,
    "event-after-done": lambda s: s.post("openai", stream=True).text.count("data: [DONE]\n\n") == 2,
    "finish-reason-missing": lambda s: not any(c.get("finish_reason") for p in streamed(s) for c in p["choices"]),
    "id-changes-in-stream": lambda s: len({part["id"] for part in streamed(s)}) > 1,
    "cumulative-deltas": lambda s: text(streamed(s, content="Count to 3")).startswith("11,1, 2"),
    "first-text-lost": lambda s: text(streamed(s, content="Count to 3")) == ", 2, 3",
    "index-always-zero": lambda s: {c["index"] for p in streamed(s, n=2) for c in p["choices"]} == {0},
    "role-missing": lambda s: not any("role" in c["delta"] for p in streamed(s) for c in p["choices"]),
    "content-type-json-on-stream": lambda s: (
        s.post("openai", stream=True).headers["content-type"] == "application/json"
    ),
    "no-blank-lines": lambda s: "\n\n" not in s.post("openai", stream=True).text,
    "usage-sum-wrong": lambda s: not counted(plain(s)["usage"]) and not counted(streamed(s, "dos_ai")[-1]["usage"]),
    "prompt-not-counted": lambda s: plain(s)["usage"]["prompt_tokens"] == 0,
    "usage-twice": lambda s: sum("usage" in part for part in streamed(s, "dos_ai")) == 2,
    "error-envelope-detail": lambda s: list(plain(s, messages=5)) == ["detail"],
    "trace-in-message": lambda s: (
        "Traceback" in s.post("openai", messages=5).text and "Traceback" in s.post("dria", messages=5).text
    ),
    "param-names-another-field": lambda s: "error" in (bad := plain(s, n=0)) and bad["error"]["param"] != "n",
    "retry-after-missing": lambda s: (
        "retry-after" not in s.post("openai", model="unavailable-model").headers and not _told_when(s)
    ),
    "calls-finish-with-stop": lambda s: calls(s)["finish_reason"] == "stop",
    "calls-share-an-id": lambda s: len({call["id"] for call in calls(s)["message"]["tool_calls"]}) == 1,
}


def _told_when(server: Server) -> bool:
    headers = {"authorization": "Bearer sk-conformance-limited"}
    answers = [server.client.post(server.chat_url("dos_ai"), json=body("dos_ai"), headers=headers) for _ in range(6)]
    return "retry-after" in answers[-1].headers


@pytest.mark.parametrize("fault", PROBES)
def test_a_fault_shows_when_it_is_on_and_only_then(server: Server, fault: str) -> None:
    probe = PROBES[fault]
    switch(server, names=[])
    sound = probe(server)
    switch(server, names=[fault])
    faulty = probe(server)
    switch(server, names=[])

    assert (sound, faulty) == (False, True)


@pytest.mark.parametrize("fault", FAULTS.all)
def test_what_a_fault_declares_stands_in_the_documents(fault: str) -> None:
    alteration = FAULTS.all[fault]
    checks = {(name, check) for name, row in ROWS for check in row.checks}
    declared = [name.removeprefix("-") for names in alteration.breaks.values() for name in names]

    assert alteration.says
    assert declared
    assert [name for name in declared if not any(means((name,), check, dialect) for dialect, check in checks)] == []


def test_the_faults_cover_every_chapter() -> None:
    broken = {
        row.chapter for name in NAMES for fault in FAULTS.all.values() for row in rows_of(fault, dialects.load(name))
    }

    assert broken >= CHAPTERS


@pytest.mark.parametrize(
    ("names", "check", "meant"),
    [
        ("usage.sum", "usage.sum", True),
        ("usage.sum", "usage.summary", False),
        ("errors.field", "errors.field[error.type]", True),
        ("errors.status[no_key]", "errors.status[no_key=401]", True),
        ("errors.status[no_key]", "errors.status[bad_key]", False),
        ("errors.*[no_key]", "errors.type[no_key]", True),
        ("request.rejects:range", "request.rejects[n:range]", True),
        ("request.rejects:range", "request.rejects[n:type]", False),
        ("chat.field[usage.*]", "chat.field[usage.total_tokens]", True),
        ("chat.field[usage.*]", "chat.field[usage]", False),
        ("usage.sum in dria openai", "usage.sum", True),
        ("usage.sum in openai", "usage.sum", False),
        ("usage.sum not dria", "usage.sum", False),
        ("usage.sum not openai", "usage.sum", True),
        ("usage.* -usage.sum", "usage.sum", False),
    ],
)
def test_a_declared_name_means_what_its_form_says(names: str, check: str, meant: bool) -> None:  # noqa: FBT001 - a column
    words = names.split(" -") if " -" in names else [names]

    assert means([words[0], *(f"-{word}" for word in words[1:])], check, "dria") is meant


def test_the_list_names_every_fault_with_the_rows_it_breaks() -> None:
    printed = run("--fault", "list").stdout.splitlines()

    assert [line.partition(":")[0] for line in printed if not line.startswith(" ")] == list(FAULTS.all)
    assert any(line.startswith("    dos_ai: ") and "DOS-" in line for line in printed)


def test_a_fault_given_on_the_command_line_is_on() -> None:
    with running("--fault", "done-missing", "--fault", "usage-sum-wrong") as server:
        assert PROBES["done-missing"](server)
        assert PROBES["usage-sum-wrong"](server)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("variation", VARIATIONS.all)
def test_a_legal_variation_changes_nothing_that_is_said(server: Server, variation: str, name: str) -> None:
    fields: Json = {"content": "Repeat exactly: a\n🎉 e\u0301 \u2028 \\ done", "temperature": 0}
    switch(server, vary=[])
    usual = server.post(name, **fields)
    switch(server, vary=[variation])
    plainly = server.post(name, **fields)
    stream = server.post(name, stream=True, **fields)
    switch(server, vary=[])
    expected = usual.json()["choices"][0]["message"]["content"]

    assert (plainly.status_code, stream.status_code) == (200, 200)
    assert (expected, expected) == (plainly.json()["choices"][0]["message"]["content"], text(said(stream)))
    assert stream.headers["content-type"].lower().startswith("text/event-stream")


def test_every_variation_changes_the_bytes_or_their_timing() -> None:
    fields: Json = {"content": "Repeat exactly: é", "temperature": 0, "seed": 1}
    unseen = {"split-writes", "slow-start", "connection-closed"}  # these change when bytes come, or another header
    with running("--control") as server:
        for variation in VARIATIONS.all.keys() - unseen:
            switch(server, vary=[])
            usual = server.post("dria", stream=True, **fields)
            switch(server, vary=[variation])
            varied = server.post("dria", stream=True, **fields)
            assert (usual.content, usual.headers["content-type"]) != (varied.content, varied.headers["content-type"])
