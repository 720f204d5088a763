"""Around a run: telemetry, the live tab, calibration's command, the paced server, the list of scenarios."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import dialects
from loadtest import scenarios
from loadtest.behaviour import Pace
from loadtest.calibrate import command
from loadtest.live import TABLES, extended, rows
from loadtest.paced import Server
from loadtest.plan import Plan
from loadtest.samples import SampleFile, join
from loadtest.telemetry import Telemetry
from tests.test_load_verdict import outcome, tally_of

ROOT = Path(__file__).parent.parent


def test_the_list_names_every_scenario_once() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "loadtest", "list"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert [line.split()[0] for line in done.stdout.splitlines()] == list(scenarios.known())


@pytest.mark.parametrize("words", [[], ["lst"], ["show"], ["show", "chatt"]])
def test_a_wrong_command_is_a_usage_error(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "loadtest", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 4
    assert done.stderr


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_goes_to_standard_output_and_is_no_error(option: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "loadtest", option], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    for word in ("list", "show SCENARIO", "locust -f loadtest/locustfile.py"):
        assert word in " ".join(done.stdout.split())


def test_the_tab_shows_latencies_rates_and_lateness_under_its_columns() -> None:
    body = extended(b'{"stats": [1]}', tally_of(*(outcome(n) for n in range(20))))

    answer = json.loads(body)
    table = {row["name"]: row for row in answer["extended_stats"][0]["data"]}
    assert answer["stats"] == [1]
    assert (table["ttft_content"]["n"], table["ttft_content"]["p50"]) == (20, "50.00")
    assert table["generator's read lag"]["p99"] == "0.10"
    assert {column["key"] for column in TABLES[0]["structure"]} <= set(table["itl"])


def test_the_tab_of_a_run_without_a_sample_has_empty_cells() -> None:
    assert {row["p50"] for row in rows(tally_of())} <= {"", "0.10"}


def test_each_request_becomes_the_gen_ai_metrics() -> None:
    sdk = pytest.importorskip("opentelemetry.sdk.metrics")
    export = pytest.importorskip("opentelemetry.sdk.metrics.export")
    reader = export.InMemoryMetricReader()
    plan = Plan("http://h:81", dialects.load("openai"), scenarios.load("chat"), "m", key="k")
    telemetry = Telemetry(plan, sdk.MeterProvider([reader]))

    telemetry.record(outcome(0).sample)
    telemetry.record(outcome(1, kind="cut").sample)

    points: Any = {
        metric.name: metric.data.data_points
        for metric in reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
    }
    assert [point.sum for point in points["gen_ai.client.operation.duration"]] == [pytest.approx(0.08)]
    assert [point.sum for point in points["gen_ai.server.time_per_output_token"]] == [pytest.approx(0.01)]
    assert Counter(p.attributes.get("error.type") for p in points["gen_ai.server.time_to_first_token"]) == {
        None: 1,
        "cut": 1,
    }
    assert {(p.attributes["gen_ai.token.type"], p.sum) for p in points["gen_ai.client.token.usage"]} == {
        ("output", 4),
        ("input", 9),
    }


def test_calibration_runs_the_same_command_without_what_names_files_or_objectives() -> None:
    own = [
        "-f",
        "x.py",
        "--host",
        "http://h",
        "--slo",
        "a<1ms",
        "--report=r",
        "--rate",
        "5",
        "--calibrate",
        "-t",
        "60s",
        "--headless",
    ]

    words = command(own, "http://paced", "folder")

    assert words[3:8] == ["-f", "x.py", "--rate", "5", "--headless"]
    assert words[8:10] == ["--host", "http://paced"]
    assert "60s" not in words


def test_the_paced_server_plays_its_script_and_tells_how_late_it_was() -> None:
    server = Server(0, Pace(0.001, 0.001, 3))
    thread = threading.Thread(target=server.serve)
    thread.start()
    with socket.create_connection(("127.0.0.1", server.port)) as peer:
        body = b'{"stream": true}'
        peer.sendall(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        said = b""
        while not said.endswith(b"0\r\n\r\n"):
            said += peer.recv(65536)
    server.running = False
    thread.join()

    assert said.count(b'"content":"tok "') == 3
    assert (server.stats()["requests"], server.late.n) == (1, 3)


def test_samples_of_workers_are_joined_whole_lines_only(tmp_path: Path) -> None:
    for worker in (1, 2):
        file = SampleFile(tmp_path, worker)
        file.write(outcome(worker).sample)
        file.close()
    with (tmp_path / "samples.2.jsonl").open("ab") as file_:
        file_.write(b'{"number": 3, "pa')

    assert join(tmp_path) == 2
    lines = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert [(line["number"], line["worker"]) for line in lines] == [(1, 1), (2, 2)]
    assert not list(tmp_path.glob("samples.[0-9].jsonl"))
