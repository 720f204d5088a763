"""The record of one load run: what was measured, whether it may be believed, and which objectives it met.

Units: milliseconds for latencies, each rate in its own `unit`. A metric that got no sample has n = 0 and None for every
figure: absence is never written as zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reports.codec import Json, decode, encode, part
from reports.origin import Target, Tool

if TYPE_CHECKING:
    from collections.abc import Mapping

LOAD_SCHEMA_VERSION = "1"


@dataclass(frozen=True, slots=True)
class Metric:
    """A distribution: `better` is "lower" or "higher"; the figures are in `unit`, None where n is 0."""

    metric: str
    unit: str
    better: str
    n: int
    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    p999: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """One number for the whole run, such as requests_per_second or error_rate."""

    metric: str
    unit: str
    better: str
    value: float | None


@dataclass(frozen=True, slots=True)
class ErrorClass:
    """How often one class of error happened; `name` is the JSON key "class"."""

    name: str = field(metadata=part(name="class"))
    count: int = 0


@dataclass(frozen=True, slots=True)
class Certificate:
    """Whether the generator itself was in time: "VALID" or "INVALID" with reasons; `lag_ms` its own lateness."""

    verdict: str
    reasons: tuple[str, ...] = ()
    lag_ms: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Slo:
    """One objective as the user wrote it; verdict "pass", "fail" or "no-data" (then `observed` is None)."""

    text: str
    metric: str
    limit: float
    observed: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Everything that one load run found. `timeline` points hold `t` (seconds since the start) and named numbers."""

    tool: Tool = field(metadata=part(Tool))
    target: Target = field(metadata=part(Target))
    scenario: Mapping[str, Any]
    started: str
    finished: str
    complete: bool
    reason: str | None
    metrics: tuple[Metric, ...] = field(metadata=part(Metric))
    rates: tuple[Rate, ...] = field(metadata=part(Rate))
    certificate: Certificate = field(metadata=part(Certificate))
    errors: tuple[ErrorClass, ...] = field(default=(), metadata=part(ErrorClass))
    slo: tuple[Slo, ...] = field(default=(), metadata=part(Slo))
    timeline: tuple[Mapping[str, float | None], ...] = ()

    def to_json(self) -> Json:
        """The document that load.schema.json describes."""
        return {"schema_version": LOAD_SCHEMA_VERSION, "kind": "load", **encode(self)}

    @classmethod
    def from_json(cls, document: Json) -> LoadReport:
        """The report of a valid document."""
        return decode(cls, document)
