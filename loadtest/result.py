"""From a Tally to the report and the exit code: the last, pure step of a run.

Exit codes: 0 every objective met, 1 an objective failed, 2 not enough data, an invalid certificate or an incomplete run;
None where no objective was given and the generator was in time, so that locust's own rule (any failure) decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loadtest import slo
from loadtest.certificate import Conditions, certify
from loadtest.metrics import errors, metrics, rates, timeline
from reports.model import LoadReport, Target, this_tool

if TYPE_CHECKING:
    from loadtest.metrics import Tally
    from loadtest.plan import Plan

__all__ = ["Ended", "exit_code", "report"]


@dataclass(frozen=True, slots=True)
class Ended:
    """How the run went: ISO times, why it is incomplete (None: it is complete), and the conditions it was made under."""

    started: str
    finished: str
    reason: str | None
    conditions: Conditions
    workers: int = 1
    calibration: dict[str, Any] | None = None


def report(plan: Plan, tally: Tally, ended: Ended) -> LoadReport:
    """The whole report."""
    found, speeds = metrics(tally), rates(tally, plan.asked_rate)
    done = tally.counts["ok"] + tally.counts["failed"]
    return LoadReport(
        tool=this_tool(),
        target=Target(plan.url, plan.dialect.id, plan.model),
        scenario=_scenario(plan, tally, ended),
        started=ended.started,
        finished=ended.finished,
        complete=ended.reason is None,
        reason=ended.reason,
        metrics=found,
        rates=speeds,
        certificate=certify(tally, ended.conditions),
        errors=errors(tally),
        slo=slo.judge(plan.objectives, found, speeds, done),
        timeline=timeline(tally),
    )


def exit_code(result: LoadReport) -> int | None:
    """0, 1 or 2; None where nothing was asked and nothing was wrong with the generator."""
    if not result.complete or result.certificate.verdict != "VALID":
        return 2
    verdicts = {objective.verdict for objective in result.slo}
    if not verdicts:
        return None
    return 1 if "fail" in verdicts else 2 if "no-data" in verdicts else 0


def _scenario(plan: Plan, tally: Tally, ended: Ended) -> dict[str, Any]:
    counts = tally.counts
    return (
        plan.scenario.table()
        | {
            "loop": "closed" if plan.closed else "open",
            "seed": plan.seed,
            "workers": ended.workers,
            "stamps": "kernel" if ended.conditions.kernel_stamps else "user-space",
            "cpu_share": ended.conditions.cpu_share,
            "requests": counts["requests"],
            "ok": counts["ok"],
            "failed": counts["failed"],
            "unfinished": counts["unfinished"],
            "connections": counts["connections"],
            "tokens": counts["tokens"],
            "tokens_from": "usage"
            if not counts["tokens_counted"]
            else "chunks"
            if counts["tokens_counted"] == counts["tokens"]
            else "both",
            "usage_odd": counts["usage_odd"],
            "error_examples": dict(tally.examples),
        }
        | ({"calibration": ended.calibration} if ended.calibration else {})
    )
