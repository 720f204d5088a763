"""The later chapters' checks: each passes what is documented, sees its faults, and leaves legal variations alone."""

from __future__ import annotations

import importlib
import inspect
import json
import shutil
import subprocess
import time
import tomllib
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, settings

import dialects
from conformance import profile as profiles
from conformance.chat import Chat
from conformance.explore import Explorer
from conformance.profile import Profile
from conformance.registry import info
from conformance.reply import read
from conformance.target import Target
from conformance.verdict import Conclusion, Inconclusive, Mismatch, NotApplicable, Untested
from conformance.wire.client import Client, Timeouts
from tests.json_mutants import mutant
from tests.later_faults import (
    FAULTS,
    HONEST,
    calls,
    choice_is,
    header,
    keeps,
    listing,
    overrides,
    pieces,
    refusing,
    saying,
    scored,
    session,
    streaming,
    text,
    varying,
)
from tests.plain_service import MODEL, Alter, Service, error, model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = dict[str, Any]
CHAPTERS = ("tools", "structured_output", "vision", "sessions", "limits", "logprobs", "sampling", "models", "clients")
MODULES = [importlib.import_module(f"conformance.checks.test_{chapter}") for chapter in CHAPTERS]
FUNCTIONS: dict[str, Callable[..., None]] = {
    mark.id: function
    for module in MODULES
    for function in vars(module).values()
    if inspect.isfunction(function) and (mark := info(function)) is not None
}
MUTANTS = 6
OFFER = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("get_weather", "get_time")]
CALLED: Json = {"tools": OFFER, "tool_choice": "required"}
ASKED: dict[str, Json] = {
    "structured_output.kept": {"response_format": {"type": "json_object"}, "n": 2},
    "logprobs.asked": {"logprobs": True, "top_logprobs": 1},
}
LEVERS = ("no_credit", "limited", "forbidden")
ROOT = Path(__file__).parents[1]
PROFILE = Profile(
    keys={lever: f"LATER_{lever.upper()}_KEY" for lever in LEVERS},
    models={"vision": MODEL, "text_only": "text-only", "unavailable": "unavailable", "slow": "slow"},
    limits={"requests_per_minute": 3},
)
ADAPTIVE = ("sessions.", "tools.override-shape")
TEXT_DIALECT = {"limits.timeout": "dria", "limits.retry-after": "dos_ai"}


settings.register_profile(
    "later",
    settings.get_profile("tests"),
    max_examples=5,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],  # as in a run that judges
)


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The levers' keys, and few examples a check, as in a run at full depth."""
    for lever in LEVERS:
        monkeypatch.setenv(f"LATER_{lever.upper()}_KEY", f"{lever}-key")
    settings.load_profile("later")
    yield
    settings.load_profile("tests")


@pytest.fixture(autouse=True, scope="module")
def _closed_client() -> Iterator[None]:
    yield
    client().close()


@cache
def client() -> Client:
    """One client for all tests: to make one costs more than to judge with it."""
    return Client(Timeouts(5, 10, 20))


def talking_to(service: Service, dialect: str, profile: Profile = PROFILE) -> Chat:
    target = Target(service.url, MODEL, "the-valid-key")
    return Chat(client(), target, dialects.load(dialect), profile, {})


def judge(check_id: str, alter: Alter, *, profile: Profile = PROFILE, examples: int = 4) -> None:
    """Run a check against a service that was altered; raises what the check concludes."""
    name, _, argument = check_id.partition("[")
    dialect = "adaptive" if name.startswith(ADAPTIVE) else TEXT_DIALECT.get(name, "openai")
    with Service(alter) as service:
        chat = talking_to(service, dialect, profile)
        function = FUNCTIONS[name]
        wanted = inspect.signature(function).parameters
        if "reply" in wanted:  # an oracle: it looks at what comes when that is asked for, whole and streamed
            more = {"dialect": chat.dialect} if "dialect" in wanted else {}
            for stream in (False, True):
                function(read(chat.post(chat.body(**ASKED.get(name, CALLED), stream=stream))), **more)
            return
        given = {"chat": chat, "explore": Explorer(1, examples), "path": argument.removesuffix("]")}
        function(**{name: given[name] for name in wanted})


def _usage_at_the_end(_: Json, chunks: list[Json]) -> list[Json]:
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
    return [*chunks, {**chunks[-1], "choices": [], "usage": usage}]


ALSO_HONEST = {
    "tools.override-shape": Alter(refuse=overrides),
    "clients.openai-python-stream": Alter(refuse=keeps, chunks=_usage_at_the_end),
}
LEGAL: dict[str, dict[str, Alter]] = {
    "tools.named-choice": {
        "content is empty, not null": saying(lambda m, _: "tool_calls" in m and m.update(content=""))
    },
    "tools.finish": {
        "stop after a named call": saying(
            lambda _, choice: choice.update(finish_reason="stop"),
            lambda asked: isinstance(asked.get("tool_choice"), dict),
        ),
    },
    "tools.required-choice": {"more members": saying(calls(lambda call: call.update(index=0, extra={"a": 1})))},
    "tools.auto-no-crash": {
        "text instead of a call": saying(text("It is sunny"), lambda a: a.get("tool_choice") != "x")
    },
    "tools.stream-deltas": {
        "the type in every piece": streaming(pieces(lambda _, piece: piece.update(type="function"))),
        "null where nothing is said": streaming(
            pieces(
                lambda n, piece: piece.update(id=None, type=None) if n % 2 else piece["function"].update(arguments=None)
            )
        ),
    },
    "tools.no-leak": {
        "a weak model's imitation": saying(text("I would say <tool_call> or so"), choice_is("none")),
        "JSON that is no call": saying(text('{"name": "Paris"}'), choice_is("none")),
    },
    "tools.override-shape": {
        "an unknown id is refused": refusing(404, lambda asked: asked.get("tools")),
    },
    "structured_output.json-schema": {
        "white space": saying(
            lambda m, _: m.update(content="\n" + json.dumps(json.loads(m["content"]), indent=2) + "\n")
        ),
    },
    "structured_output.bad-schema": {"all are refused": refusing(400, lambda asked: "response_format" in asked)},
    "structured_output.bounded": {
        "much white space": saying(lambda m, _: m.update(content=m["content"].replace(": ", ":" + " " * 20))),
    },
    "vision.image-accepted": {"no usage": session(lambda _, body: body.pop("usage"))},
    "sessions.echo": {"capital letters": session(lambda _, body: body.update(session_id=body["session_id"].upper()))},
    "sessions.metadata-alias": {"a conflict is refused": refusing(400, lambda a: "labels" in a and "metadata" in a)},
    "sessions.ttft-budget": {"too late": refusing(504, lambda asked: asked.get("max_ttft_ms") in (0, 1))},
    "limits.retry-after": {
        "a date": header("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"),
        "zero": header("retry-after", "0"),
    },
    "limits.headers": {"durations": header("x-ratelimit-reset-tokens", "12ms")},
    "logprobs.present": {
        "no bytes": scored(lambda token: token.update(bytes=None)),
        "a token for the end": saying(
            lambda _, c: (
                c["logprobs"] and c["logprobs"]["content"].append({"token": "<end>", "logprob": -0.1, "bytes": []})
            )
        ),
    },
    "logprobs.values": {
        "a token of half a character": scored(lambda token: token.update({"token": "\\xf0", "bytes": [240]})),
        "certainty": scored(lambda token: token.update(logprob=0, top_logprobs=[])),
    },
    "logprobs.absent-unasked": {"no key at all": saying(lambda _, choice: choice.pop("logprobs"))},
    "models.list": {"more members": listing({**model(MODEL), "permission": [], "root": MODEL, "parent": None})},
}
OPEN: dict[str, dict[str, tuple[type[Exception], Alter]]] = {
    "tools.named-choice": {
        "tools are refused": (Inconclusive, refusing(400, lambda asked: "tools" in asked)),
        "cut before the call": (Inconclusive, saying(text("Let me see", finish="length"))),
    },
    "tools.arguments-valid": {
        "cut within the call": (Inconclusive, saying(lambda _, choice: choice.update(finish_reason="length"))),
    },
    "tools.call-shape": {"no call comes": (Inconclusive, saying(text("It is sunny")))},
    "tools.finish": {"no call comes": (Inconclusive, saying(text("It is sunny")))},
    "tools.stream-deltas": {"no call comes": (Inconclusive, saying(text("It is sunny")))},
    "tools.ids-unique": {
        "one call only": (Inconclusive, saying(lambda m, _: m.get("tool_calls", [])[1:] and m["tool_calls"].pop()))
    },
    "structured_output.json-schema": {
        "refused": (Inconclusive, refusing(400, lambda asked: "response_format" in asked)),
        "cut": (Inconclusive, saying(text('{"name": "At', finish="length"))),
    },
    "logprobs.present": {"refused": (Inconclusive, refusing(400, lambda asked: "logprobs" in asked))},
    "sampling.seed-repeats": {
        "another backend each time": (Inconclusive, varying(finger=True)),
        "nothing ever repeats": (Inconclusive, varying()),
    },
    "limits.remaining-decreases": {
        "flat within the window": (Inconclusive, header("x-ratelimit-remaining-requests", "30"))
    },
    "limits.rate-limited": {"the key is unknown": (Inconclusive, refusing(401))},
    "limits.window": {"the key is unknown": (Inconclusive, refusing(401))},
    "limits.timeout": {"quick enough": (Untested, Alter())},
    "clients.openai-python": {"rate limited": (Inconclusive, refusing(429))},
}


def cases(table: dict[str, dict[str, Any]]) -> list[Any]:
    return [
        pytest.param(check, case, id=f"{check}: {name}") for check, rows in table.items() for name, case in rows.items()
    ]


@pytest.mark.parametrize("check_id", sorted({*FUNCTIONS, *FAULTS} - {"models.field", "clients.openai-node"}))
def test_a_service_as_documented_passes(check_id: str) -> None:
    judge(check_id, ALSO_HONEST.get(check_id, HONEST))


@pytest.mark.parametrize(("check_id", "alter"), cases(FAULTS))
def test_a_fault_is_seen(check_id: str, alter: Alter) -> None:
    with pytest.raises(Mismatch) as found:
        judge(check_id, alter)

    assert found.value.expected
    assert found.value.observed
    assert found.value.exchange is not None or check_id.startswith("clients.")


@pytest.mark.parametrize(("check_id", "alter"), cases(LEGAL))
def test_a_legal_variation_is_left_alone(check_id: str, alter: Alter) -> None:
    judge(check_id, alter)


@pytest.mark.parametrize(("check_id", "case"), cases(OPEN))
def test_what_shows_nothing_stays_open(check_id: str, case: tuple[type[Exception], Alter]) -> None:
    with pytest.raises(case[0]):
        judge(check_id, case[1])


def test_every_check_has_a_fault_that_it_sees() -> None:
    assert {*FUNCTIONS} - {"clients.openai-node"} == {check_id.partition("[")[0] for check_id in FAULTS}


@pytest.mark.parametrize("check_id", sorted({*FUNCTIONS} - {"models.field", "clients.openai-node"}))
def test_a_check_concludes_whatever_comes(check_id: str) -> None:
    chance = Random(check_id)  # noqa: S311 - the same mutants every time
    alter = replace(
        HONEST,
        whole=lambda asked, body: body if asked.get("stream") else mutant(body, chance),
        chunks=lambda _, chunks: mutant(chunks, chance),
        models=mutant(HONEST.models, chance),
    )

    for _ in range(MUTANTS):
        with suppress(Mismatch, Conclusion):
            judge(check_id, alter, examples=1)


@pytest.mark.parametrize(
    "check_id",
    [
        "limits.rate-limited",
        "limits.window",
        "limits.no-credit",
        "limits.forbidden",
        "limits.unavailable",
        "vision.text-model-refuses",
    ],
)
def test_a_missing_lever_is_untested(check_id: str) -> None:
    with pytest.raises(Untested, match="name it"):
        judge(check_id, HONEST, profile=Profile())


@pytest.mark.parametrize("check_id", ["tools.named-choice", "structured_output.json-object", "vision.bad-image"])
def test_a_capability_that_the_profile_denies_is_not_applicable(check_id: str) -> None:
    lacks = frozenset({"tools", "structured_output", "vision"})

    with pytest.raises(NotApplicable):
        judge(check_id, HONEST, profile=Profile(lacks=lacks))


@pytest.mark.parametrize(("named", "passes"), [("another-model", True), (MODEL, False)])
def test_a_model_unknown_by_chance_may_have_its_documented_status(named: str, passes: bool) -> None:  # noqa: FBT001
    with Service(refusing(503)) as service:
        chat = talking_to(service, "dria")
        exchange = chat.post(chat.body(model=named), undefined=True)
        with nullcontext() if passes else pytest.raises(Mismatch):
            chat.survived(exchange)


def test_the_burst_is_bounded_by_the_advertised_limit() -> None:
    alter = Alter()

    with Service(alter) as service:
        with pytest.raises(Mismatch):
            FUNCTIONS["limits.rate-limited"](talking_to(service, "openai"))

        assert len(service.asked) == 5


def test_a_wait_of_five_thousand_digits_is_a_whole_number() -> None:
    endless = Alter(refuse=keeps, headers=lambda _: {"retry-after": "9" * 5000})

    judge("limits.retry-after-seconds", endless)
    judge("limits.window", endless)


def test_counts_of_five_thousand_digits_are_judged() -> None:
    with pytest.raises(Mismatch, match="of at most 60"):
        judge("limits.headers", header("x-ratelimit-remaining-tokens", "9" * 5000))


def test_a_limited_key_that_is_the_run_s_own_shows_nothing_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATER_LIMITED_KEY", "the-valid-key")

    with pytest.raises(Untested, match="own key"):
        judge("limits.window", HONEST)


class Turnstile:
    """Refuses the limited key after three requests for a second, or for good."""

    def __init__(self, *, opens: bool) -> None:
        self.opens, self.passed, self.shut = opens, 0, 0.0

    def __call__(self, _asked: Json, key: str, _number: int) -> tuple[int, Any] | None:
        if key != "limited-key":
            return None
        if self.passed >= 3 and self.opens and time.monotonic() - self.shut > 1:
            self.passed = 0
        if self.passed < 3:
            self.passed, self.shut = self.passed + 1, time.monotonic()
            return None
        return 429, error("slow down")


def _patiently(*, opens: bool) -> None:
    with Service(Alter(refuse=Turnstile(opens=opens), headers=lambda _: {"retry-after": "1"})) as service:
        FUNCTIONS["limits.window"](talking_to(service, "openai"), Explorer(1, 60, patience=5))


def test_a_window_that_opens_in_time_passes_where_the_run_may_wait() -> None:
    _patiently(opens=True)


def test_a_window_that_never_opens_is_seen_where_the_run_may_wait() -> None:
    with pytest.raises(Mismatch, match="time of Retry-After is over"):
        _patiently(opens=False)


def test_a_failing_client_never_shows_the_key() -> None:
    alter = Alter(refuse=lambda _asked, key, _number: (500, error(f"bad {key}")))

    with pytest.raises(Mismatch) as found:
        judge("clients.openai-python", alter)

    assert "the-valid-key" not in str(found.value)
    assert "***" in found.value.observed


def test_node_without_the_client_is_untested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NODE_PATH", raising=False)

    with pytest.raises(Untested, match="NODE_PATH"):
        judge("clients.openai-node", HONEST)


def _node_client() -> bool:
    node = shutil.which("node")
    return (
        node is not None
        and not subprocess.run([node, "-e", "require.resolve('openai')"], capture_output=True, check=False).returncode
    )


@pytest.mark.skipif(not _node_client(), reason="needs node and the npm package openai on NODE_PATH")
def test_the_node_client_is_judged_where_it_is() -> None:
    judge("clients.openai-node", HONEST)
    with pytest.raises(Mismatch):
        judge("clients.openai-node", saying(text("")))
    with pytest.raises(Mismatch):
        judge("clients.openai-node", refusing(400))


def test_the_python_client_reads_every_documented_base() -> None:
    with Service(Alter(refuse=keeps)) as service:
        FUNCTIONS["clients.openai-python-stream"](talking_to(service, "aqueduct"))

        streamed = [asked for asked in service.asked if asked.get("stream")]
    assert len(streamed) == len(dialects.load("aqueduct").paths.sdk_base) == 2


@pytest.mark.parametrize("name", dialects.known())
def test_every_listed_check_of_these_chapters_exists(name: str) -> None:
    listed = {check for row in dialects.load(name).requirements for check in row.checks}
    own = {check.partition("[")[0] for check in listed if check.partition(".")[0] in CHAPTERS}

    assert own <= set(FUNCTIONS)


@pytest.mark.parametrize("name", dialects.known())
def test_the_example_profile_of_a_dialect_can_be_used(name: str) -> None:
    path = ROOT / "docs" / "profiles" / f"{name}.toml"

    profile = profiles.load(str(path))

    assert profile.models["chat"] == dialects.load(name).models.example
    assert set(profile.keys) == set(tomllib.loads(path.read_text(encoding="utf-8"))["keys"])
