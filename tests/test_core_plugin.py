"""The command as people type it: pytest in a process of its own, against small servers, with a dialect of a few rows."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import conformance
import dialects
from conformance.profile import ProfileError
from conformance.profile import load as load_profile
from reports.model import Report, load
from tests.loopback import Loopback, Received, as_json, closed_port, response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = dict[str, Any]
HOME = Path(conformance.__file__).parents[1]
KEY = "sk-the-key-of-this-run"
ROWS = """
[[requirement]]
id = "TST-{number}"
level = "{level}"
tier = "{tier}"
chapter = "chat"
says = "A sentence of twenty characters."
place = {{ heading = "Here" }}
checks = {checks}
"""
PLAN = {
    "01": ("MUST", "seed", ["service.chat-answers[/v1/chat/completions]"]),
    "02": ("MUST", "seed", ["chat.field[id]", "usage.sum"]),
    "03": ("SHOULD", "seed", ["request.malformed-json"]),
    "04": ("MUST", "extended", ["request.not-an-object"]),
    "05": ("MUST", "seed", ["request.unknown-model", "service.alive-after-errors"]),
    "06": ("MUST", "seed", ["request.any-text", "request.multi-turn"]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vendor's own dialect: a copy of openai's folder with other rows, and no rows of the common shelf."""
    made = tmp_path_factory.mktemp("vendors") / "my-api"
    shutil.copytree(dialects.load("openai").folder, made)
    rows = [
        ROWS.format(number=n, level=level, tier=tier, checks=json.dumps(ids)) for n, (level, tier, ids) in PLAN.items()
    ]
    (made / "requirements.toml").write_text("\n".join(rows), encoding="utf-8")
    common = [row.id for row in dialects.load("openai").requirements if row.tier == "common"]
    waived = "\n".join(f'{name} = "not judged in this test"' for name in common)
    facts = (made / "dialect.toml").read_text(encoding="utf-8").replace('id = "openai"', 'id = "my_api"')
    facts = re.sub(r"(?ms)^\[without_common\].*?(?=^\[)", "", facts)
    (made / "dialect.toml").write_text(f"{facts}\n[without_common]\n{waived}\n", encoding="utf-8")
    return made


def correct(request: Received) -> bytes:
    """An endpoint that does what the six rows say."""
    if request.path == "/v1/models":
        return as_json({"object": "list", "data": [{"id": "first-model"}]})
    try:
        body = json.loads(request.body)
    except ValueError:
        return refused("no JSON")
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        return refused("no messages")
    if body.get("model") != "first-model":
        return refused("no such model", 404)
    return as_json(answer())


def answer() -> Json:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "first-model",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3},
    }


def refused(message: str, status: int = 400) -> bytes:
    return as_json(
        {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}, status
    )


def but(when: Callable[[Received], bool], instead: bytes) -> Callable[[Received], bytes]:
    """The correct endpoint with one fault."""
    return lambda request: instead if when(request) else correct(request)


def malformed(request: Received) -> bool:
    return request.method == "POST" and request.body == b'{"model": '


WRONG_SUM = as_json({**answer(), "usage": {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 4}})


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback(correct) as running:
        yield running


@dataclass
class Run:
    """What a run left behind."""

    code: int
    out: str
    folder: Path

    @property
    def report(self) -> Report:
        found = load(self.folder / "conformance-report" / "report.json")
        assert isinstance(found, Report)
        return found

    @property
    def verdicts(self) -> dict[str, str]:
        return {row.id: row.verdict for row in self.report.requirements}


def environment(**changes: str) -> dict[str, str]:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("CHAT_API_KEY", "PYTEST", "COV_"))
    }
    return {**clean, "PYTHONPATH": str(HOME), "COLUMNS": "200", **changes}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "pytest", "-p", "conformance.plugin", "-p", "no:cacheprovider", *map(str, arguments)]


def judge(where: Path, *arguments: str | Path, **changes: str) -> Run:
    done = subprocess.run(
        command(*arguments),
        cwd=where,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Run(done.returncode, done.stdout + done.stderr, where)


# ---------------------------------------------------------------- a target that does what it should


def test_a_correct_target_passes_with_a_report_in_every_form(tmp_path: Path, folder: Path, server: Loopback) -> None:
    run = judge(tmp_path, "--target", server.url, "--dialect", folder)

    assert run.code == 0, run.out
    assert run.verdicts == dict.fromkeys(("TST-01", "TST-02", "TST-03", "TST-04", "TST-05", "TST-06"), "pass")
    assert (run.report.complete, run.report.target.model, run.report.target.dialect) == (True, "first-model", "my_api")
    assert {f.name for f in (tmp_path / "conformance-report").iterdir()} >= {
        "report.json",
        "report.html",
        "report.md",
        "junit.xml",
    }
    assert f"{Path('conformance-report') / 'report.html'}" in run.out
    assert len(server.received) == run.report.cost.requests + 2


def test_a_dialect_folder_beside_the_user_is_taken_by_its_relative_path(
    tmp_path: Path, folder: Path, server: Loopback
) -> None:
    shutil.copytree(folder, tmp_path / "mine")
    run = judge(tmp_path, "--target", server.url, "--dialect", "./mine", "-k", "TST-01")

    assert run.code == 0, run.out
    assert run.verdicts["TST-01"] == "pass"


def test_a_base_url_with_the_first_segment_means_the_same(tmp_path: Path, folder: Path, server: Loopback) -> None:
    run = judge(
        tmp_path, "--target", f"{server.url}/v1/", "--dialect", folder, "--model", "first-model", "-k", "TST-01"
    )

    assert run.code == 0, run.out
    assert {request.path for request in server.received} == {"/v1/chat/completions"}


def test_two_workers_find_what_one_process_finds(tmp_path: Path, folder: Path, server: Loopback) -> None:
    server.handler = but(lambda r: r.body == b"[]", as_json(answer()))
    runs = []
    for workers in ("0", "2"):
        (tmp_path / workers).mkdir()
        runs.append(
            judge(tmp_path / workers, "--target", server.url, "--dialect", folder, "-n", workers, "-p", "xdist")
        )

    assert [run.code for run in runs] == [0, 0], runs[1].out
    assert runs[0].verdicts == runs[1].verdicts
    assert runs[1].verdicts["TST-04"] == "fail"
    assert runs[1].report.complete


# ---------------------------------------------------------------- a target that does not


def test_a_failed_must_fails_the_run_and_shows_what_came_and_how_to_repeat_it(
    tmp_path: Path, folder: Path, server: Loopback
) -> None:
    server.handler = but(lambda r: b'"messages"' in r.body and b"first-model" in r.body, WRONG_SUM)
    run = judge(tmp_path, "--target", server.url, "--dialect", folder)
    row = run.report.requirements[1]

    assert run.code == 1
    assert (row.id, row.verdict) == ("TST-02", "fail")
    assert row.evidence
    assert "TST-02" in run.out
    assert "curl" in run.out
    assert [v for name, v in run.verdicts.items() if name != "TST-02"] == ["pass"] * 5


def test_a_failed_should_is_reported_and_fails_the_run_only_when_asked(
    tmp_path: Path, folder: Path, server: Loopback
) -> None:
    server.handler = but(malformed, as_json(answer()))
    lenient = judge(tmp_path, "--target", server.url, "--dialect", folder, "--level", "must")
    strict = judge(tmp_path, "--target", server.url, "--dialect", folder, "--level", "should")

    assert (lenient.code, strict.code) == (0, 1)
    assert strict.verdicts["TST-03"] == "fail"


def test_a_failed_extended_row_fails_the_run_only_when_its_tier_is_asked_for(
    tmp_path: Path, folder: Path, server: Loopback
) -> None:
    server.handler = but(lambda r: r.body == b"[]", as_json(answer()))
    default = judge(tmp_path, "--target", server.url, "--dialect", folder)
    default_verdicts = default.verdicts
    asked = judge(tmp_path, "--target", server.url, "--dialect", folder, "--tier", "extended")

    assert (default.code, asked.code) == (0, 1)
    assert default_verdicts["TST-04"] == "fail"
    assert asked.verdicts == {"TST-04": "fail"}


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("--baseline", '[[excuse]]\nid = "TST-02"\n', "reason"),
        ("--baseline", None, "unreadable"),
        ("--profile", "[capabilities]\ntoolz = false\n", "capabilities.toolz is unknown: allowed are tools"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_before_the_first_request(
    tmp_path: Path, folder: Path, server: Loopback, option: str, text: str | None, said: str
) -> None:
    if text is not None:
        (tmp_path / "given.toml").write_text(text, encoding="utf-8")
    run = judge(tmp_path, "--target", server.url, "--dialect", folder, option, "given.toml")

    assert run.code == 4, run.out
    assert said in run.out
    assert server.received == []


def test_an_excused_failure_passes_and_an_excuse_that_is_no_longer_needed_does_not(
    tmp_path: Path, folder: Path, server: Loopback
) -> None:
    (tmp_path / "known.toml").write_text(
        '[[excuse]]\nid = "TST-02"\nreason = "sums are mended in March"\nsince = 2026-01-01\n', encoding="utf-8"
    )
    needless = judge(tmp_path, "--target", server.url, "--dialect", folder, "--baseline", "known.toml")
    server.handler = but(lambda r: b"first-model" in r.body, WRONG_SUM)
    excused = judge(tmp_path, "--target", server.url, "--dialect", folder, "--baseline", "known.toml")

    assert excused.code == 0, excused.out
    assert needless.code == 1, needless.out


def test_a_failure_that_does_not_come_again_is_inconclusive_and_does_not_fail_the_run(
    tmp_path: Path, folder: Path, server: Loopback
) -> None:
    seen: list[bytes] = []

    def once(request: Received) -> bytes:
        if b"no-such-model" in request.body and not seen:
            seen.append(request.body)
            return response("hiccup", 500)
        return correct(request)

    server.handler = once
    run = judge(tmp_path, "--target", server.url, "--dialect", folder)

    assert run.verdicts["TST-05"] == "inconclusive"
    assert run.code == 0, run.out
    assert "transient" in next(row.reason or "" for row in run.report.requirements if row.id == "TST-05")


# ---------------------------------------------------------------- a part of it


def test_what_k_selects_is_judged_and_the_report_says_that_it_is_a_part(
    tmp_path: Path, folder: Path, server: Loopback
) -> None:
    server.handler = but(lambda r: b"no-such-model" in r.body, as_json(answer()))
    good = judge(tmp_path, "--target", server.url, "--dialect", folder, "-k", "TST-01 or malformed")
    verdicts, report = good.verdicts, good.report
    bad = judge(tmp_path, "--target", server.url, "--dialect", folder, "-k", "TST-05")

    assert (good.code, bad.code) == (0, 1)
    assert (verdicts["TST-01"], verdicts["TST-03"], verdicts["TST-06"]) == ("pass", "pass", "not-run")
    assert not report.complete
    assert report.reason is not None
    assert report.reason.startswith("only 2 of ")


def test_a_selection_that_matches_nothing_cannot_judge(tmp_path: Path, folder: Path, server: Loopback) -> None:
    run = judge(tmp_path, "--target", server.url, "--dialect", folder, "-k", "no-such-thing")

    assert run.code == 2
    assert not run.report.complete


def test_x_stops_at_the_first_failure_with_an_incomplete_report(tmp_path: Path, folder: Path, server: Loopback) -> None:
    server.handler = lambda r: correct(r) if r.method == "GET" else refused("always")
    run = judge(tmp_path, "--target", server.url, "--dialect", folder, "-x")

    assert run.code == 1
    assert (run.report.complete, list(run.verdicts.values()).count("not-run") > 0) == (False, True)
    assert (run.report.reason or "").startswith("stopped early")


def test_smoke_runs_fewer_checks_and_says_which_it_left_out(tmp_path: Path, folder: Path, server: Loopback) -> None:
    run = judge(tmp_path, "--target", server.url, "--dialect", folder, "--depth", "smoke")

    assert run.verdicts["TST-01"] == "pass"
    assert run.verdicts["TST-06"] == "untested"
    assert run.report.depth == "smoke"


def test_a_spent_budget_cannot_judge_and_is_told(tmp_path: Path, folder: Path, server: Loopback) -> None:
    run = judge(tmp_path, "--target", server.url, "--dialect", folder, "--max-requests", "3")

    assert run.code == 2
    assert "not-run" in run.verdicts.values()
    assert run.report.cost.requests == 3
    assert "--max-requests" in next(row.reason or "" for row in run.report.requirements if row.verdict == "not-run")


def test_ctrl_c_in_the_middle_leaves_a_valid_report_that_says_so(
    tmp_path: Path, folder: Path, server: Loopback
) -> None:
    waiting = threading.Event()

    def stuck(request: Received) -> bytes:
        if b"no-such-model" in request.body:
            waiting.set()
            server.closing.wait(30)
        return correct(request)

    server.handler = stuck
    arguments = command("--target", server.url, "--dialect", folder)
    with subprocess.Popen(
        arguments, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert waiting.wait(200)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=200)
    run = Run(process.returncode, out, tmp_path)

    assert run.code == 2, run.out
    assert (run.report.complete, run.report.reason) == (False, "interrupted")
    assert "not-run" in run.verdicts.values()


# ---------------------------------------------------------------- nothing to judge


def sentence(run: Run, code: int) -> str:
    """The one line that says what is wrong; no traceback beside it."""
    assert run.code == code, run.out
    assert "Traceback" not in run.out
    assert "INTERNALERROR" not in run.out
    lines = [line for line in run.out.splitlines() if line.strip()]
    return next(line for line in lines if line.startswith(("Exit: ", "ERROR: ")))


def test_a_closed_port_costs_one_sentence_and_exit_code_two(tmp_path: Path, folder: Path) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    run = judge(tmp_path, "--target", url, "--dialect", folder)

    assert f"Exit: cannot judge: no answer from {url}: connect: [Errno 111] Connection refused" == sentence(run, 2)


def test_a_server_that_never_answers_costs_the_time_out_of_the_profile(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "slow.toml").write_text("[timeouts]\nread = 0.3\ntotal = 1\n", encoding="utf-8")
    with Loopback(correct) as server:
        server.handler = server.silence
        run = judge(tmp_path, "--target", server.url, "--dialect", folder, "--profile", "slow.toml")

    assert sentence(run, 2).startswith(f"Exit: cannot judge: no answer from {server.url}: timeout: ")


def test_a_redirect_to_another_host_is_told_and_the_key_goes_nowhere(tmp_path: Path, folder: Path) -> None:
    with Loopback(correct) as other, Loopback(lambda r: response("", 307, location=other.url + r.path)) as server:
        run = judge(tmp_path, "--target", server.url, "--dialect", folder, CHAT_API_KEY=KEY)

    assert "not followed, so that the key stays here" in sentence(run, 2)
    assert other.received == []
    assert KEY not in run.out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["--dialect", "klingon"],
            "no dialect 'klingon': known are adaptive, aqueduct, dos_ai, dria, openai, solidrust",
        ),
        (["--key-env", "NO_SUCH_VARIABLE"], "--key-env NO_SUCH_VARIABLE: that environment variable is not set"),
        (["--max-requests", "0"], "--max-requests 0: allowed are whole numbers from 1"),
        (["--profile", "nowhere.toml"], "profile nowhere.toml: "),
    ],
)
def test_an_option_that_cannot_be_used_is_a_usage_error(tmp_path: Path, arguments: list[str], expected: str) -> None:
    run = judge(tmp_path, "--target", "http://127.0.0.1:1", *arguments)

    assert sentence(run, 4).startswith(f"ERROR: {expected}")
    assert not (tmp_path / "conformance-report").exists()


def test_a_value_that_an_option_does_not_have_is_a_usage_error(tmp_path: Path) -> None:
    run = judge(tmp_path, "--target", "http://127.0.0.1:1", "--depth", "shallow")

    assert run.code == 4
    assert "argument --depth: invalid choice: 'shallow'" in run.out


def test_a_target_that_is_no_url_is_told_with_what_is_allowed(tmp_path: Path) -> None:
    run = judge(tmp_path, "--target", "localhost:8000")

    assert "'localhost:8000' is no http:// or https:// URL with a host" in sentence(run, 4)


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (
            "[key]\nx = 1",
            "'key' is not a table of a profile: allowed are keys, models, limits, timeouts, budget, capabilities",
        ),
        ("[models]\nears = 'x'", "models.ears is unknown: allowed are "),
        ("[limits]\ncontext_tokens = 'big'", "limits.context_tokens: 'big' is not allowed, only an integer"),
        ("[capabilities]\ntools = 'no'", "capabilities.tools: 'no' is not allowed, only true or false"),
        ("[timeouts]\nread = true", "timeouts.read: True is not allowed, only an integer or a number"),
        ("nonsense", "Expected '='"),
    ],
)
def test_a_profile_with_a_mistake_names_the_field_the_value_and_what_is_allowed(
    tmp_path: Path, profile: str, expected: str
) -> None:
    path = tmp_path / "p.toml"
    path.write_text(profile, encoding="utf-8")
    with pytest.raises(ProfileError) as caught:
        load_profile(str(path))

    assert str(caught.value).startswith(f"profile {path}: {expected}")


def test_a_broken_dialect_folder_names_the_file_and_the_field(tmp_path: Path, folder: Path) -> None:
    shutil.copytree(folder, tmp_path / "mine")
    rows = (tmp_path / "mine" / "requirements.toml").read_text(encoding="utf-8")
    (tmp_path / "mine" / "requirements.toml").write_text(rows.replace('"SHOULD"', '"OUGHT"'), encoding="utf-8")
    run = judge(tmp_path, "--target", "http://127.0.0.1:1", "--dialect", "mine")

    assert "requirements.toml: requirement[2].level: 'OUGHT' is not one of ['MUST', 'SHOULD', 'MAY']" in sentence(
        run, 4
    )


def test_a_row_that_lists_a_check_which_nobody_wrote_is_our_error_and_cannot_judge(
    tmp_path: Path, folder: Path, server: Loopback
) -> None:
    shutil.copytree(folder, tmp_path / "mine")
    rows = (tmp_path / "mine" / "requirements.toml").read_text(encoding="utf-8")
    (tmp_path / "mine" / "requirements.toml").write_text(
        rows.replace("request.any-text", "request.any-mood"), encoding="utf-8"
    )
    run = judge(tmp_path, "--target", server.url, "--dialect", "mine")

    assert run.code == 2
    assert run.verdicts["TST-06"] == "error"
    assert "request.any-mood" in next(row.reason or "" for row in run.report.requirements if row.id == "TST-06")


# ---------------------------------------------------------------- the key


def test_the_key_is_sent_and_stands_in_no_output_and_no_file(tmp_path: Path, folder: Path, server: Loopback) -> None:
    def echoing(request: Received) -> bytes:
        given = request.header("authorization") or "none"
        if request.method == "POST" and b"no-such-model" in request.body:
            return refused(f"you said {given}", 500)
        return correct(request)

    server.handler = echoing
    run = judge(tmp_path, "--target", server.url, "--dialect", folder, "--key-env", "MY_KEY", "-rA", "-v", MY_KEY=KEY)

    assert run.code == 1
    assert {request.header("authorization") for request in server.received} == {f"Bearer {KEY}"}
    assert KEY not in run.out
    for path in (tmp_path / "conformance-report").iterdir():
        assert KEY.encode() not in path.read_bytes(), path.name


def test_without_a_target_the_plugin_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it():\n    pass\n", encoding="utf-8")
    run = judge(tmp_path)

    assert run.code == 0
    assert "1 passed" in run.out
    assert "conformance:" not in run.out


def test_the_seed_of_the_command_line_is_the_seed_of_the_run(tmp_path: Path, folder: Path, server: Loopback) -> None:
    run = judge(tmp_path, "--target", server.url, "--dialect", folder, "--hypothesis-seed", "20261125", "-k", "TST-01")

    assert run.report.seed == 20261125
