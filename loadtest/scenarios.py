"""A scenario is a row of data: what is asked, how long prompts and answers are, and when requests are sent.

`load` reads one by name (from `scenarios/`) or from a file and names the field that is wrong. A scenario either asks
itself or mixes others by weight; a trace gives its own times and lengths.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from math import isfinite
from pathlib import Path
from typing import Any

import orjson

from loadtest import UsageError
from loadtest.schedule import PROCESSES, Stage, duration

__all__ = ["Lengths", "Part", "Scenario", "from_table", "known", "load"]

ROOT = Path(__file__).with_name("scenarios")
MOST_CV = 100
DISTRIBUTIONS = ("fixed", "uniform", "lognormal")
NEEDS = ("vision", "tools", "json_schema")


def _allow(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"field {name!r}: {value!r} is unknown; allowed are {', '.join(allowed)}")


@dataclass(frozen=True, slots=True)
class Lengths:
    """A distribution of lengths: fixed (mean), uniform (low..high) or lognormal (mean, cv), cut to low..high."""

    mean: float
    dist: str = "fixed"
    cv: float = 0.5
    low: int = 1
    high: int = 100_000

    def __post_init__(self) -> None:
        _allow("dist", self.dist, DISTRIBUTIONS)
        finite = isfinite(self.mean) and isfinite(self.cv) and isfinite(self.high)
        if not (finite and self.mean > 0 and self.cv > 0 and 1 <= self.low <= self.high):
            raise UsageError(
                f"lengths: mean {self.mean}, cv {self.cv}, low {self.low}, high {self.high}: need 0 < mean, 0 < cv, 1 <= low <= high"
            )


@dataclass(frozen=True, slots=True)
class Part:
    """One share of a mix: another scenario's name and its weight."""

    scenario: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        _typed("scenario", self.scenario, "")
        if not _typed("weight", self.weight, 1.0) > 0:
            raise UsageError(f"field 'weight': {self.weight!r} must be above 0")


@dataclass(frozen=True, slots=True)
class Scenario:
    """What one run does. Times in seconds, lengths in words of the prompt and tokens of the answer, gaps in ms."""

    name: str
    title: str = ""
    stages: tuple[Stage, ...] = (Stage(60.0, 5.0),)
    process: str = "poisson"
    cv: float = 1.0
    prompt: Lengths = Lengths(60, "lognormal", 0.6, 8, 2000)
    answer: Lengths = Lengths(128, "lognormal", 0.5, 8, 1000)
    stream: bool = True
    turns: int = 1
    shared_prefix: int = 0
    needs: tuple[str, ...] = ()
    mix: tuple[Part, ...] = ()
    trace: str | None = None
    trace_speed: float = 1.0
    trace_s: float = 0.0  # after so many seconds a trace is cut; 0 is never
    echo: bool = False
    freeze_ms: float = 250.0
    stall_s: float = 60.0
    answer_s: float = 120.0
    total_s: float = 600.0
    drain_s: float = 60.0
    think_s: float = 0.0
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _allow("process", self.process, tuple(PROCESSES))
        for need in self.needs:
            _allow("needs", need, NEEDS)
        if not 0 < self.cv <= MOST_CV or self.think_s < 0:
            raise UsageError(f"scenario {self.name!r}: need 0 < cv <= {MOST_CV}, think_s >= 0")
        try:
            orjson.dumps(self.extra)
        except TypeError as error:
            raise UsageError(
                f"scenario {self.name!r}: field 'extra': {error}: it goes into each body as JSON"
            ) from error
        if self.turns < 1 or self.shared_prefix < 0 or self.trace_speed <= 0 or self.trace_s < 0:
            raise UsageError(
                f"scenario {self.name!r}: need turns >= 1, shared_prefix >= 0, trace_speed > 0, trace_s >= 0"
            )
        if not self.stages:
            raise UsageError(f"scenario {self.name!r}: stages is empty: at least one is needed")

    @property
    def seconds(self) -> float:
        """How long requests are sent."""
        return duration(self.stages)

    def paced(self, rate: float | None, seconds: float | None) -> Scenario:
        """The same scenario at one rate, or for another time: rates scale with the peak, times with the whole; a trace is cut."""
        if self.trace:
            if rate is not None:
                raise UsageError(f"--rate: scenario {self.name!r} has the times of its trace, which trace_speed scales")
            return self if seconds is None else replace(self, trace_s=seconds)
        stages = self.stages
        if rate is not None:
            peak = max(max(s.rate, s.end) for s in stages)
            if peak <= 0:
                raise UsageError(f"--rate: scenario {self.name!r} has no rate to scale")
            factor = rate / peak
            stages = tuple(Stage(s.seconds, s.rate * factor, None if s.to is None else s.to * factor) for s in stages)
        if seconds is not None:
            stretch = seconds / duration(stages)
            stages = tuple(Stage(s.seconds * stretch, s.rate, s.to) for s in stages)
        return replace(self, stages=stages)

    def table(self) -> dict[str, Any]:
        """The row as JSON and TOML write it; `from_table` reads it back."""
        table: dict[str, Any] = _plain(asdict(self))
        return table


def known() -> tuple[str, ...]:
    """The names `load` knows, in alphabetical order."""
    return tuple(sorted(path.stem for path in ROOT.glob("*.toml")))


def load(name_or_path: str) -> Scenario:
    """The scenario of that name, or in that TOML file. Raises UsageError."""
    path = ROOT / f"{name_or_path}.toml" if name_or_path in known() else Path(name_or_path)
    if path.suffix != ".toml" or not path.is_file():
        raise UsageError(
            f"--scenario: {name_or_path!r} is unknown; known are {', '.join(known())}, or give a .toml file"
        )
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from error
    if "trace" in table and not Path(str(table["trace"])).is_absolute():
        table["trace"] = str((path.parent / str(table["trace"])).resolve())
    try:
        return from_table({"name": path.stem, **table})
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def from_table(table: dict[str, Any]) -> Scenario:
    """The scenario that a table describes. Raises UsageError for a field that is unknown or wrong."""
    names = {f.name for f in fields(Scenario)}
    unknown = sorted(set(table) - names)
    if unknown:
        raise UsageError(f"field {unknown[0]!r} is unknown; allowed are {', '.join(sorted(names))}")
    values = {name: _value(name, value) for name, value in table.items() if value is not None}
    scenario: Scenario = _made(Scenario, values)
    return scenario


def toml_value(value: Any) -> str:  # noqa: ANN401 - any value of a table
    """As TOML writes it: a JSON string is a TOML string, a table stands on one line."""
    if isinstance(value, dict):
        inside = ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items() if item is not None)
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value)


def _value(name: str, value: Any) -> Any:  # noqa: ANN401 - any TOML value
    if name in {"prompt", "answer"}:
        return _record(Lengths, name, value)
    if name in {"stages", "mix", "needs"} and not isinstance(value, (list, tuple)):
        raise UsageError(f"field {name!r}: {value!r} is no list")
    if name == "extra" and not isinstance(value, dict):
        raise UsageError(f"field 'extra': {value!r} is no table")
    if name == "stages":
        return tuple(_record(Stage, name, item) for item in value)
    if name == "mix":
        return tuple(_record(Part, name, item) for item in value)
    if name == "needs":
        return tuple(value)
    default = next(f.default for f in fields(Scenario) if f.name == name)
    return _typed(name, value, default)


def _typed(name: str, value: Any, default: Any) -> Any:  # noqa: ANN401 - any TOML value
    kinds = {bool: (bool,), int: (int,), float: (int, float), str: (str,)}.get(type(default))
    if kinds and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
        raise UsageError(f"field {name!r}: {value!r} is no {type(default).__name__}")
    if isinstance(default, float) and not isfinite(value):
        raise UsageError(f"field {name!r}: {value!r} is no finite number")
    return float(value) if isinstance(default, float) else value


def _record(cls: type[Any], name: str, value: Any) -> Any:  # noqa: ANN401 - one of our dataclasses
    if not isinstance(value, dict):
        raise UsageError(f"field {name!r}: {value!r} is no table")
    allowed = [f.name for f in fields(cls)]
    unknown = sorted(set(value) - set(allowed))
    if unknown:
        raise UsageError(f"field {name}.{unknown[0]} is unknown; allowed are {', '.join(allowed)}")
    return _made(cls, {key: item for key, item in value.items() if item is not None}, name)


def _made(cls: type[Any], values: dict[str, Any], name: str = "") -> Any:  # noqa: ANN401 - one of our dataclasses
    try:
        return cls(**values)
    except TypeError as error:
        said = str(error).partition("__init__() ")[2] or str(error)
        raise UsageError(f"{name + ': ' if name else ''}{said}") from error


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
