"""What is known of one request: views of the answer, the record without the key, and the curl line."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.wire.exchange import Exchange, Frame, Request
from tests.loopback import Loopback, Received, response

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "sk-very-secret/key+1=="
JSON = (("content-type", "application/json"),)
needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not on this machine")


def request(**changes: Any) -> Request:  # noqa: ANN401 - any field
    known = {"method": "POST", "url": "http://127.0.0.1/v1", "headers": JSON, "body": b"{}", "key": KEY}
    return Request(**{**known, **changes})


def exchange(*pieces: bytes, sent: Request | None = None, **changes: Any) -> Exchange:  # noqa: ANN401 - any field
    frames = tuple(Frame(0.1 * i, piece) for i, piece in enumerate(pieces))
    return Exchange("x1", sent or request(), 1_700_000_000.0, 1.5, changes.pop("status", 200), frames=frames, **changes)


# ---------------------------------------------------------------- views


def test_a_header_is_found_whatever_its_case_and_several_are_joined() -> None:
    one = exchange(headers=(("Vary", "a"), ("VARY", "b")))

    assert one.header("vary") == "a, b"
    assert one.header("etag") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [("Text/Event-Stream; charset=utf-8", "text/event-stream"), (" application/json ", "application/json"), ("", "")],
)
def test_the_media_type_is_without_parameters_and_in_lower_case(value: str, expected: str) -> None:
    assert exchange(headers=(("content-type", value),)).media_type == expected


@pytest.mark.parametrize(("status", "expected"), [(None, False), (199, False), (200, True), (299, True), (300, False)])
def test_only_a_2xx_status_is_ok(status: int | None, expected: bool) -> None:  # noqa: FBT001 - a column
    assert exchange(status=status).ok is expected


@given(st.lists(st.binary(max_size=20), max_size=6))
def test_any_bytes_can_be_looked_at(pieces: list[bytes]) -> None:
    one = exchange(*pieces)
    decoder, events = one.decoded

    assert one.body == b"".join(pieces)
    assert isinstance(one.text, str)
    assert len(events) <= len(one.body)
    assert decoder.overflow is False
    assert one.json is None or one.body


def test_an_event_has_the_time_of_the_frame_that_completed_it() -> None:
    _, events = exchange(b"data: a\n", b"\ndata: b\n", b"\ndata: c\n\r").decoded

    assert [(round(timed.t, 1), timed.event.data) for timed in events] == [(0.1, "a"), (0.2, "b"), (0.2, "c")]


@pytest.mark.parametrize("body", [b"\xff", b"{", b"[" * 100_000])
def test_a_request_that_is_no_json_reads_as_none(body: bytes) -> None:
    assert request(body=body).json() is None


# ---------------------------------------------------------------- the key


def told(one: Exchange) -> str:
    """Everything that the report would hold, base64 opened."""
    record = one.record("some.check")
    opened = [base64.b64decode(f["base64"]).decode("latin-1") for f in record["frames"] if "base64" in f]
    frames = "".join(f.get("text", "") for f in record["frames"])
    body = base64.b64decode(record.get("request_body_base64", "")).decode("latin-1")
    pipe = record["curl"].removeprefix("echo ").partition(" | ")[0]
    curl = base64.b64decode(pipe).decode("latin-1") if record["curl"].startswith("echo ") else ""
    return json.dumps(record, ensure_ascii=False) + frames + "".join(opened) + body + curl


@given(st.lists(st.integers(0, len(KEY) + 8), max_size=5))
def test_a_key_that_is_echoed_across_frames_is_struck_out(cuts: list[int]) -> None:
    body = b"you: " + KEY.encode() + b"..."
    places = sorted(min(cut, len(body)) for cut in cuts)
    parts = [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]

    assert KEY not in told(exchange(*parts))
    assert sum(len(f["text"]) for f in exchange(*parts).record("c")["frames"]) == len(body)


@pytest.mark.parametrize(
    "one",
    [
        exchange(b"no UTF-8 \xff " + KEY.encode()),
        exchange(b'{"key": "sk-very-secret%2Fkey%2B1%3D%3D"}'),
        exchange(headers=(("x-echo", f"<{KEY}>"),)),
        exchange(error=f"closed: {KEY}"),
        exchange(sent=request(url=f"http://127.0.0.1/v1?key={KEY}")),
        exchange(sent=request(url="http://127.0.0.1/v1?key=sk-very-secret%2Fkey%2B1%3D%3D")),
        exchange(sent=request(headers=(("Authorization", f"Bearer {KEY}"), ("X-API-Key", KEY)))),
        exchange(sent=request(headers=(("x-mine", f"a {KEY} b"), ("cookie", f"session={KEY}")))),
        exchange(sent=request(body=KEY.encode() + b"\xff")),
        exchange(sent=request(body=f'{{"user": "{KEY}"}}'.encode())),
        exchange(sent=request(body=b"x" * (64 * 1024 - 4) + KEY.encode())),
    ],
    ids=lambda one: f"{one.request.url[-12:]}-{one.request.body[:12]!r}",
)
def test_the_key_is_in_no_part_of_the_record(one: Exchange) -> None:
    text = told(one)

    assert KEY not in text
    assert "sk-very-secret%2F" not in text
    assert "sk-v" not in text


def test_a_key_with_characters_that_json_escapes_is_struck_out_too() -> None:
    key = 'quoted"and\\sl\u00e4shed'
    echoed = exchange(json.dumps({"your": key}).encode(), sent=request(key=key))

    assert key not in told(echoed)
    assert "quoted" not in told(echoed)


def test_other_secrets_in_headers_are_masked_even_when_they_are_not_the_key() -> None:
    sent = request(headers=(("authorization", "Bearer wrong-key"), ("x-api-key", "another"), ("accept", "*/*")))

    assert exchange(sent=sent).record("c")["request_headers"] == [
        ["authorization", "Bearer ***"],
        ["x-api-key", "***"],
        ["accept", "*/*"],
    ]


def test_a_key_as_short_as_a_word_is_masked_where_it_was_sent_and_leaves_the_answer_readable() -> None:
    sent = request(key="a", headers=(("authorization", "Bearer a"),), body=b'{"a": 1}')
    record = exchange(b'{"data": "banana"}', sent=sent).record("c")

    assert record["request_headers"] == [["authorization", "Bearer ***"]]
    assert record["frames"][0]["text"] == '{"data": "banana"}'
    assert "Bearer ${CHAT_API_KEY}" in record["curl"]


# ---------------------------------------------------------------- the record


def test_the_record_keeps_what_came_and_when() -> None:
    record = exchange(b"data: a\n\n", b"\xf0\x9f", headers=(("content-type", "text/event-stream"),)).record(
        "stream.done"
    )

    assert (record["id"], record["check"], record["status"], record["seconds"]) == ("x1", "stream.done", 200, 1.5)
    assert record["frames"] == [{"t": 0.0, "text": "data: a\n\n"}, {"t": 0.1, "base64": "8J8="}]
    assert record["started"] == "2023-11-14T22:13:20.000+00:00"


def test_long_bodies_are_cut_with_a_note_and_have_no_curl_line() -> None:
    record = exchange(*[b"y" * 10_000] * 30, sent=request(body=b"z" * 100_000)).record("c")

    assert len(record["request_body"]) < 70_000
    assert record["request_body"].endswith("[100000 bytes, cut]")
    assert record["frames"][-1]["text"] == "[cut: 300000 bytes in 30 frames]"
    assert record["curl"] == ""


# ---------------------------------------------------------------- curl


@pytest.fixture(scope="module")
def recorder() -> Iterator[Loopback]:
    with Loopback(lambda _: response("ok")) as server:
        yield server


def replayed(recorder: Loopback, sent: Request) -> Received:
    """What arrives when bash runs the curl line of the exchange."""
    recorder.received.clear()
    line = exchange(sent=sent).curl()
    environment = {**os.environ, "CHAT_API_KEY": sent.key or "", "HOME": "/nowhere", "no_proxy": "*"}
    run = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, check=False, timeout=30)  # noqa: S607 - the user's bash
    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith(b"ok") or sent.method == "HEAD"
    (arrived,) = recorder.received
    return arrived


@needs_curl
@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "x"}',
        b"it's \"quoted\" and 'single' and `ticks` and $HOME and $(id) and \\ and ! and \n new lines \r\n",
        "日本 🎉 e\u0301".encode(),
        b"\xff\xfe no UTF-8",
        b"nul \x00 byte",
        b"@/etc/hostname",
        b"",
        b"'" * 60_000,
        b"-x",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_bash_sends_the_same_body_again(recorder: Loopback, body: bytes) -> None:
    sent = request(url=f"{recorder.url}/v1/chat/completions", body=body)
    arrived = replayed(recorder, sent)

    assert (arrived.method, arrived.path, arrived.body) == ("POST", "/v1/chat/completions", body)


@needs_curl
@settings(max_examples=40)  # each one is a process
@given(body=st.binary(max_size=60) | st.text(max_size=40).map(lambda t: t.encode("utf-8", "surrogatepass")))
def test_bash_sends_any_body_again(recorder: Loopback, body: bytes) -> None:
    assert replayed(recorder, request(url=f"{recorder.url}/x", body=body)).body == body


@needs_curl
@pytest.mark.parametrize("key", ["sk-plain", 'with "quotes"', "with $dollar and `tick`", "back\\slash'"])
def test_bash_takes_the_key_from_the_environment(recorder: Loopback, key: str) -> None:
    headers = (("authorization", f'Bearer {key}; a="$x`"'), ("x-api-key", key), *JSON)
    sent = request(url=f"{recorder.url}/v1", key=key, headers=headers)
    arrived = replayed(recorder, sent)

    assert key not in exchange(sent=sent).curl()
    assert arrived.header("authorization") == f'Bearer {key}; a="$x`"'
    assert arrived.header("x-api-key") == key


def test_a_key_that_was_made_up_stands_in_the_line_and_a_levers_is_taken_from_its_own_variable() -> None:
    headers = (("authorization", "Bearer some-wrong-key"),)
    made_up = request(key="some-wrong-key", key_env="", headers=headers)
    lever = request(key="some-wrong-key", key_env="KEY_WITHOUT_CREDIT", headers=headers)

    assert "'authorization: Bearer some-wrong-key'" in exchange(sent=made_up).curl()
    assert '"authorization: Bearer ${KEY_WITHOUT_CREDIT}"' in exchange(sent=lever).curl()


@needs_curl
def test_bash_sends_the_headers_that_were_sent_and_no_content_type_of_its_own(recorder: Loopback) -> None:
    sent = request(url=f"{recorder.url}/v1", headers=(("x-odd", "it's $5"), ("x-empty", "")))
    arrived = replayed(recorder, sent)

    assert arrived.header("x-odd") == "it's $5"
    assert arrived.header("x-empty") == ""
    assert arrived.header("content-type") is None


@needs_curl
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_bash_uses_the_method_that_was_used(recorder: Loopback, method: str) -> None:
    assert replayed(recorder, request(url=f"{recorder.url}/v1", method=method, body=b"")).method == method


@needs_curl
def test_bash_leaves_brackets_and_spaces_of_the_url_alone(recorder: Loopback) -> None:
    assert (
        replayed(recorder, request(url=f"{recorder.url}/v1/{{a,b}}[1-3]?q=a%20b&c='d'")).path
        == "/v1/{a,b}[1-3]?q=a%20b&c='d'"
    )
