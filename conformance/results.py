"""Collects what every item found, in this process or in an xdist worker, and makes the report of it."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from reports.model import (
    CheckResult,
    Cost,
    ExchangeRecord,
    Frame,
    Report,
    RequirementResult,
    RowCheck,
    Target,
    this_tool,
    worst,
)

if TYPE_CHECKING:
    from conformance.options import Options
    from conformance.selection import Selection
    from dialects import Requirement

__all__ = ["Results"]

Json = dict[str, Any]
KEPT_EXCHANGES = 1200
RANK = ("fail", "error", "not-run", "inconclusive", "untested", "pass", "not-applicable")


@dataclass
class Results:
    """What is known so far: per check id its outcome (as JSON), the recorded exchanges, and what was spent."""

    options: Options
    selection: Selection
    model: str
    url: str
    command: str
    started: float = field(default_factory=time.time)
    checks: dict[str, Json] = field(default_factory=dict)
    findings: dict[str, Json] = field(default_factory=dict)
    applied: Counter[str] = field(default_factory=Counter)
    covered: set[str] = field(default_factory=set)
    exchanges: dict[str, Json] = field(default_factory=dict)
    spent: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, str] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    reason: str | None = None

    def take(self, found: Json) -> None:
        """Add what one item found.

        `check`: [id, outcome]; `oracles`: {id: [times applied, outcome of a finding or None]}; `exchanges`: records;
        `spent`: {name: count}. Oracles look at every item's traffic, so their findings come from anywhere.
        """
        check_id, outcome = found["check"]
        self.checks[check_id] = outcome
        for oracle_id, (applied, finding) in found["oracles"].items():
            self.applied[oracle_id] += applied
            known = self.findings.get(oracle_id)
            if finding is not None and (known is None or RANK.index(finding["verdict"]) < RANK.index(known["verdict"])):
                self.findings[oracle_id] = finding
        for record in found["exchanges"]:
            self.exchanges.setdefault(record["id"], record)
        self.spent.update(found["spent"])
        self.covered.update(found["covered"])

    def note(self, notes: Json) -> None:
        """Take what a collection noticed: checks left out and why, checks that nobody wrote, a part chosen by the user."""
        self.skipped.update(notes["skipped"])
        self.unknown.update(notes["unknown"])
        self.reason = notes.get("gone") or self.reason or notes["partial"]

    def report(self) -> Report:
        """The report of everything so far."""
        options = self.options
        requirements = tuple(self._requirement(row) for row in self.selection.rows)
        used = {e for r in requirements for e in r.evidence}
        return Report(
            tool=this_tool(),
            target=Target(self.url, options.dialect.id, self.model),
            started=_iso(self.started),
            finished=_iso(time.time()),
            complete=self.reason is None,
            reason=self.reason,
            seed=options.seed,
            depth=options.depth,
            level=options.level,
            tiers=options.tiers,
            command=self.command,
            cost=Cost(self.spent["requests"], self.spent["prompt_tokens"], self.spent["completion_tokens"]),
            requirements=requirements,
            checks=tuple(self._check(check_id) for check_id in self.selection.by_check),
            exchanges=tuple(_record(e) for e in self._kept(used)),
        )

    def _check(self, check_id: str) -> CheckResult:
        outcome = self._outcome(check_id)
        evidence = tuple(e for e in outcome["evidence"] if e in self.exchanges)
        return CheckResult(check_id, outcome["verdict"], outcome["reason"], round(outcome["seconds"], 4), evidence)

    def _kept(self, used: set[str]) -> list[Json]:
        """All evidence, and of the rest as much as a report of sane size holds."""
        rest = [e for i, e in self.exchanges.items() if i not in used]
        return [e for i, e in self.exchanges.items() if i in used] + rest[: max(0, KEPT_EXCHANGES - len(used))]

    def _requirement(self, row: Requirement) -> RequirementResult:
        outcomes = {check_id: self._outcome(check_id) for check_id in row.checks}
        if row.unobservable:
            verdict, reason, decisive = "untested", f"not observable from outside: {row.unobservable}", None
        else:
            verdict = worst(o["verdict"] for o in outcomes.values())
            decisive = next(o for o in outcomes.values() if o["verdict"] == verdict)
            reason = decisive["reason"]
        if verdict == "fail" and row.level == "MAY":
            # What a document leaves open cannot be failed: the option is there, and this target does not take it.
            verdict, reason = "not-applicable", f"optional, and not taken: {reason}"
        return RequirementResult(
            id=row.id,
            level=row.level,
            tier=row.tier,
            chapter=row.chapter,
            says=row.says,
            place=str(row.place),
            verdict=verdict,
            blocking=row.id in self.selection.blocking,
            reason=reason,
            checks=tuple(RowCheck(i, o["verdict"], o["reason"]) for i, o in outcomes.items()),
            expected=decisive["expected"] if decisive else None,
            observed=decisive["observed"] if decisive else None,
            evidence=tuple(e for e in decisive["evidence"] if e in self.exchanges) if decisive else (),
        )

    def _outcome(self, check_id: str) -> Json:
        if check_id in self.findings:
            return self.findings[check_id]
        if self.applied[check_id]:
            return _blank("pass", None)
        if check_id in self.checks:
            return self.checks[check_id]
        if check_id in self.unknown:
            return _blank("error", f"the dialect lists {check_id!r}, and there is no such check")
        if check_id in self.skipped:
            return _blank("untested", self.skipped[check_id])
        return _blank("not-run", self.reason or "the run did not reach this check")


def _blank(verdict: str, reason: str | None) -> Json:
    return {"verdict": verdict, "reason": reason, "expected": None, "observed": None, "evidence": [], "seconds": 0.0}


def _record(record: Json) -> ExchangeRecord:
    frames = tuple(Frame(f["t"], f.get("text"), f.get("base64")) for f in record["frames"])
    pairs = {name: tuple((k, v) for k, v in record[name]) for name in ("request_headers", "response_headers")}
    return ExchangeRecord(**{**record, **pairs, "frames": frames})


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
