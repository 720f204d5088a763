"""Opening the images of a request: data: URIs with strict base64, decoded for real; format and size are what is known."""

from __future__ import annotations

import base64
import binascii
import re
import warnings
from functools import lru_cache
from io import BytesIO

from PIL import Image, UnidentifiedImageError

from reference_server.errors import ApiError

__all__ = ["describe"]

_DATA_URI = re.compile(r"(?i)data:image/[a-z0-9.+-]+(?:;[a-z0-9-]+=[^;,]*)*;base64,")
LARGEST = 10 * 1024 * 1024


@lru_cache(maxsize=256)
def describe(uri: str) -> str:
    """Format and size of the image in a data: URI, as in "PNG 1x1". Raises ApiError(bad_image)."""
    found = _DATA_URI.match(uri)
    if not found:
        raise ApiError("bad_image", f"image_url: expected data:image/TYPE;base64,DATA, got {uri[:40]!r}", "messages")
    return _open(_decode(uri[found.end() :]))


def _decode(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ApiError("bad_image", f"image_url: not base64: {error}", "messages") from error
    if not 0 < len(data) <= LARGEST:
        raise ApiError("bad_image", f"image_url: {len(data)} bytes; allowed are 1 to {LARGEST}", "messages")
    return data


def _open(data: bytes) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(data)) as image:
                image.load()
                return f"{image.format} {image.width}x{image.height}"
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError, Warning) as error:
        raise ApiError("bad_image", "image_url: the data is not an image that can be opened", "messages") from error
