"""Faults to inject, each small and each at the place where a real server would go wrong.

`every` lists the checks that turn red in every dialect whose document asks for them, a dialect's name those of that one.
A check is named by its full id, by its id without argument (all of them), or, where only one rule of many fields is
broken, as id and rule: `request.rejects:range` is every `request.rejects[FIELD:range]`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeGuard

from reference_server.alterations import Catalogue
from reference_server.engine import Finish, Text, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dialects import Dialect, Requirement
    from reference_server.alterations import Alteration
    from reference_server.answers import Trail
    from reference_server.engine import Event
    from reference_server.errors import ApiError, Refusal
    from reference_server.wire import Order

__all__ = ["FAULTS", "breaks", "requirements"]

FAULTS = Catalogue()
Json = dict[str, Any]
Head = tuple[int, dict[str, str]]


KEYLESS = (
    "auth.missing-key",
    "auth.wrong-key",
    "auth.other-scheme",
    "auth.empty-bearer",
    "auth.every-path",
    "auth.streamed-request-refused",
)
CUMULATED = 100
UNREADABLE = (  # a stream of one endless event holds nothing
    "stream.framing",
    "stream.done",
    "stream.text-present",
    "stream.finish-once",
    "stream.n-choices",
    "stream.no-truncation",
    "stream.equals-plain",
    "chat.natural-finish",
    "chat.one-choice-by-default",
    "chat.stop-finish",
    "clients.openai-python-stream",
    "structured_output.streamed",
    "tools.arguments-valid",
    "tools.call-shape",
    "tools.finish",
    "tools.named-choice",
    "tools.required-choice",
    "usage.stream-on-request",
    "usage.stream-present",
)
FINISHES = (
    "stream.finish-once",
    "stream.n-choices",
    "stream.equals-plain",
    "chat.length-finish",
    "chat.natural-finish",
    "chat.stop-finish",
    "tools.finish",
)
LIMITS = ("chat.max-tokens-bounds", "chat.length-finish", "usage.within-limit", "request.token-limit-aliases")
RULES = ("range", "items", "enum", "format", "length", "pattern")


def _told(*causes: str) -> tuple[str, ...]:
    """The checks that look at how these causes are answered."""
    return tuple(f"errors.{what}[{cause}]" for what in ("status", "type", "code") for cause in causes)


# service


@FAULTS.at(
    "refusal",
    every=(
        "service.get-is-refused",
        "service.get-lists-or-refuses",
        "service.method-refused",
        "service.no-server-error",
    ),
    dria=("errors.status-documented",),
)
def get_answers_500(refusal: Refusal, error: ApiError) -> Refusal:
    """A wrong method is answered with 500."""
    return replace(refusal, status=500) if error.cause == "method_not_allowed" else refusal


@FAULTS.at("head", every=("service.json-content-type",))
def answer_as_text(head: Head, trail: Trail) -> Head:
    """Whole answers are announced as text/plain."""
    return head if trail.order.stream else (head[0], {**head[1], "content-type": "text/plain"})


@FAULTS.at("write", every=("service.strict-json[duplicates]",))
def name_stands_twice(pieces: list[bytes], _: object) -> list[bytes]:
    """Whole answers have two members with the name `id`."""
    return [
        piece.replace(b'{"id":', b'{"id":"first","id":', 1) if piece.startswith(b"{") else piece for piece in pieces
    ]


# auth


@FAULTS.at("skip", every=(*KEYLESS, "clients.openai-python", *_told("no_key", "bad_key")))
def bad_key_accepted(skipped: frozenset[str], _: object) -> frozenset[str]:
    """Any key is accepted, and none as well."""
    return skipped | {"auth"}


# request


@FAULTS.at(
    "refusal",
    every=(
        "request.malformed-json",
        "request.empty-body",
        "request.hostile-json",
        "structured_output.bad-schema",
        "service.no-server-error",
        "errors.status[malformed_json]",
    ),
    dria=("errors.status-documented",),
)
def server_error_on_malformed_json(refusal: Refusal, error: ApiError) -> Refusal:
    """A body that is not JSON is answered with 500."""
    return replace(refusal, status=500) if error.cause == "malformed_json" else refusal


@FAULTS.at(
    "skip",
    every=("request.unknown-model", "request.unknown-model-in-project", "errors.marker", *_told("unknown_model")),
)
def unknown_model_accepted(skipped: frozenset[str], _: object) -> frozenset[str]:
    """Every model id is accepted and echoed."""
    return skipped | {"unknown_model"}


@FAULTS.at(
    "skip",
    every=(
        *(f"request.rejects:{rule}" for rule in RULES),
        "errors.status[out_of_range]",
        "errors.type[out_of_range]",
    ),
    openai=("chat.field[choices]",),
)
def values_not_checked(skipped: frozenset[str], _: object) -> frozenset[str]:
    """Values outside the documented ranges, lists and forms are accepted."""
    return skipped | {"out_of_range"}


# chat


@FAULTS.at("order", every=("chat.stop-cuts", "chat.stop-finish"))
def stop_ignored(order: Order, _: object) -> Order:
    """Stop sequences are accepted and ignored."""
    return replace(order, chat=replace(order.chat, stop=()))


@FAULTS.at("order", every=LIMITS)
def limit_ignored(order: Order, _: object) -> Order:
    """Token limits are accepted and ignored."""
    return replace(order, chat=replace(order.chat, max_tokens=None))


@FAULTS.at("events", every=("chat.length-finish",))
def finish_stop_at_limit(events: list[Event], _: object) -> list[Event]:
    """An answer cut by the limit says `stop` instead of `length`."""
    return [Finish(event.choice, "stop") if _is_cut(event) else event for event in events]


@FAULTS.at("body", every=("chat.ids-unique", "service.concurrent-answers"))
def same_id_again(body: Json, _: object) -> Json:
    """Every whole answer has the same id."""
    return {**body, "id": f"{body['id'].partition('-')[0]}-1"}


@FAULTS.at("events", every=("chat.text-clean[replacement]",))
def replacement_char(events: list[Event], trail: Trail) -> list[Event]:
    """A character is lost on the way and U+FFFD stands in its place, once in every answer that is no JSON."""
    for at, event in enumerate(events):
        if isinstance(event, Text) and trail.order.chat.schema is None and event.choice not in trail.memo:
            trail.memo[event.choice] = True
            events[at] = replace(event, text=event.text[:-1] + "\N{REPLACEMENT CHARACTER}")
    return events


@FAULTS.at("body", every=("chat.n-choices",))
def one_choice_only(body: Json, _: object) -> Json:
    """`n` is accepted and one choice comes in whole answers."""
    return {**body, "choices": body["choices"][:1]}


# stream


@FAULTS.at("tail", every=("stream.done",))
def done_missing(tail: list[bytes], _: object) -> list[bytes]:
    """Streams end without [DONE]."""
    return [frame for frame in tail if b"[DONE]" not in frame]


@FAULTS.at("tail", every=("stream.done",))
def event_after_done(tail: list[bytes], _: object) -> list[bytes]:
    """[DONE] comes, and then once more."""
    return [*tail, *tail]


@FAULTS.at("chunks", every=FINISHES, dos_ai=("usage.stream-with-finish",))
def finish_reason_missing(chunks: list[Json], _: object) -> list[Json]:
    """No chunk says why the answer ended."""
    return [{**chunk, "choices": [_unfinished(choice) for choice in chunk["choices"]]} for chunk in chunks]


@FAULTS.at("chunks", every=("stream.id-constant",))
def id_changes_in_stream(chunks: list[Json], trail: Trail) -> list[Json]:
    """Every chunk has an id of its own."""
    for chunk in chunks:
        if "id" in chunk:
            trail.memo["chunks"] = trail.memo.get("chunks", 0) + 1
            chunk["id"] = f"{chunk['id']}-{trail.memo['chunks']}"
    return chunks


@FAULTS.at(
    "chunks",
    every=("stream.incremental", "stream.equals-plain", "logprobs.streamed"),
    dos_ai=("usage.completion-counted",),
    aqueduct=("usage.completion-counted",),
)
def cumulative_deltas(chunks: list[Json], trail: Trail) -> list[Json]:
    """Deltas repeat all of the text so far; the first hundred do, in answers that are no JSON."""
    for choice in _speaking(chunks, trail):
        said = trail.memo.setdefault(choice.get("index", 0), [])
        if len(said) < CUMULATED:
            said.append(choice["delta"]["content"])
            choice["delta"]["content"] = "".join(said)
    return chunks


@FAULTS.at("chunks", every=("stream.equals-plain",))
def first_text_lost(chunks: list[Json], trail: Trail) -> list[Json]:
    """The first piece of a text that is no JSON never arrives."""
    for choice in _speaking(chunks, trail):
        if choice.get("index", 0) not in trail.memo:
            trail.memo[choice.get("index", 0)] = choice["delta"]["content"] = ""
    return chunks


@FAULTS.at("chunks", every=("stream.n-choices", "stream.finish-once", "stream.role-once"))
def index_always_zero(chunks: list[Json], _: object) -> list[Json]:
    """Chunks of every choice say that they are of the first."""
    return [{**chunk, "choices": [_first(choice) for choice in chunk["choices"]]} for chunk in chunks]


@FAULTS.at("chunks", every=("stream.role-first",))
def role_missing(chunks: list[Json], _: object) -> list[Json]:
    """No delta has a role."""
    for choice in (choice for chunk in chunks for choice in chunk["choices"]):
        choice["delta"].pop("role", None)
    return chunks


@FAULTS.at("head", every=("stream.content-type",))
def content_type_json_on_stream(head: Head, trail: Trail) -> Head:
    """Streams are announced as application/json."""
    return (head[0], {**head[1], "content-type": "application/json"}) if trail.order.stream else head


@FAULTS.at("frame", every=UNREADABLE)
def no_blank_lines(frame: bytes, _: object) -> bytes:
    """Events are not separated by blank lines."""
    return frame.replace(b"\n\n", b"\n")


# usage


@FAULTS.at("document", every=("usage.sum", "usage.stream-sum", "clients.openai-python"))
def usage_sum_wrong(document: Json, _: object) -> Json:
    """The total is one more than the sum of its parts."""
    if document.get("usage"):
        document["usage"]["total_tokens"] += 1
    return document


@FAULTS.at("body", every=("usage.prompt-positive", "usage.grows-with-prompt", "usage.stream-equals-plain"))
def prompt_not_counted(body: Json, _: object) -> Json:
    """The prompt is counted as no tokens in whole answers."""
    return {**body, "usage": {**body["usage"], "prompt_tokens": 0, "total_tokens": body["usage"]["completion_tokens"]}}


@FAULTS.at("chunks", every=("usage.stream-once",), openai=("usage.stream-null-before", "usage.stream-own-chunk"))
def usage_twice(chunks: list[Json], _: object) -> list[Json]:
    """The chunk with usage comes twice."""
    return [copy for chunk in chunks for copy in ([chunk, {**chunk, "choices": []}] if chunk.get("usage") else [chunk])]


# errors


@FAULTS.at("refusal", every=("errors.field[error]", "errors.type", "errors.code", "errors.marker"))
def error_envelope_detail(refusal: Refusal, error: ApiError) -> Refusal:
    """Refusals come as {"detail": ...}."""
    return replace(refusal, body={"detail": error.message}, text=False)


@FAULTS.at("refusal", every=("errors.message-useful",))
def trace_in_message(refusal: Refusal, error: ApiError) -> Refusal:
    """Messages of refusals show the server's inside."""
    says = f'Traceback (most recent call last): File "/srv/app/main.py", line 1: {error.message}'
    return replace(refusal, body=_with_message(refusal.body, says))


@FAULTS.at("refusal", every=("errors.param-names-field",))
def param_names_another_field(refusal: Refusal, _: object) -> Refusal:
    """Where a refusal names a field it names the wrong one."""
    if (
        not isinstance(refusal.body, dict)
        or not isinstance(refusal.body["error"], dict)
        or not refusal.body["error"].get("param")
    ):
        return refusal
    return replace(refusal, body={"error": {**refusal.body["error"], "param": "service_tier"}})


@FAULTS.at("refusal", every=("limits.retry-after",))
def retry_after_missing(refusal: Refusal, _: object) -> Refusal:
    """No refusal says when to come back."""
    return replace(refusal, headers={k: v for k, v in refusal.headers.items() if k != "retry-after"})


# tools


@FAULTS.at("events", every=("tools.finish",))
def calls_finish_with_stop(events: list[Event], _: object) -> list[Event]:
    """An answer that calls tools says `stop`."""
    return [Finish(e.choice, "stop") if isinstance(e, Finish) and e.reason == "tool_calls" else e for e in events]


@FAULTS.at("events", every=("tools.ids-unique",))
def calls_share_an_id(events: list[Event], _: object) -> list[Event]:
    """All tool calls have one id."""
    return [replace(e, id="call_1") if isinstance(e, ToolCall) and e.id is not None else e for e in events]


def requirements(fault: Alteration, dialect: Dialect) -> Iterator[Requirement]:
    """The rows of a dialect that this fault turns red: those that list a check which it breaks."""
    broken = fault.broken(dialect.id)
    for row in dialect.requirements:
        if any(breaks(name, check) for name in broken for check in row.checks):
            yield row


def breaks(name: str, check: str) -> bool:
    """Whether a declared name means this check, which stands in a row with its argument."""
    base, _, argument = check.removesuffix("]").partition("[")
    rule = argument.partition(":")[2]
    return name in (check, base, f"{base}[{argument.partition('=')[0]}]") or (bool(rule) and name == f"{base}:{rule}")


def _is_cut(event: Event) -> TypeGuard[Finish]:
    return isinstance(event, Finish) and event.reason == "length"


def _speaking(chunks: list[Json], trail: Trail) -> list[Json]:
    """The choices that say something, in answers that are no JSON."""
    choices = [choice for chunk in chunks for choice in chunk["choices"] if choice["delta"].get("content")]
    return choices if trail.order.chat.schema is None else []


def _first(choice: Json) -> Json:
    return {**choice, "index": 0} if "index" in choice else choice


def _unfinished(choice: Json) -> Json:
    return {**choice, "finish_reason": None} if "finish_reason" in choice else choice


def _with_message(body: Any, message: str) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(body, str):
        return message
    inner = body["error"]
    return {**body, "error": {**inner, "message": message} if isinstance(inner, dict) else message}
