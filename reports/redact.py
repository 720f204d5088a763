"""Masks secrets in a report: a second line of defence, after the client that recorded the exchanges.

Secrets are what the caller names (the keys of the run) and what the report itself betrays: the credentials in its
request headers. They are masked wherever they stand, also percent-encoded, in base64, or cut over several frames. A
secret of fewer than 6 characters is only masked in headers: as free text it would also be part of ordinary words.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from reports.model import ExchangeRecord, Frame, LoadReport, Report

if TYPE_CHECKING:
    from collections.abc import Iterable

AnyReport = TypeVar("AnyReport", bound=Report | LoadReport)
MASK = "***"
SHORTEST = 6
OURS = {
    "id",
    "check",
    "chapter",
    "tier",
    "tiers",
    "level",
    "verdict",
    "depth",
    "evidence",
    "started",
    "finished",
    "better",
}
"""Fields that no target writes; a key that happens to be one of their words would break the report."""
SENSITIVE = re.compile(
    r"(?i)^(authorization|proxy-authorization|cookie|set-cookie|x-amz-security-token"
    r"|.*(api|auth|access|subscription).?(key|token))$"
)
SCHEME = re.compile(r"(?i)^(bearer|basic|token|digest|negotiate)\s+")
LOOKS_SECRET = (
    re.compile(r"(?i)(?<=bearer )(?![*$<])[\w.~+/=-]{6,}"),
    re.compile(r"(?i)(?<=basic )(?![*$<])[\w+/=-]{8,}"),
    re.compile(r"\b(?:sk|pk|rk|xai|gsk|hf|ghp|pat)[-_][A-Za-z0-9_-]{16,}"),
    re.compile(r"(?i)(?<=[?&](?:key|sig)=)[^&\s\"'<>#]+"),
    re.compile(r"(?i)(?<=api[-_]key=)[^&\s\"'<>#]+"),
    re.compile(r"(?i)(?<=_token=)[^&\s\"'<>#]+"),
    re.compile(r"(?<=://)[^/\s@\"'<>]+:[^/\s@\"'<>]+(?=@)"),
)


def redacted(report: AnyReport, secrets: Iterable[str] = ()) -> AnyReport:
    """The same report with every known or recognisable secret masked."""
    known = known_secrets(report, secrets)
    masked: AnyReport = _walked(report, known)
    if isinstance(masked, Report):
        return replace(masked, exchanges=tuple(_exchange(one, known) for one in masked.exchanges))
    return masked


def known_secrets(report: Report | LoadReport, secrets: Iterable[str] = ()) -> tuple[str, ...]:
    """Every spelling of the secrets that the caller names and of those that the report itself betrays, longest first."""
    return _spellings({*secrets, *_betrayed(report)})


def masked_text(text: str, known: Iterable[str] = ()) -> str:
    """The text with these secrets, and whatever looks like one, masked."""
    for secret in known:
        text = text.replace(secret, MASK)
    for pattern in LOOKS_SECRET:
        text = pattern.sub(MASK, text)
    return text


def _betrayed(report: Report | LoadReport) -> set[str]:
    if isinstance(report, LoadReport):
        return set()
    pairs = (pair for one in report.exchanges for pair in one.request_headers)
    return {SCHEME.sub("", value).strip() for name, value in pairs if SENSITIVE.match(name)}


def _spellings(secrets: set[str]) -> tuple[str, ...]:
    """Every way in which a secret may stand in a text, longest first so that no rest is left."""
    found: set[str] = set()
    for secret in secrets:
        if len(secret) >= SHORTEST and set(secret) != {"*"}:
            raw = secret.encode("utf-8", "surrogatepass")
            found |= {secret, quote(secret, safe=""), base64.b64encode(raw).decode(), raw.hex()}
            found.add(secret.encode("unicode_escape").decode())
    return tuple(sorted(found, key=len, reverse=True))


def _walked(value: Any, known: tuple[str, ...]) -> Any:  # noqa: ANN401 - a record, or any value within one
    if isinstance(value, str):
        return masked_text(value, known)
    if isinstance(value, tuple | list):
        return type(value)(_walked(item, known) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        texts = (f.name for f in fields(value) if f.name not in OURS)
        return replace(value, **{name: _walked(getattr(value, name), known) for name in texts})
    if isinstance(value, Mapping):
        return {masked_text(key, known): _walked(item, known) for key, item in value.items()}
    return value


def _exchange(one: ExchangeRecord, known: tuple[str, ...]) -> ExchangeRecord:
    body = one.request_body_base64
    return replace(
        one,
        request_headers=tuple(_header(*pair) for pair in one.request_headers),
        response_headers=tuple(_header(*pair) for pair in one.response_headers),
        request_body_base64=_base64(body, known) if body is not None else None,
        frames=_frames(one.frames, known),
    )


def _header(name: str, value: str) -> tuple[str, str]:
    if not SENSITIVE.match(name):
        return name, value
    scheme = SCHEME.match(value)
    return name, (scheme.group() if scheme else "") + MASK


def _base64(text: str, known: tuple[str, ...]) -> str:
    return base64.b64encode(_blanked(base64.b64decode(text), known)).decode("ascii")


def _frames(frames: tuple[Frame, ...], known: tuple[str, ...]) -> tuple[Frame, ...]:
    """Mask secrets that begin in one frame and end in another, leaving every frame as long as it was."""
    whole = b"".join(frame.data for frame in frames)
    blank = _blanked(whole, known)
    if blank == whole:
        return frames
    out, at = [], 0
    for frame in frames:
        size = len(frame.data)
        out.append(Frame.of(frame.t, blank[at : at + size]))
        at += size
    return tuple(out)


def _blanked(data: bytes, known: tuple[str, ...]) -> bytes:
    for secret in known:
        raw = secret.encode("utf-8", "surrogatepass")
        data = data.replace(raw, b"*" * len(raw))
    return data
