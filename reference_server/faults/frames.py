"""Faults of the bytes of streams: their head, their events, their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference_server.faults.catalogue import FAULTS
from reference_server.faults.groups import NO_STREAM, UNREADABLE

if TYPE_CHECKING:
    from reference_server.answers import Trail

Head = tuple[int, dict[str, str]]


@FAULTS.at("tail", every=("stream.done",))
def done_missing(tail: list[bytes], _: object) -> list[bytes]:
    """Streams end without [DONE]."""
    return [frame for frame in tail if b"[DONE]" not in frame]


@FAULTS.at("tail", every=("stream.done",))
def event_after_done(tail: list[bytes], _: object) -> list[bytes]:
    """[DONE] comes, and then once more."""
    return [*tail, *tail]


@FAULTS.at("head", every=(*NO_STREAM, "service.strict-json[syntax]"))
def content_type_json_on_stream(head: Head, trail: Trail) -> Head:
    """Streams are announced as application/json."""
    return (head[0], {**head[1], "content-type": "application/json"}) if trail.order.stream else head


@FAULTS.at("frame", every=UNREADABLE)
def no_blank_lines(frame: bytes, _: object) -> bytes:
    """Events are not separated by blank lines."""
    return frame.replace(b"\n\n", b"\n")


@FAULTS.at("head", every=(*NO_STREAM,))
def stream_as_text(head: Head, trail: Trail) -> Head:
    """Streams are announced as text/plain."""
    return (head[0], {**head[1], "content-type": "text/plain"}) if trail.order.stream else head


@FAULTS.at("head", every=(*NO_STREAM,))
def stream_of_no_type(head: Head, trail: Trail) -> Head:
    """Streams are announced without a media type."""
    return (head[0], {k: v for k, v in head[1].items() if k != "content-type"}) if trail.order.stream else head


@FAULTS.at(
    "tail",
    every=(
        "clients.openai-python-stream",
        "service.strict-json[syntax]",
        "stream.done",
        "stream.json-chunks",
        "usage.stream-null-before",
        "usage.stream-own-chunk",
    ),
)
def done_in_lower_case(tail: list[bytes], _: object) -> list[bytes]:
    """The end of a stream is [done]."""
    return [frame.lower() for frame in tail]


@FAULTS.at(
    "tail",
    every=(
        "clients.openai-python-stream",
        "stream.done",
        "stream.json-chunks",
        "usage.stream-null-before",
        "usage.stream-own-chunk",
    ),
)
def done_in_quotes(tail: list[bytes], _: object) -> list[bytes]:
    """The end of a stream is a JSON string."""
    return [frame.replace(b"[DONE]", b'"[DONE]"') for frame in tail]


@FAULTS.at(
    "tail",
    every=(
        "stream.done",
        "stream.field[id] not dria",
        "stream.field[object] not dria",
        "stream.field[created] in adaptive openai solidrust",
        "stream.field[model] in openai solidrust",
        "stream.field[session_id]",
        "usage.stream-null-before",
        "usage.stream-own-chunk",
    ),
)
def chunk_after_done(tail: list[bytes], _: object) -> list[bytes]:
    """A chunk without choices follows [DONE]."""
    return [*tail, b'data: {"choices":[]}\n\n']


@FAULTS.at(
    "frame",
    every=(
        "clients.openai-python-stream",
        "stream.framing",
    ),
)
def type_apart_from_data(frame: bytes, _: object) -> bytes:
    """A blank line stands between an event's type and its data."""
    return b"event: message\n\n" + frame


@FAULTS.at("frame", every=("stream.framing",))
def unknown_event_field(frame: bytes, _: object) -> bytes:
    """Events begin with a line of no known field."""
    return b"chunk: 1\n" + frame
