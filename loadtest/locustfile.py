"""`locust -f loadtest/locustfile.py --host URL --dialect NAME --scenario NAME`: locust runs it, the report is ours.

The master (or the only process) makes the plan, asks once whether anybody is there, hands each worker its share, merges
what they report, and writes the report. Everything that locust has keeps working beside it.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import gevent

sys.path.insert(
    0, str(Path(__file__).resolve().parent.parent)
)  # locust puts this file's own folder there, not its parent

from locust import events
from locust.runners import MasterRunner, WorkerRunner

import dialects
from loadtest import UsageError, live
from loadtest.calibrate import calibrate
from loadtest.call import plan_of
from loadtest.certificate import Conditions
from loadtest.generator import Generator
from loadtest.metrics import Tally
from loadtest.plan import Plan
from loadtest.preflight import CannotJudge, check
from loadtest.result import Ended, exit_code, report
from loadtest.samples import SampleFile, join
from loadtest.user import StreamUser
from reports.model import ReportError, utc_now, write

log = logging.getLogger("loadtest")
USAGE, CANNOT_JUDGE = 4, 2
GONE_LOOKS, SILENT_LOOKS = 2, 40  # a quarter of a second each; silent is what locust calls missing, after three seconds
OK = 200
ASK_S = 1.0
GRACE_S = 60.0  # for connecting, and for a last report
STOPPED = "stopped before its planned end"
HEADLINES = ("ttft_content", "itl", "tpot", "e2e", "longest_gap")


class ChatUser(StreamUser):
    """The one user class: what it sends is the scenario's."""

    abstract = False


@events.init_command_line_parser.add_listener
def options(parser: Any) -> None:  # noqa: ANN401 - locust's argument parser
    """Our options beside locust's."""
    add = parser.add_argument_group("chat-conformance load").add_argument
    add("--dialect", default="openai", metavar="NAME|PATH", help="which documented API the target speaks")
    add("--scenario", default="chat", metavar="NAME|FILE", help="python -m loadtest list prints the names")
    add(
        "--report",
        default="load-report",
        metavar="DIR",
        help="where load.json, samples.jsonl, load.html and load.md go",
    )
    add("--slo", action="append", default=[], metavar="TERMS", help="for example 'ttft_p99<500ms,error_rate<0.1%%'")
    add("--slo-file", default="", metavar="FILE", help='a TOML file with slo = ["ttft_p99<500ms", ...]')
    add("--rate", type=float, default=None, metavar="N", help="requests a second at the scenario's peak")
    add("--closed-loop", action="store_true", help="each of -u users waits for its answer instead of a paced schedule")
    add("--requests", type=int, default=None, metavar="N", help="stop after that many requests")
    add("--model", default="", metavar="NAME", help="default: the first one that the target lists")
    add("--key-env", default="CHAT_API_KEY", metavar="NAME", help="the environment variable that holds the key")
    add("--seed", type=int, default=0, metavar="N", help="the same seed sends the same prompts at the same times")
    add("--calibrate", action="store_true", help="first measure the generator's own error on this machine")
    add("--insecure", action="store_true", help="do not verify the target's certificate")


class Conductor:
    """The side that plans, merges and reports: the master's, or the only process's."""

    def __init__(self, environment: Any, plan: Plan, folder: Path) -> None:  # noqa: ANN401 - locust's Environment
        self.environment = environment
        self.plan = plan
        self.folder = folder
        self.tally = Tally()
        self.started = ""
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
        self.started = utc_now()
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
            self.waiting = {"local": 0}
        gevent.spawn(self._until_over)

    def send_share(self, client: str) -> None:
        """Tell a worker its share; it takes no notice of the second telling."""
        if client in self.shares:
            self.environment.runner.send_message("load_plan", self.shares[client], client_id=client)

    def merge(self, client: str, data: dict[str, Any]) -> None:
        """Add what a worker reports."""
        tally = data["tally"]
        self.tally.merge(tally if isinstance(tally, Tally) else Tally.from_wire(tally))
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
        join(self.folder)
        reason = self.fault or reason
        if self.lost and reason is None and len(self.lost) >= self.workers:
            reason = "every worker was lost"
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
    data = told(generator)
    return data | {"tally": data["tally"].to_wire()}


def told(generator: Generator) -> dict[str, Any]:
    """What is new since the last report, for the same process."""
    finished = generator.finished.is_set()
    return {
        "tally": generator.take(),
        "finished": finished,
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


@events.init.add_listener
def prepare(environment: Any, **_: Any) -> None:  # noqa: ANN401 - locust's event
    """Make the plan before anything runs, so that a bad call ends at once with its own code."""
    runner, asked = environment.runner, environment.parsed_options
    if isinstance(runner, WorkerRunner):
        runner.register_message("load_plan", take_plan)
        gevent.spawn(_ask_for_share, environment)
        return
    environment.load_conductor = None
    _extend(environment)
    if not asked.headless:
        return
    try:
        environment.load_plan = plan_of(asked, environment.host)
        Path(asked.report).mkdir(parents=True, exist_ok=True)
        check(environment.load_plan)
        if asked.calibrate:
            environment.load_calibration = calibrate(sys.argv[1:])
            found = environment.load_calibration
            log.info("%s", found.sentence() if found else "calibration: no result")
    except UsageError as error:
        _leave(USAGE, error)
    except (CannotJudge, OSError) as error:
        _leave(CANNOT_JUDGE, error)
    asked.run_time = None  # the schedule ends the run, and then waits for the answers under way


def _extend(environment: Any) -> None:  # noqa: ANN401 - locust's Environment
    """Add our tab to the web UI."""
    web_ui = environment.web_ui
    if web_ui is None:
        return
    web_ui.template_args |= {"extended_tabs": live.TABS, "extended_tables": live.TABLES}

    @web_ui.app.after_request
    def extend(response: Any) -> Any:  # noqa: ANN401 - flask's response
        conductor = environment.load_conductor
        if _request_path() == "/stats/requests" and conductor is not None and response.status_code == OK:
            response.set_data(live.extended(response.get_data(), conductor.tally))
        return response


def _request_path() -> str:
    from flask import request

    return str(request.path)


def _leave(code: int, error: Exception) -> None:
    sys.stderr.write(f"load: {error}\n")
    sys.stderr.flush()
    sys.exit(code)


@events.test_start.add_listener
def begin(environment: Any, **_: Any) -> None:  # noqa: ANN401 - locust's event
    """Begin the run as its conductor; a worker begins when its share comes, whether or not locust gives it a user."""
    if isinstance(environment.runner, WorkerRunner):
        return
    asked = environment.parsed_options
    try:
        plan = environment.load_plan if asked.headless else plan_of(asked, environment.host)
        conductor = Conductor(environment, plan, Path(asked.report))
        environment.load_conductor = conductor
        conductor.begin()
    except (UsageError, CannotJudge, OSError) as error:
        log.error("%s", error)  # noqa: TRY400 - the sentence says it all
        environment.process_exit_code = USAGE if isinstance(error, UsageError) else CANNOT_JUDGE
        gevent.spawn(environment.runner.quit)


def take_plan(environment: Any, msg: Any, **_: Any) -> None:  # noqa: ANN401 - locust's message
    """A worker learns its share, and begins."""
    data = msg.data
    if getattr(environment, "load_run", None) == data["run"]:
        return
    environment.load_run = data["run"]
    dialect = dialects.load(data["dialect"])
    plan = Plan.from_wire(data["plan"], dialect, os.environ.get(data["plan"]["key_env"]))
    samples = SampleFile(Path(data["folder"]), data["shard"] + 1)
    gevent.spawn(_run_share, environment, plan, (data["shard"], data["shards"]), data["users"], samples)


def _ask_for_share(environment: Any) -> None:  # noqa: ANN401 - locust's Environment
    """Say that this worker listens, until it has a share: locust connects it before either side knows our messages."""
    while not hasattr(environment, "load_run"):
        environment.runner.send_message("load_listening", None)
        gevent.sleep(ASK_S)


def _run_share(environment: Any, *share: Any) -> None:  # noqa: ANN401 - what start_generator takes
    generator = start_generator(environment, *share)
    generator.finished.wait()
    environment.runner.send_message("load_over", delta(generator))


@events.report_to_master.add_listener
def send_delta(client_id: str, data: dict[str, Any]) -> None:  # noqa: ARG001 - locust's event
    """Send what is new along with locust's own statistics."""
    generator = _worker_generator()
    if generator is not None:
        data["load"] = delta(generator)


def _worker_generator() -> Generator | None:
    environment = _here.get("environment")
    return getattr(environment, "load_generator", None)


_here: dict[str, Any] = {}


@events.init.add_listener
def remember(environment: Any, **_: Any) -> None:  # noqa: ANN401 - locust's event
    """report_to_master does not say whose report it is."""
    _here["environment"] = environment
    if isinstance(environment.runner, MasterRunner):
        environment.runner.register_message("load_listening", resend)
        environment.runner.register_message(
            "load_over", lambda environment, msg, **_: _merge(environment, msg.node_id, msg.data)
        )


def resend(environment: Any, msg: Any, **_: Any) -> None:  # noqa: ANN401 - locust's message
    """A worker that locust counted as ready before it listened may have missed its share."""
    conductor = getattr(environment, "load_conductor", None)
    if conductor is not None:
        conductor.send_share(msg.node_id)


@events.worker_report.add_listener
def receive_delta(client_id: str, data: dict[str, Any]) -> None:
    """The master merges what a worker reports."""
    if "load" in data:
        _merge(_here["environment"], client_id, data["load"])


def _merge(environment: Any, client: str, data: dict[str, Any]) -> None:  # noqa: ANN401 - locust's Environment
    conductor = getattr(environment, "load_conductor", None)
    if conductor is not None and not conductor.concluded:
        conductor.merge(client, data)


@events.test_stopping.add_listener
def stop(environment: Any, **_: Any) -> None:  # noqa: ANN401 - locust's event
    """Whoever stops a run early: what is under way counts as unfinished. A worker's last report follows."""
    generator = getattr(environment, "load_generator", None)
    if isinstance(environment.runner, WorkerRunner):
        if generator is not None:
            generator.stop()
        return
    conductor = environment.load_conductor
    if conductor is not None:
        conductor.stopped = True
        if conductor.local is not None:
            conductor.conclude(STOPPED)


@events.quitting.add_listener
def conclude(environment: Any, **_: Any) -> None:  # noqa: ANN401 - locust's event
    """Whatever ended the run: what was measured is written."""
    conductor = getattr(environment, "load_conductor", None)
    if conductor is not None:
        conductor.conclude(STOPPED)
