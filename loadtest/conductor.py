"""The side of a run that plans, merges and reports: the master's, or the only process's."""

from __future__ import annotations

import logging
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any

import gevent
from locust.runners import MasterRunner

from loadtest.certificate import Conditions
from loadtest.generator import Generator
from loadtest.metrics import Tally
from loadtest.result import Ended, exit_code, report
from loadtest.samples import SampleFile, forget, join
from reports.model import ReportError, utc_now, write

if TYPE_CHECKING:
    from pathlib import Path

    from loadtest.plan import Plan

__all__ = ["STOPPED", "Conductor", "delta", "start_generator", "summary", "told"]

log = logging.getLogger("loadtest")
CANNOT_JUDGE = 2
GONE_LOOKS, SILENT_LOOKS = 2, 40  # a quarter of a second each; silent is what locust calls missing, after three seconds
GRACE_S = 60.0  # for connecting, and for a last report
STOPPED = "stopped before its planned end"
HEADLINES = ("ttft_content", "itl", "tpot", "e2e", "longest_gap")


class Conductor:
    """The side that plans, merges and reports: the master's, or the only process's."""

    def __init__(self, environment: Any, plan: Plan, folder: Path) -> None:  # noqa: ANN401 - locust's Environment
        self.environment = environment
        self.plan = plan
        self.folder = folder
        self.tally = Tally()
        self.started = ""
        self.began = 0
        self.waiting: dict[str, int] = {}
        self.lost: set[str] = set()
        self.missing: dict[str, int] = {}
        self.workers = 1
        self.stamped = True
        self.cpu_share: float | None = None
        self.fault: str | None = None
        self.concluded = False
        self.stopped = False
        self.shares: dict[str, dict[str, Any]] = {}
        self.gives_up = 0.0
        self.local: Generator | None = None

    def begin(self) -> None:
        """Start this run: alone, or by handing each worker its share."""
        self.started, self.began = utc_now(), time_ns()
        forget(self.folder)
        runner, users = self.environment.runner, self.environment.parsed_options.num_users or 1
        self.gives_up = monotonic() + self.plan.seconds + self.plan.scenario.drain_s + GRACE_S
        if isinstance(runner, MasterRunner):
            ids = [client.id for client in runner.clients.all]
            self.workers, self.waiting = len(ids), dict(zip(ids, range(len(ids)), strict=True))
            common = {
                "run": self.started,
                "plan": self.plan.to_wire(),
                "dialect": str(self.plan.dialect.folder),
                "folder": str(self.folder),
                "shards": len(ids),
                "users": -(-users // len(ids)),
            }
            self.shares = {client: common | {"shard": shard} for client, shard in self.waiting.items()}
            for client in ids:
                self.send_share(client)
        else:
            self.local = start_generator(self.environment, self.plan, (0, 1), users, SampleFile(self.folder))
            self.tally = (
                self.local.recorder.tally
            )  # nothing to merge: that would take milliseconds, and sends would wait
            self.waiting = {"local": 0}
        gevent.spawn(self._until_over)

    def send_share(self, client: str) -> None:
        """Tell a worker its share; it takes no notice of the second telling."""
        if client in self.shares:
            self.environment.runner.send_message("load_plan", self.shares[client], client_id=client)

    def merge(self, client: str, data: dict[str, Any]) -> None:
        """Add what a worker reports; the only process counts in the tally itself."""
        if "tally" in data:
            self.tally.merge(Tally.from_wire(data["tally"]))
        self.stamped = self.stamped and data["stamped"]
        self.fault = self.fault or data["fault"]
        if data["cpu_share"] is not None:
            self.cpu_share = max(self.cpu_share or 0.0, data["cpu_share"])
        if data["finished"]:
            self.waiting.pop(client, None)
            self.lost.discard(client)

    def conclude(self, reason: str | None) -> None:
        """Write the report and set the exit code; once."""
        if self.concluded or not self.started:
            return
        self.concluded = True
        self._collect_local()
        try:
            join(self.folder)
        except OSError as error:
            self.fault = self.fault or f"{self.folder}: the samples cannot be joined: {error.strerror}"
        reason = self.fault or reason
        if self.lost and reason is None and len(self.lost) >= self.workers:
            reason = "every worker was lost"
        unanswered = self.tally.counts["unfinished"]
        if unanswered and reason is None:  # the slowest of all: without them no figure is true
            reason = f"{unanswered} request(s) had no whole answer when the run was over: raise the scenario's drain_s"
        conditions = Conditions(self.stamped, not self.plan.closed, len(self.lost), self.cpu_share)
        result = report(self.plan, self.tally, self._ended(reason, conditions))
        try:
            path = write(result, self.folder, secrets=(self.plan.key,) if self.plan.key else ())
        except ReportError as error:
            self.environment.process_exit_code = CANNOT_JUDGE
            log.error("%s", error)  # noqa: TRY400 - the sentence says it all
            return
        code = exit_code(result)
        if code is not None:
            self.environment.process_exit_code = code
        for line in summary(result):
            log.info("%s", line)
        log.info("report: %s", path)

    def _ended(self, reason: str | None, conditions: Conditions) -> Ended:
        found = getattr(self.environment, "load_calibration", None)
        return Ended(self.started, utc_now(), reason, conditions, self.workers, found.table() if found else None)

    def _collect_local(self) -> None:
        if self.local is not None:
            self.local.stop()
            self.merge("local", told(self.local))
            try:
                self.local.samples.close()
            except OSError as error:
                self.fault = self.fault or f"{self.local.samples.path}: cannot be written: {error.strerror}"

    def _until_over(self) -> None:
        while self.waiting and not self.concluded:
            gevent.sleep(0.25)
            if self.local is not None:
                self.merge("local", told(self.local))
            else:
                self._look_for_lost()
            if self.fault is not None:
                break
            if monotonic() > self.gives_up:
                self.lost |= set(self.waiting)
                self.waiting.clear()
        if self.concluded:
            return
        self.conclude(STOPPED if self.stopped else None)
        runner, headless = self.environment.runner, self.environment.parsed_options.headless
        runner.quit() if headless else runner.stop()

    def _look_for_lost(self) -> None:
        """A worker that has gone, or has been silent for long, will report no more; one that comes back is not lost."""
        states = {client.id: client.state for client in self.environment.runner.clients.all}
        for client in list(self.waiting):
            patience = {None: GONE_LOOKS, "missing": SILENT_LOOKS}.get(states.get(client))
            self.missing[client] = 0 if patience is None else self.missing.get(client, 0) + 1
            if patience is not None and self.missing[client] >= patience:
                self.lost.add(client)
                self.waiting.pop(client)
                log.error("worker %s was lost: what it had reported is kept", client)


def start_generator(
    environment: Any,  # noqa: ANN401 - locust's Environment
    plan: Plan,
    share: tuple[int, int],
    users: int,
    samples: SampleFile,
) -> Generator:
    """A generator that has begun."""
    generator = Generator(plan, share, users, samples, environment)
    environment.load_generator = generator
    generator.start()
    return generator


def delta(generator: Generator) -> dict[str, Any]:
    """What is new since the last report, as plain values."""
    return told(generator) | {"tally": generator.take().to_wire()}


def told(generator: Generator) -> dict[str, Any]:
    """How it stands with this generator."""
    return {
        "finished": generator.finished.is_set(),
        "stamped": generator.stamped,
        "cpu_share": generator.cpu_share,
        "fault": generator.fault,
    }


def summary(result: Any) -> list[str]:  # noqa: ANN401 - a LoadReport
    """What a person wants to read at the end of a run."""
    lines = [] if result.complete else [f"incomplete: {result.reason}"]
    lines += [f"certificate: {result.certificate.verdict}", *(f"  {reason}" for reason in result.certificate.reasons)]
    lines += [
        f"{m.metric:>12} p50 {m.p50:.2f}  p90 {m.p90:.2f}  p99 {m.p99:.2f}  max {m.max:.2f} ms  (n {m.n})"
        for m in result.metrics
        if m.n and m.metric in HEADLINES
    ]
    lines += [f"{rate.metric}: {rate.value}" for rate in result.rates[:6] if rate.value is not None]
    lines += [f"failed: {error.count} x {error.name}" for error in result.errors]
    return lines + [
        f"{objective.verdict.upper()}: {objective.text} (observed {objective.observed})" for objective in result.slo
    ]
