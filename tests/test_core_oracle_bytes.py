"""Every oracle, any bytes: no answer of a target is our own error."""

from __future__ import annotations

import inspect
import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import conformance.checks
import dialects
from conformance.judge import Judge, Oracle
from conformance.profile import Profile
from conformance.registry import CheckInfo, info, split
from conformance.wire.client import Client
from conformance.wire.exchange import Exchange, Frame, Request
from tests.court import OPENAI, Json
from tests.dialect_facts import NAMES
from tests.test_core_reply import anything, like_an_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dialects import Dialect


def functions() -> Iterator[tuple[CheckInfo, Callable[..., Any]]]:
    """Every check and oracle there is."""
    for path in sorted(Path(conformance.checks.__file__).parent.glob("test_*.py")):
        module = import_module(f"conformance.checks.{path.stem}")
        for _, function in inspect.getmembers(module, inspect.isfunction):
            mark = info(function)
            if mark is not None:
                yield mark, function


def oracles_of(dialect: Dialect) -> list[Oracle]:
    """The oracles that the rows of a dialect list, each with its argument."""
    ids = sorted({check_id for row in dialect.requirements for check_id in row.checks})
    by_name = {mark.id: (mark, function) for mark, function in functions() if mark.kind is not None}
    return [
        _filled(dialect, check_id, *by_name[split(check_id)[0]]) for check_id in ids if split(check_id)[0] in by_name
    ]


def _filled(dialect: Dialect, check_id: str, mark: CheckInfo, function: Callable[..., Any]) -> Oracle:
    known = {"dialect": dialect, "profile": Profile(), mark.per: split(check_id)[1]}
    extra = {name: known[name] for name in list(inspect.signature(function).parameters)[1:]}
    assert mark.kind is not None
    return Oracle(check_id, mark.kind, lambda view: function(view, **extra))


def test_every_check_has_its_own_id_and_a_sentence() -> None:
    marks = list(functions())

    assert len({mark.id for mark, _ in marks}) == len(marks)
    assert [mark.id for mark, function in marks if not (function.__doc__ or "").strip()] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_check_that_a_row_lists_exists(name: str) -> None:
    have = {mark.id: mark for mark, _ in functions()}
    listed = {check_id for row in dialects.load(name).requirements for check_id in row.checks}

    assert sorted(check_id for check_id in listed if split(check_id)[0] not in have) == []
    assert sorted(i for i in listed if (split(i)[1] is None) != (have[split(i)[0]].per is None)) == []


def exchange(status: int, kind: str, frames: list[bytes], body: Json, headers: list[tuple[str, str]]) -> Exchange:
    path = OPENAI.paths.chat[0]
    sent = Request(
        "POST",
        f"http://127.0.0.1{path}",
        (("authorization", "Bearer a-long-secret"),),
        json.dumps(body).encode(),
        "a-long-secret",
    )
    parts = tuple(Frame(0.01 * i, data) for i, data in enumerate(frames))
    return Exchange("x1", sent, 1_700_000_000.0, 2.0, status, (("content-type", kind), *headers), parts)


def encoded(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    return json.dumps(value).encode()


statuses = st.sampled_from((200, 200, 200, 201, 400, 401, 404, 422, 429, 500, 503))
bodies = like_an_answer("message").map(encoded) | like_an_answer("error").map(encoded) | st.binary(max_size=60)
whole = st.tuples(
    st.sampled_from(("application/json", "text/plain", "", "application/problem+json")), bodies.map(lambda b: [b])
)
events = st.lists((like_an_answer("delta").map(encoded) | st.binary(max_size=30) | st.just(b"[DONE]")).map(lambda b: b"data: " + b + b"\n\n"), max_size=5)  # fmt: skip
streamed = st.tuples(st.just("text/event-stream"), events)
asks = st.fixed_dictionaries(
    {"messages": st.just([{"role": "user", "content": "Say hi"}])},
    optional={"stream": st.booleans(), "n": st.integers(0, 3), "max_tokens": st.integers(-1, 9), "logprobs": st.booleans(),
              "stop": st.just(["x"]), "stream_options": st.just({"include_usage": True}), "top_logprobs": st.integers(0, 3),
              "model": st.text(max_size=5), "tools": st.just([{"type": "function", "function": {"name": "f"}}])},
)  # fmt: skip
odd_headers = st.lists(
    st.tuples(st.sampled_from(("retry-after", "x-ratelimit-limit-requests", "x-ratelimit-remaining", "x-request-id", "content-type")), st.text(max_size=6)),
    max_size=3,
)  # fmt: skip


def broken_oracles(name: str, seen: Exchange) -> Json:
    judge = Judge(Client.__new__(Client), dialects.load(name), ORACLES[name])
    judge._again = lambda *_: False  # type: ignore[method-assign]  # nothing is sent: findings are not confirmed here
    judge.exchanges.append(seen)
    judge.inspect()
    return {oracle: outcome.reason for oracle, outcome in judge.broken.items()}


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(status=statuses, came=whole | streamed, body=asks, headers=odd_headers)
def test_no_oracle_breaks_whatever_a_target_sends(
    name: str, status: int, came: tuple[str, list[bytes]], body: Json, headers: list[tuple[str, str]]
) -> None:
    assert broken_oracles(name, exchange(status, *came, body, headers)) == {}


def places(value: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - any JSON value
    """(holder, key) of every member, at every depth."""
    for key, member in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield value, key
        yield from places(member)


def printed(name: str) -> list[tuple[str, list[str]]]:
    """(media type, JSON texts) of every answer that a dialect prints."""
    dialect = dialects.load(name)
    found = [
        ("application/json", [text])
        for kind in ("response", "error")
        for file, text in dialect.samples(kind)
        if file.endswith("json")
    ]
    for _, text in dialect.samples("stream"):
        lines = [line.removeprefix("data:").strip() for line in text.splitlines() if line.startswith("data:")]
        found.append(("text/event-stream", [line for line in lines if line.startswith("{")]))
    return found


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(status=statuses, body=asks, data=st.data())
def test_no_oracle_breaks_on_a_printed_answer_with_one_member_replaced(
    name: str, status: int, body: Json, data: st.DataObject
) -> None:
    kind, texts = data.draw(st.sampled_from(printed(name)))
    values = [json.loads(text) for text in texts]
    holder, key = data.draw(st.sampled_from([place for value in values for place in places(value)]))
    if isinstance(holder, dict) and data.draw(st.booleans()):
        del holder[key]
    else:
        holder[key] = data.draw(anything)
    frames = [encoded(value) for value in values]
    if kind == "text/event-stream":
        frames = [b"data: " + frame + b"\n\n" for frame in [*frames, b"[DONE]"]]

    assert broken_oracles(name, exchange(status, kind, frames, body, [])) == {}


ORACLES = {name: oracles_of(dialects.load(name)) for name in NAMES}
