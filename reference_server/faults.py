"""Faults to inject, each small and each at the place where a real server would go wrong.

`every` lists the checks that turn red in every dialect whose document asks for them, a dialect's name those of that one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeGuard

from reference_server.alterations import Catalogue
from reference_server.engine import Finish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dialects import Dialect, Requirement
    from reference_server.alterations import Alteration
    from reference_server.answers import Trail
    from reference_server.engine import Event
    from reference_server.errors import ApiError, Refusal
    from reference_server.wire import Order

__all__ = ["FAULTS", "requirements"]

FAULTS = Catalogue()
Json = dict[str, Any]
Head = tuple[int, dict[str, str]]


# service


@FAULTS.at("refusal", every=("service.get-is-refused", "service.no-server-error"))
def get_answers_500(refusal: Refusal, error: ApiError) -> Refusal:
    """A wrong method is answered with 500."""
    return replace(refusal, status=500) if error.cause == "method_not_allowed" else refusal


@FAULTS.at("head", every=("service.json-content-type",))
def answer_as_text(head: Head, trail: Trail) -> Head:
    """Whole answers are announced as text/plain."""
    return head if trail.order.stream else (head[0], {**head[1], "content-type": "text/plain"})


@FAULTS.at("write", every=("service.strict-json",))
def garbage_after_json(pieces: list[bytes], _: object) -> list[bytes]:
    """A NUL byte follows every whole answer."""
    return [piece if piece.endswith(b"\n\n") else piece + b"\x00" for piece in pieces]


# auth


@FAULTS.at(
    "skip", every=("auth.wrong-key", "auth.missing-key", "auth.other-scheme", "auth.empty-bearer", "auth.every-path")
)
def bad_key_accepted(skipped: frozenset[str], _: object) -> frozenset[str]:
    """Any key is accepted, and none as well."""
    return skipped | {"auth"}


# request


@FAULTS.at("refusal", every=("request.malformed-json", "service.no-server-error"))
def server_error_on_malformed_json(refusal: Refusal, error: ApiError) -> Refusal:
    """A body that is not JSON is answered with 500."""
    return replace(refusal, status=500) if error.cause == "malformed_json" else refusal


@FAULTS.at("skip", every=("request.unknown-model",))
def unknown_model_accepted(skipped: frozenset[str], _: object) -> frozenset[str]:
    """Every model id is accepted and echoed."""
    return skipped | {"unknown_model"}


@FAULTS.at("skip", every=("request.rejects",))
def range_not_checked(skipped: frozenset[str], _: object) -> frozenset[str]:
    """Values outside the documented ranges are accepted."""
    return skipped | {"out_of_range"}


# chat


@FAULTS.at("order", every=("chat.stop-cuts",))
def stop_ignored(order: Order, _: object) -> Order:
    """Stop sequences are accepted and ignored."""
    return replace(order, chat=replace(order.chat, stop=()))


@FAULTS.at("order", every=("chat.max-tokens-bounds", "usage.within-limit", "chat.length-finish"))
def limit_ignored(order: Order, _: object) -> Order:
    """Token limits are accepted and ignored."""
    return replace(order, chat=replace(order.chat, max_tokens=None))


@FAULTS.at("events", every=("chat.length-finish",))
def finish_stop_at_limit(events: list[Event], _: object) -> list[Event]:
    """An answer cut by the limit says `stop` instead of `length`."""
    return [Finish(event.choice, "stop") if _is_cut(event) else event for event in events]


@FAULTS.at("body", every=("chat.ids-unique",))
def same_id_again(body: Json, _: object) -> Json:
    """Every answer has the same id."""
    return {**body, "id": "chatcmpl-1"}


@FAULTS.at("document", every=("chat.text-clean",))
def replacement_char(document: Json, _: object) -> Json:
    """A character is lost on the way and U+FFFD stands in its place."""
    return {**document, "choices": [_damaged(choice) for choice in document["choices"]]}


@FAULTS.at("body", every=("chat.n-choices",))
def one_choice_only(body: Json, _: object) -> Json:
    """`n` is accepted and one choice comes."""
    return {**body, "choices": body["choices"][:1]}


# stream


@FAULTS.at("tail", every=("stream.done", "stream.no-truncation"))
def done_missing(tail: list[bytes], _: object) -> list[bytes]:
    """Streams end without [DONE]."""
    return [frame for frame in tail if b"[DONE]" not in frame]


@FAULTS.at("tail", every=("stream.done",))
def event_after_done(tail: list[bytes], _: object) -> list[bytes]:
    """One more event follows [DONE]."""
    return [*tail, b'data: {"choices":[]}\n\n']


@FAULTS.at("chunks", every=("stream.finish-once",))
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


@FAULTS.at("chunks", every=("stream.incremental", "stream.equals-plain"))
def cumulative_deltas(chunks: list[Json], trail: Trail) -> list[Json]:
    """Every delta repeats all of the text so far."""
    for choice in (choice for chunk in chunks for choice in chunk["choices"] if choice["delta"].get("content")):
        said = trail.memo.get(choice.get("index", 0), "") + choice["delta"]["content"]
        trail.memo[choice.get("index", 0)] = choice["delta"]["content"] = said
    return chunks


@FAULTS.at("chunks", every=("stream.equals-plain", "stream.text-present"))
def first_text_lost(chunks: list[Json], trail: Trail) -> list[Json]:
    """The first piece of text never arrives."""
    for choice in (choice for chunk in chunks for choice in chunk["choices"] if choice["delta"].get("content")):
        if choice.get("index", 0) not in trail.memo:
            trail.memo[choice.get("index", 0)] = choice["delta"]["content"] = ""
    return chunks


@FAULTS.at("head", every=("stream.content-type",))
def content_type_json_on_stream(head: Head, trail: Trail) -> Head:
    """Streams are announced as application/json."""
    return (head[0], {**head[1], "content-type": "application/json"}) if trail.order.stream else head


@FAULTS.at("frame", every=("stream.framing",))
def no_blank_lines(frame: bytes, _: object) -> bytes:
    """Events are not separated by blank lines."""
    return frame.replace(b"\n\n", b"\n")


# usage


@FAULTS.at("document", every=("usage.sum", "usage.stream-sum"))
def usage_sum_wrong(document: Json, _: object) -> Json:
    """The total is one more than the sum of its parts."""
    if document.get("usage"):
        document["usage"]["total_tokens"] += 1
    return document


@FAULTS.at("body", every=("usage.prompt-positive", "usage.grows-with-prompt", "usage.sum"))
def prompt_not_counted(body: Json, _: object) -> Json:
    """The prompt is counted as no tokens in whole answers."""
    body["usage"]["prompt_tokens"] = 0
    return body


@FAULTS.at("chunks", every=("usage.stream-once",))
def usage_on_every_chunk(chunks: list[Json], trail: Trail) -> list[Json]:
    """A stream that has usage has it on every chunk."""
    told = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return [{**chunk, "usage": chunk.get("usage") or told} if trail.order.include_usage else chunk for chunk in chunks]


# errors


@FAULTS.at("refusal", every=("errors.field",))
def error_envelope_detail(refusal: Refusal, error: ApiError) -> Refusal:
    """Refusals come as {"detail": ...}."""
    return replace(refusal, body={"detail": error.message}, text=False)


@FAULTS.at("refusal", every=("errors.message-useful",))
def trace_in_message(refusal: Refusal, error: ApiError) -> Refusal:
    """Messages of refusals show the server's inside."""
    error.message = f'Traceback (most recent call last): File "/srv/app/main.py", line 1: {error.message}'
    return replace(refusal, body=_with_message(refusal.body, error.message))


@FAULTS.at("refusal", every=("limits.retry-after",))
def retry_after_missing(refusal: Refusal, _: object) -> Refusal:
    """No refusal says when to come back."""
    return replace(refusal, headers={k: v for k, v in refusal.headers.items() if k != "retry-after"})


def requirements(fault: Alteration, dialect: Dialect) -> Iterator[Requirement]:
    """The rows of a dialect that this fault turns red: those that list a broken check, with any argument if it names none."""
    broken = fault.broken(dialect.id)
    for row in dialect.requirements:
        if any(check in broken or check.partition("[")[0] in broken for check in row.checks):
            yield row


def _is_cut(event: Event) -> TypeGuard[Finish]:
    return isinstance(event, Finish) and event.reason == "length"


def _damaged(choice: Json) -> Json:
    place = "delta" if "delta" in choice else "message"
    said = choice[place]
    return (
        {**choice, place: {**said, "content": said["content"] + "\N{REPLACEMENT CHARACTER}"}}
        if said.get("content")
        else choice
    )


def _unfinished(choice: Json) -> Json:
    return {**choice, "finish_reason": None} if "finish_reason" in choice else choice


def _with_message(body: Any, message: str) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(body, str):
        return message
    inner = body["error"]
    return {**body, "error": {**inner, "message": message} if isinstance(inner, dict) else message}
