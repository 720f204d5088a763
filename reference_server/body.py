"""Taking in a request body: its size, its content type, and all of its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reference_server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive

__all__ = ["LARGEST", "check_media_type", "read"]

LARGEST = 10 * 1024 * 1024
PATIENCE = 8  # so many times LARGEST are read and thrown away, so that the client gets to read the refusal


async def read(receive: Receive) -> bytes:
    """All bytes of the body. Raises ApiError(too_large), and ConnectionError when the client left meanwhile."""
    pieces, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client left before its request was complete")
        piece, more = message.get("body", b""), message.get("more_body", False)
        size += len(piece)
        if size <= LARGEST:
            pieces.append(piece)
        elif size > LARGEST * PATIENCE:
            break
    if size > LARGEST:
        raise ApiError("too_large", f"the body has more than {LARGEST} bytes, the largest that is taken")
    return b"".join(pieces)


def check_media_type(headers: Mapping[str, str]) -> None:
    """Raise ApiError(wrong_content_type) unless the body is announced as plain JSON."""
    given = headers.get("content-type", "")
    if given.partition(";")[0].strip().lower() != "application/json":  # parameters mean nothing (RFC 8259, 11)
        raise ApiError("wrong_content_type", f"Content-Type: expected application/json, got {given[:60]!r}")
    coding = headers.get("content-encoding", "identity")
    if coding != "identity":
        raise ApiError("wrong_content_type", f"Content-Encoding: expected none, got {coding[:60]!r}")
