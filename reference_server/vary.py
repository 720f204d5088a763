"""Legal variations: everything here is allowed by the standards, and none of it may change a verdict."""

from __future__ import annotations

from typing import Any

from reference_server.alterations import Catalogue

__all__ = ["VARIATIONS"]

VARIATIONS = Catalogue()
Json = dict[str, Any]
Head = tuple[int, dict[str, str]]
SLOW_START = 0.1  # seconds


@VARIATIONS.at("frame")
def sse_comments(frame: bytes, _: object) -> bytes:
    """A comment line before every event, as servers send to keep connections open."""
    return b": still here\n\n" + frame


@VARIATIONS.at("frame")
def no_space_after_data(frame: bytes, _: object) -> bytes:
    """`data:` without the optional space."""
    return frame.replace(b"data: ", b"data:", 1)


@VARIATIONS.at("frame")
def crlf(frame: bytes, _: object) -> bytes:
    """Lines of events end with CR LF."""
    return frame.replace(b"\n", b"\r\n")


@VARIATIONS.at("frame")
def cr_only(frame: bytes, _: object) -> bytes:
    """Lines of events end with CR."""
    return frame.replace(b"\n", b"\r")


@VARIATIONS.at("frame")
def event_fields(frame: bytes, _: object) -> bytes:
    """Events also have an id and a retry time."""
    return b"id: 1\nretry: 3000\n" + frame


@VARIATIONS.at("document")
def extra_keys(document: Json, _: object) -> Json:
    """Unknown keys on every level of answers."""
    choices = [{**choice, "x_rank": None} for choice in document["choices"]]
    return {**document, "choices": choices, "x_region": {"name": "eu", "hops": [1, 2]}}


@VARIATIONS.at("document")
def reversed_keys(document: Json, _: object) -> Json:
    """Keys in the opposite order, on every level."""
    return _reversed(document)  # type: ignore[no-any-return]  # an object stays an object


@VARIATIONS.at("write")
def split_writes(pieces: list[bytes], _: object) -> list[bytes]:
    """Bytes are written three at a time, so that code points and line ends are split."""
    return [piece[at : at + 3] for piece in pieces for at in range(0, len(piece), 3)]


@VARIATIONS.at("dumps")
def escaped_unicode(options: Json, _: object) -> Json:
    """Everything outside ASCII is escaped in JSON."""
    return {**options, "ensure_ascii": True}


@VARIATIONS.at("dumps")
def spaced_json(options: Json, _: object) -> Json:
    """White space between the tokens of JSON."""
    return {**options, "separators": (" , ", " : ")}


@VARIATIONS.at("delay")
def slow_start(_: float, __: object) -> float:
    """The first byte takes its time."""
    return SLOW_START


@VARIATIONS.at("head")
def other_charset_form(head: Head, _: object) -> Head:
    """Content types with a charset where there was none, without where there was one."""
    kind, _, parameters = head[1]["content-type"].partition(";")
    return head[0], {**head[1], "content-type": kind if parameters else f"{kind}; charset=utf-8"}


@VARIATIONS.at("frame")
def empty_comments(frame: bytes, _: object) -> bytes:
    """An empty comment and a second blank line around every event."""
    return b":\n" + frame + b"\n"


@VARIATIONS.at("head")
def media_type_case(head: Head, _: object) -> Head:
    """The value of Content-Type in another case; media types are compared without regard to it (RFC 9110, 8.3.1)."""
    kind, semicolon, parameters = head[1]["content-type"].partition(";")
    return head[0], {**head[1], "content-type": f"{kind.title()}{semicolon}{parameters}"}


@VARIATIONS.at("head")
def connection_closed(head: Head, _: object) -> Head:
    """The connection ends with every answer."""
    return head[0], {**head[1], "connection": "close"}


@VARIATIONS.at("chunks")
def empty_deltas(chunks: list[Json], _: object) -> list[Json]:
    """Before a chunk that says something comes one whose delta says nothing."""
    made: list[Json] = []
    for chunk in chunks:
        if chunk["choices"] and all(set(choice["delta"]) == {"content"} for choice in chunk["choices"]):
            silent = [{k: v for k, v in c.items() if k != "logprobs"} for c in chunk["choices"]]
            made.append({**chunk, "choices": [{**choice, "delta": {"content": ""}} for choice in silent]})
        made.append(chunk)
    return made


def _reversed(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {key: _reversed(value[key]) for key in reversed(value)}
    return [_reversed(part) for part in value] if isinstance(value, list) else value
