"""`locust -f loadtest/locustfile.py --host URL --dialect NAME --scenario NAME`: locust runs it, the report is ours.

The master (or the only process) makes the plan, asks once whether anybody is there, hands each worker its share, merges
what they report, and writes the report. Everything that locust has keeps working beside it.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

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
from loadtest.conductor import STOPPED, Conductor, delta, start_generator
from loadtest.options import add_options
from loadtest.plan import Plan
from loadtest.preflight import CannotJudge, check
from loadtest.samples import SampleFile
from loadtest.user import StreamUser

if TYPE_CHECKING:
    from loadtest.generator import Generator

log = logging.getLogger("loadtest")
USAGE, CANNOT_JUDGE = 4, 2
OK = 200
ASK_S = 1.0


class ChatUser(StreamUser):
    """The one user class: what it sends is the scenario's."""

    abstract = False


@events.init_command_line_parser.add_listener
def options(parser: Any) -> None:  # noqa: ANN401 - locust's argument parser
    """Our options beside locust's; whatever is wrong with the call ends with our code for that."""
    add_options(parser)
    parser.error = lambda message: _leave(USAGE, message)


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
        _make(Path(asked.report))
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


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--report: {folder} cannot be a folder: {error.strerror}") from error


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


def _leave(code: int, error: Exception | str) -> NoReturn:
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
        if generator is not None and not generator.plan.ends_now(generator.start_wall):
            generator.stop()
        return
    conductor = environment.load_conductor
    if conductor is not None and not conductor.plan.ends_now(conductor.began):
        conductor.stopped = True
        if conductor.local is not None:
            conductor.conclude(STOPPED)


@events.quitting.add_listener
def conclude(environment: Any, **_: Any) -> None:  # noqa: ANN401 - locust's event
    """Whatever ended the run: what was measured is written."""
    conductor = getattr(environment, "load_conductor", None)
    if conductor is not None:
        conductor.conclude(STOPPED)
