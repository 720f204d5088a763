"""Objectives as people write them: `ttft_p99<500ms`, `error_rate<0.1%`, `requests_per_second>=20`.

metric  one of the distributions with _p50, _p90, _p99, _p999, _mean or _max ("ttft" means ttft_content), or a rate
limit   a number with a unit that fits: us, ms, s for a latency; % or none for a share; /s or none for a rate
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from math import ceil
from operator import ge, gt, le, lt
from pathlib import Path
from typing import TYPE_CHECKING

from loadtest import UsageError
from loadtest.metrics import METRICS
from reports.model import Slo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from loadtest.sample import Sample
    from reports.model import Metric, Rate

__all__ = ["Objective", "judge", "meets", "parse", "read_file"]

TERM = re.compile(
    r"\s*([a-z0-9_]+)\s*(<=|>=|<|>)\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*(us|ms|s|%|/s)?\s*", re.IGNORECASE
)
COMPARE: dict[str, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
STATISTICS = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "mean": None, "max": None}
LATENCY_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
SHARES = ("error_rate", "freeze_share", "good_share", "tokens_counted_share", "merged_read_share")
RATES = ("requests_per_second", "output_tokens_per_second", "goodput_per_second", "sent_per_second")
LEAST = 10
PER_REQUEST = {
    "tpot": "tpot_ms",
    "e2e": "e2e_ms",
    "longest_gap": "longest_gap_ms",
    "queue_delay": "queue_ms",
    "connect": "connect_ms",
}


@dataclass(frozen=True, slots=True)
class Objective:
    """One term. `statistic` is None for a rate; `limit` is in ms, a share or 1/s."""

    text: str
    metric: str
    statistic: str | None
    compare: str
    limit: float

    @property
    def least(self) -> int:
        """How many samples the term needs: below, its quantile is no figure."""
        q = STATISTICS.get(self.statistic or "")
        return max(LEAST, 0 if q is None else ceil(round(1 / (1 - q), 6)))


def parse(texts: Iterable[str]) -> tuple[Objective, ...]:
    """The terms of these texts, each with one or more separated by commas. Raises UsageError."""
    terms = [term.strip() for text in texts for term in text.split(",")]
    if any(not term for term in terms):
        raise UsageError("--slo: a term is empty; expected for example ttft_p99<500ms,error_rate<0.1%")
    return tuple(_objective(term) for term in terms)


def read_file(path: str) -> tuple[Objective, ...]:
    """The terms of a TOML file: slo = ["ttft_p99<500ms", ...]. Raises UsageError."""
    try:
        terms = tomllib.loads(Path(path).read_text(encoding="utf-8")).get("slo")
    except (OSError, ValueError) as error:
        raise UsageError(f"--slo-file: {path}: {error}") from error
    if not isinstance(terms, list) or not terms or not all(isinstance(t, str) for t in terms):
        raise UsageError(f'--slo-file: {path}: expected slo = ["ttft_p99<500ms", ...], found {terms!r}')
    return parse(terms)


def _objective(text: str) -> Objective:
    found = TERM.fullmatch(text)
    if found is None:
        raise UsageError(
            f"--slo: {text!r} is no term; expected METRIC<LIMIT, for example ttft_p99<500ms or error_rate<0.1%"
        )
    name, compare, number, unit = found[1].lower(), found[2], float(found[3]), (found[4] or "").lower()
    if name in SHARES or name in RATES:
        return _rate(text, name, compare, number, unit)
    metric, _, statistic = name.rpartition("_")
    metric = {"ttft": "ttft_content"}.get(metric, metric)
    if {"ttft": "ttft_content"}.get(name, name) in METRICS:
        raise UsageError(f"--slo: {text!r}: {name!r} needs a statistic: {name}_p99, one of _{', _'.join(STATISTICS)}")
    if metric not in METRICS or statistic not in STATISTICS:
        raise UsageError(
            f"--slo: {text!r}: metric {name!r} is unknown; known are ttft, {', '.join(METRICS)} "
            f"each with _{', _'.join(STATISTICS)}; and {', '.join((*SHARES, *RATES))}"
        )
    if unit not in LATENCY_UNITS:
        raise UsageError(f"--slo: {text!r}: unit {unit!r} is no latency; allowed are us, ms, s")
    return Objective(text, metric, statistic, compare, number * LATENCY_UNITS[unit])


def _rate(text: str, name: str, compare: str, number: float, unit: str) -> Objective:
    allowed = ("%", "") if name in SHARES else ("/s", "")
    if unit not in allowed:
        raise UsageError(f"--slo: {text!r}: unit {unit!r} does not fit {name}; allowed is {allowed[0]} or none")
    limit = number / 100 if unit == "%" else number
    if name in SHARES and limit > 1:
        raise UsageError(f"--slo: {text!r}: a share is at most 100% (1.0)")
    return Objective(text, name, None, compare, limit)


def judge(
    objectives: Iterable[Objective], metrics: Iterable[Metric], rates: Iterable[Rate], done: int
) -> tuple[Slo, ...]:
    """Each objective's verdict: pass, fail, or no-data when fewer samples came than its figure needs."""
    by_metric = {m.metric: m for m in metrics}
    by_rate = {r.metric: r.value for r in rates}
    verdicts = []
    for objective in objectives:
        if objective.statistic is None:
            n, observed = done, by_rate.get(objective.metric)
        else:
            metric = by_metric[objective.metric]
            n, observed = metric.n, getattr(metric, objective.statistic)
        verdicts.append(_verdict(objective, n, observed))
    return tuple(verdicts)


def _verdict(objective: Objective, n: int, observed: float | None) -> Slo:
    name = objective.metric + (f"_{objective.statistic}" if objective.statistic else "")
    if observed is None or n < objective.least:
        return Slo(objective.text, name, objective.limit, None, "no-data")
    met = COMPARE[objective.compare](observed, objective.limit)
    return Slo(objective.text, name, objective.limit, observed, "pass" if met else "fail")


def meets(objectives: Iterable[Objective], sample: Sample) -> bool:
    """Whether one request keeps within every limit on a latency that it has one of: what goodput counts."""
    return all(_kept(objective, sample) for objective in objectives)


def _kept(objective: Objective, sample: Sample) -> bool:
    value = _of(objective.metric, sample)
    return value is None or COMPARE[objective.compare](value, objective.limit)


def _of(metric: str, sample: Sample) -> float | None:
    if metric.startswith("ttft_"):
        return sample.ttft_ms.get(metric.removeprefix("ttft_"))
    attribute = PER_REQUEST.get(metric)
    return getattr(sample, attribute) if attribute else None
