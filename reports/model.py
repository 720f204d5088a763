"""The report: one frozen record of one run, its verdict words, and the only way onto the disk and back.

Everything that people or machines read is a function of this record. Reading blames the file, never the reader:

    ReportError (ValueError)     the file is missing, truncated, foreign, of another version, or contradicts itself

Kept light: the pytest plugin imports this module at the start of every run, so jsonschema and the renderers are
imported where they are used.
"""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reports.codec import Json, decode, encode, part
from reports.load_model import (
    Certificate,
    ErrorClass,
    LoadReport,
    Metric,
    Rate,
    Slo,
)
from reports.origin import Target, Tool, this_tool, utc_now

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from reports.baseline import Baseline

__all__ = [
    "LEVELS",
    "SCHEMA_VERSION",
    "TIERS",
    "VERDICTS",
    "Certificate",
    "CheckResult",
    "Cost",
    "ErrorClass",
    "ExchangeRecord",
    "Frame",
    "LoadReport",
    "Metric",
    "Rate",
    "Report",
    "ReportError",
    "RequirementResult",
    "RowCheck",
    "Slo",
    "Target",
    "Tool",
    "count",
    "load",
    "this_tool",
    "utc_now",
    "worst",
    "write",
]

SCHEMA_VERSION = "1"
LEVELS = ("MUST", "SHOULD", "MAY")
TIERS = ("seed", "extended", "common")
VERDICTS = ("fail", "error", "not-run", "inconclusive", "untested", "pass", "not-applicable")
"""Worst first: a requirement takes the first of these that one of its checks has."""


class ReportError(ValueError):
    """A report cannot be used; the sentence names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What the run spent, as far as the target's own usage figures tell."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class RowCheck:
    """One check's verdict as a requirement sees it."""

    id: str
    verdict: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RequirementResult:
    """One row of the dialect with its verdict; `blocking` says that its failure makes the run's exit code 1."""

    id: str
    level: str
    tier: str
    chapter: str
    says: str
    place: str
    verdict: str
    blocking: bool
    reason: str | None = None
    checks: tuple[RowCheck, ...] = field(default=(), metadata=part(RowCheck))
    expected: str | None = None
    observed: str | None = None
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check that ran (or did not), with the seconds it took and the ids of its exchanges."""

    id: str
    verdict: str
    reason: str | None = None
    seconds: float = 0.0
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """Bytes that came in one read, `t` seconds after the request was sent; `text` where UTF-8, else `base64`."""

    t: float
    text: str | None = field(default=None, metadata=part(omit=True))
    base64: str | None = field(default=None, metadata=part(omit=True))

    @classmethod
    def of(cls, t: float, data: bytes) -> Frame:
        """The frame of these bytes."""
        try:
            return cls(t, text=data.decode("utf-8"))
        except UnicodeDecodeError:
            return cls(t, base64=base64.b64encode(data).decode("ascii"))

    @property
    def data(self) -> bytes:
        """The bytes as they came."""
        if self.text is not None:
            return self.text.encode("utf-8", "surrogatepass")
        return base64.b64decode(self.base64 or "")


@dataclass(frozen=True, slots=True)
class ExchangeRecord:
    """What was sent and what came back, redacted; headers are (name, value) pairs in wire order."""

    id: str
    check: str
    method: str
    url: str
    request_headers: tuple[tuple[str, str], ...]
    status: int | None
    response_headers: tuple[tuple[str, str], ...]
    frames: tuple[Frame, ...] = field(metadata=part(Frame))
    started: str
    seconds: float
    error: str | None = None
    curl: str = ""
    request_body: str | None = field(default=None, metadata=part(omit=True))
    request_body_base64: str | None = field(default=None, metadata=part(omit=True))
    http_version: str | None = field(default=None, metadata=part(omit=True))

    @property
    def body(self) -> bytes:
        """The answer's bytes, all frames joined."""
        return b"".join(frame.data for frame in self.frames)

    @property
    def sent(self) -> bytes:
        """The request's body as it was sent (after redaction)."""
        if self.request_body is not None:
            return self.request_body.encode("utf-8", "surrogatepass")
        return base64.b64decode(self.request_body_base64 or "")


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one conformance run found. Times are ISO 8601 in UTC; `reason` says why a run is incomplete."""

    tool: Tool = field(metadata=part(Tool))
    target: Target = field(metadata=part(Target))
    started: str
    finished: str
    complete: bool
    reason: str | None
    seed: int
    depth: str
    level: str
    tiers: tuple[str, ...]
    command: str
    requirements: tuple[RequirementResult, ...] = field(metadata=part(RequirementResult))
    cost: Cost = field(default=Cost(), metadata=part(Cost))
    checks: tuple[CheckResult, ...] = field(default=(), metadata=part(CheckResult))
    exchanges: tuple[ExchangeRecord, ...] = field(default=(), metadata=part(ExchangeRecord))

    @property
    def summary(self) -> dict[str, dict[str, int]]:
        """How many rows of each level have each verdict; keys as in report.json (`not_run`, not `not-run`)."""
        return {level: count(r.verdict for r in self.requirements if r.level == level) for level in LEVELS}

    def to_json(self) -> Json:
        """The document that report.schema.json describes."""
        body = encode(self)
        return {"schema_version": SCHEMA_VERSION, "kind": "conformance", **body, "summary": self.summary}

    @classmethod
    def from_json(cls, document: Json) -> Report:
        """The report of a valid document. Raises ReportError where its summary contradicts its rows."""
        report = decode(cls, document)
        if document["summary"] != report.summary:
            raise ReportError(f"summary: says {document['summary']}, but its requirements add up to {report.summary}")
        twice = [name for name, times in Counter(r.id for r in report.requirements).items() if times > 1]
        if twice:
            raise ReportError(f"requirements: {twice[0]!r} stands twice; an id is for one row")
        return report


def worst(verdicts: Iterable[str]) -> str:
    """The worst of these verdicts; "not-run" when there is none, because what was not shown is not green."""
    return min(verdicts, key=VERDICTS.index, default="not-run")


def count(verdicts: Iterable[str]) -> dict[str, int]:
    """How often each verdict occurs, keyed as in a report's summary: pass, fail, ..., not_applicable, not_run."""
    found = Counter(verdicts)
    order = ("pass", "fail", "inconclusive", "untested", "not-applicable", "error", "not-run")
    return {verdict.replace("-", "_"): found[verdict] for verdict in order}


def load(path: str | Path) -> Report | LoadReport:
    """The report in that file (or in that folder: report.json, else load.json). Raises ReportError."""
    from reports.storage import read_document

    where, document = read_document(path)
    kind = LoadReport if document["kind"] == "load" else Report
    try:
        return kind.from_json(document)
    except ReportError as error:
        raise ReportError(f"{where}: contradicts itself: {error}") from error


def write(
    report: Report | LoadReport, directory: str | Path, *, secrets: Iterable[str] = (), baseline: Baseline | None = None
) -> Path:
    """Write the JSON document and its renderings into a folder, each atomically; the path of the JSON document.

    `secrets` are masked wherever they stand. Raises ReportError, and writes nothing, when the report breaks its schema.
    """
    from reports.storage import write_all

    return write_all(report, directory, secrets=tuple(secrets), baseline=baseline)
