"""Who and what is let in: keys, limits, content types, bodies, methods."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dialects
from reference_server import strict_json
from reference_server.errors import ApiError
from reference_server.keys import ConfigError, Key, KeyRing
from reference_server.ratelimit import Limiter, Window, duration
from reference_server.validation import RequestSchema, without_nulls
from tests.server_process import KEY, NAMES, Server, body, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=6,
)
LIMITED = {"authorization": "Bearer sk-conformance-limited"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as started:
        yield started


@given(st.dictionaries(st.text(), values, max_size=4))
def test_every_json_object_is_read_as_the_standard_library_reads_it(value: dict[str, Any]) -> None:
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only)
        try:
            encoded = text.encode()
        except UnicodeEncodeError:
            continue  # a lone surrogate
        if not ascii_only or not _has_surrogate(value):
            assert strict_json.read_object(encoded) == value


def _has_surrogate(value: object) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in json.dumps(value, ensure_ascii=False))


def refusal(act: Callable[..., object], *arguments: object) -> ApiError | None:
    """What a call was refused with, if it was."""
    try:
        act(*arguments)
    except ApiError as error:
        return error
    return None


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_by_cause(data: bytes) -> None:
    refused = refusal(strict_json.read_object, data)

    assert refused is None or refused.cause in ("malformed_json", "not_object")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{} {}",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": 01}',
        b'{"a": 1, "a": 1}',
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": "\xff"}',
        b'{"a": "\\ud83d"}',
        b'{"a": "\\udf89\\ud83d"}',
        b'{"a": "\n"}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": 1}'.decode().encode("utf-16"),
        b'{"a":' + b"[" * 64 + b"]" * 64 + b"}",
        b"[" * 100_000,
    ],
)
def test_what_is_not_strict_json_is_malformed(data: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        strict_json.read_object(data)

    assert refused.value.cause == "malformed_json"


def test_nesting_is_allowed_to_its_limit() -> None:
    deepest = strict_json.DEEPEST - 1

    assert strict_json.read_object(b'{"a":' + b"[" * deepest + b"]" * deepest + b"}")


def test_an_escaped_pair_of_surrogates_is_one_character() -> None:
    assert strict_json.read_object(b'{"a": "\\ud83c\\udf89"}') == {"a": "\N{PARTY POPPER}"}


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_object_is_accepted_or_refused_with_a_cause_and_a_field(name: str, data: st.DataObject) -> None:
    dialect = dialects.load(name)
    fields = list(dialect.schemas["request"]["properties"])
    document = {**body(name), **data.draw(st.dictionaries(st.sampled_from(fields), values, max_size=3))}
    refused = refusal(RequestSchema(dialect).check, document)

    assert refused is None or refused.cause in ("missing_field", "wrong_type", "out_of_range")
    assert refused is None or (refused.field or "").split(".")[0].split("[")[0] in fields


@pytest.mark.parametrize(
    ("change", "cause", "field"),
    [
        ({"messages": []}, "out_of_range", "messages"),
        ({"messages": "x"}, "wrong_type", "messages"),
        ({"messages": [5]}, "wrong_type", "messages[0]"),
        ({"messages": [{"content": "x"}]}, "missing_field", "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "missing_field", "messages[0].content"),
        ({"messages": [{"role": "bogus", "content": "x"}]}, "out_of_range", "messages[0].role"),
        ({"messages": [{"role": 5, "content": "x"}]}, "wrong_type", "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "wrong_type", "messages[0].content"),
        ({"reasoning_effort": 5}, "wrong_type", "reasoning_effort"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "missing_field",
            "messages[0].content[0].text",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "missing_field", "messages[0].tool_call_id"),
        ({"temperature": True}, "wrong_type", "temperature"),
        ({"temperature": 2.1}, "out_of_range", "temperature"),
        ({"max_tokens": 1.0}, "wrong_type", "max_tokens"),
        ({"max_tokens": True}, "wrong_type", "max_tokens"),
        ({"n": 0}, "out_of_range", "n"),
        ({"stop": ["a"] * 5}, "out_of_range", "stop"),
        ({"stop": [1]}, "wrong_type", "stop[0]"),
        ({"response_format": {"type": "bogus"}}, "out_of_range", "response_format.type"),
        ({"tools": [{"type": "function", "function": {}}]}, "missing_field", "tools[0].function.name"),
    ],
)
def test_the_first_thing_wrong_is_named(change: dict[str, Any], cause: str, field: str) -> None:
    with pytest.raises(ApiError) as refused:
        RequestSchema(dialects.load("openai")).check({**body("openai"), **change})

    assert (cause, field) == (refused.value.cause, refused.value.field)
    assert refused.value.message.startswith(field)


def test_nulls_are_absent_but_not_inside_schemas() -> None:
    given_body = {
        "stop": None,
        "tools": [{"function": {"name": "f", "description": None, "parameters": {"default": None}}}],
    }

    assert without_nulls(given_body) == {"tools": [{"function": {"name": "f", "parameters": {"default": None}}}]}


def test_one_is_an_integer_only_without_a_fraction(server: Server) -> None:
    assert [server.post("openai", max_tokens=given_number).status_code for given_number in (1, 1.0)] == [200, 400]


@pytest.mark.parametrize("kind", ["", "text/plain", "application/jsonx", "multipart/form-data"])
def test_other_content_types_are_refused(server: Server, kind: str) -> None:
    for name in NAMES:
        allowed = dialects.load(name).errors.causes["wrong_content_type"].status[0]
        answer = server.client.post(
            server.chat_url(name), content=json.dumps(body(name)), headers={"content-type": kind}
        )
        assert (name, allowed) == (name, answer.status_code)


@pytest.mark.parametrize(
    "kind",
    ["application/json", "Application/JSON", "application/json;charset=UTF-8", 'application/json; charset="utf-8"'],
)
def test_json_may_be_announced_in_any_legal_way(server: Server, kind: str) -> None:
    answer = server.client.post(
        server.chat_url("openai"), content=json.dumps(body("openai")), headers={"content-type": kind}
    )

    assert answer.status_code == 200


def test_a_body_over_the_limit_is_refused(server: Server) -> None:
    answer = server.post("openai", content="x" * (11 * 1024 * 1024))

    assert answer.status_code == 413
    assert server.post("openai").status_code == 200


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
def test_the_scheme_is_read_without_regard_to_case(server: Server, scheme: str) -> None:
    answer = server.client.post(
        server.chat_url("openai"), json=body("openai"), headers={"authorization": f"{scheme} {KEY}"}
    )

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Basic eDp5", KEY, "Bearer wrong", f"Bearer {KEY}x", "Bearer sk-conformance-expired"],
)
def test_without_a_good_key_nothing_is_answered(server: Server, value: str) -> None:
    for name in NAMES:
        if dialects.load(name).auth.required:
            answer = server.client.post(server.chat_url(name), json=body(name), headers={"authorization": value})
            assert (name, 401, "Bearer") == (name, answer.status_code, answer.headers["www-authenticate"])


@pytest.mark.parametrize(("kind", "cause"), [("no-credit", "no_credit"), ("forbidden", "forbidden")])
def test_a_key_that_may_not_is_refused_as_the_dialect_says(server: Server, kind: str, cause: str) -> None:
    for name in NAMES:
        known = dialects.load(name).cause(cause)
        answer = server.client.post(
            server.chat_url(name), json=body(name), headers={"authorization": f"Bearer sk-conformance-{kind}"}
        )
        assert answer.status_code in ([known.status[0]] if known else [402, 403, 429])


def test_the_environment_gives_the_valid_key() -> None:
    with running(CHAT_API_KEY="secret-of-mine") as server:
        answers = [
            server.client.post(
                server.chat_url("openai"), json=body("openai"), headers={"authorization": f"Bearer {key}"}
            )
            for key in ("secret-of-mine", KEY)
        ]

        assert [answer.status_code for answer in answers] == [200, 401]


def test_no_key_is_ever_sent_back(server: Server) -> None:
    for key in (KEY, "sk-nobody-knows-this"):
        for path in ("openai/v1/chat/completions", "openai/v1/models", "openai/nothing"):
            answer = server.client.get(f"{server.url}/{path}", headers={"authorization": f"Bearer {key}"})
            assert key not in answer.text + str(answer.headers)


def test_a_limited_key_is_refused_after_its_share_and_told_when_to_return(server: Server) -> None:
    answers = [
        server.client.post(server.chat_url("solidrust"), json=body("solidrust"), headers=LIMITED) for _ in range(7)
    ]
    remaining = [int(answer.headers["x-ratelimit-remaining"]) for answer in answers]

    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
    assert remaining == [4, 3, 2, 1, 0, 0, 0]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 10
    assert "retry-after" not in answers[0].headers


@pytest.mark.parametrize("name", NAMES)
def test_the_documented_limit_headers_stand_on_every_answer(server: Server, name: str) -> None:
    documented = dialects.load(name).ratelimit.headers
    answers = [server.post(name), server.post(name, stream=True), server.post(name, messages=5)]

    assert all(header in answer.headers for header in documented for answer in answers)


def test_a_window_slides() -> None:
    now = [0.0]
    window = Window(2, 10.0, lambda: now[0])
    window.spend(1)
    now[0] = 6.0
    window.spend(1)

    assert (window.standing().remaining, window.standing().reset_in) == (0, 4.0)
    now[0] = 10.0
    assert window.standing().remaining == 1
    now[0] = 16.0
    assert window.standing().remaining == 2


@given(st.lists(st.floats(0, 5), max_size=40), st.integers(1, 5))
def test_no_window_lets_more_through_than_its_limit(gaps: list[float], limit: int) -> None:
    now = [0.0]
    limiter = Limiter(lambda: now[0])
    key = Key("k", "limited", requests=limit, window=10.0)
    passed = []
    for gap in gaps:
        now[0] += gap
        if limiter.take("x", key)[2] is None:
            passed.append(now[0])

    assert all(sum(1 for other in passed if at <= other < at + 10.0) <= limit for at in passed)


def _key(requests: int, window: float) -> Any:  # noqa: ANN401 - the class is imported where it is needed
    from reference_server.keys import Key

    return Key("k", "limited", requests=requests, window=window)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.012, "12ms"), (0, "0ms"), (1, "1s"), (1.5, "1.5s"), (360, "6m0s"), (61, "1m1s")]
)
def test_durations_are_written_as_documented(seconds: float, text: str) -> None:
    assert text == duration(seconds)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[key]]\nkind = 'valid'", "value"),
        ("[[key]]\nvalue = 'x'\nkind = 'bogus'", "bogus"),
        ("[[key]]\nvalue = 'x'\nrequests = 0", "requests"),
        ("[[key]]\nenv = 'NOT_SET_ANYWHERE'", "env"),
        ("nonsense", "key.toml"),
    ],
)
def test_a_bad_configuration_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "key.toml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=says):
        KeyRing.read(path, {})


def test_configured_keys_have_their_own_limits(tmp_path: Path) -> None:
    path = tmp_path / "key.toml"
    path.write_text("[[key]]\nvalue = 'one'\nkind = 'limited'\nrequests = 1\nwindow = 60\n[[key]]\nenv = 'SECOND'\n")
    with running("--config", str(path), SECOND="two") as server:
        statuses = [
            server.client.post(
                server.chat_url("openai"), json=body("openai"), headers={"authorization": f"Bearer {key}"}
            ).status_code
            for key in ("one", "one", "two", KEY)
        ]

        assert statuses == [200, 429, 200, 401]
