"""The command line of `python -m reports`: its files, its exit codes, its one sentence when something is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reports.__main__ import main
from reports.model import LoadReport, Report, Slo, write
from tests.report_samples import exchange, load_report, report, row, with_secret

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
KINDS = ("html", "junit", "markdown", "badge", "sarif", "ctrf", "har")


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Report | LoadReport], str]:
    """Writes a report into a folder of its own; the path of its JSON document."""
    return lambda one: str(write(one, tmp_path / f"run{len(list(tmp_path.iterdir()))}"))


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reports", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("verdict", "code", "word"), [("pass", 0, "passed"), ("fail", 1, "failed"), ("error", 2, "cannot judge")]
)
def test_gate_exits_with_the_verdict(verdict: str, code: int, word: str, saved: Callable[..., str]) -> None:
    done = run("gate", saved(report(row(verdict=verdict))))

    assert (code, "") == (done.returncode, done.stderr)
    assert done.stdout.splitlines()[-1].startswith(f"{word}: http://127.0.0.1:8000/v1")


@pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("fail", 1), ("no-data", 2)])
def test_gate_judges_load_reports_too(verdict: str, code: int, saved: Callable[..., str]) -> None:
    assert code == main(["gate", saved(load_report(slo=(Slo("a<1ms", "a", 1.0, None, verdict),)))])


@pytest.mark.parametrize("text", ["", "{", '{"kind": "conformance", "schema_ver', "[]", "<xml/>", '{"results": []}'])
@pytest.mark.parametrize(
    "command", [["gate"], ["render", "--html", "out.html"], ["diff", "other.json"], ["matrix", "-o", "site"]]
)
def test_a_report_that_cannot_be_read_is_2_and_one_sentence(
    text: str, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.json").write_text(text, encoding="utf-8")
    Path("other.json").write_text(text, encoding="utf-8")

    assert main([*command, "bad.json"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert any(word in error for word in ("truncated", "damaged", "foreign"))
    assert {path.name for path in tmp_path.iterdir()} == {"bad.json", "other.json"}


def test_a_report_that_is_not_there_is_2() -> None:
    done = run("gate", "no-such-folder/report.json")

    assert done.returncode == 2
    assert done.stderr == "error: no-such-folder/report.json: unreadable: No such file or directory\n"


def test_a_failing_run_passes_with_the_baseline_it_wrote_and_a_mended_one_does_not(
    tmp_path: Path, saved: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    baseline = str(tmp_path / "baseline.toml")
    failing, mended = saved(report(row(verdict="fail"))), saved(report(row()))

    assert main(["gate", failing]) == 1
    assert main(["gate", failing, "--write-baseline", baseline]) == 0
    assert main(["gate", failing, "--baseline", baseline]) == 0
    assert main(["gate", mended, "--baseline", baseline]) == 1
    assert "the excuse for OAI-01 is no longer needed" in capsys.readouterr().out
    assert main(["gate", failing, "--write-baseline", baseline]) == 2
    assert "exists" in capsys.readouterr().err


def test_a_bad_baseline_is_2(tmp_path: Path, saved: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "b.toml").write_text("[[excuse]]\nid = 7", encoding="utf-8")

    assert main(["gate", saved(report(row())), "--baseline", str(tmp_path / "b.toml")]) == 2
    assert "reason is missing" in capsys.readouterr().err


def test_render_writes_every_form(tmp_path: Path, saved: Callable[..., str]) -> None:
    wanted = [part for kind in KINDS for part in (f"--{kind}", str(tmp_path / f"out.{kind}"))]

    assert main(["render", saved(report(row())), *wanted]) == 0
    assert all((tmp_path / f"out.{kind}").stat().st_size > 100 for kind in KINDS)


def test_render_to_standard_output(saved: Callable[..., str]) -> None:
    assert run("render", saved(report(row())), "--badge", "-").stdout.startswith("<svg")


def test_render_without_a_form_says_which_there_are(
    saved: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", saved(report(row()))]) == 2
    error = capsys.readouterr().err
    assert [kind for kind in KINDS if f"--{kind} FILE" not in error] == []


def test_render_into_a_folder_that_is_not_there_is_one_sentence(saved: Callable[..., str]) -> None:
    done = run("render", saved(report(row())), "--html", "/no/such/folder/x.html")

    assert done.returncode == 2
    assert done.stderr.startswith("error: /no/such/folder/")
    assert "Traceback" not in done.stderr


def test_render_masks_the_key_of_the_environment_in_a_report_of_another_origin(
    tmp_path: Path, saved: Callable[..., str]
) -> None:
    path = Path(saved(report(row(verdict="fail", observed="HIDDEN"), exchanges=(exchange(body=b"HIDDEN"),))))
    path.write_text(path.read_text(encoding="utf-8").replace("HIDDEN", "planted-key-1"), encoding="utf-8")
    done = run(
        "render",
        str(path),
        "--html",
        str(tmp_path / "x.html"),
        "--har",
        str(tmp_path / "x.har"),
        CHAT_API_KEY="planted-key-1",
    )

    assert done.returncode == 0
    assert not [p for p in tmp_path.glob("x.*") if "planted" in p.read_text(encoding="utf-8")]


def test_diff_is_1_exactly_when_something_is_worse(
    saved: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = saved(report(row())), saved(report(row(verdict="fail", observed="id is 7")))

    assert main(["diff", good, bad]) == 1
    assert capsys.readouterr().out.startswith("worse     OAI-01  pass -> fail (MUST): id is 7\n1 worse, 0 better")
    assert main(["diff", bad, good]) == 0
    assert main(["diff", good, good]) == 0
    assert main(["diff", good, saved(load_report())]) == 2


def test_matrix_writes_a_site(tmp_path: Path, saved: Callable[..., str]) -> None:
    one = report(row())
    two = replace(one, target=replace(one.target, model="other"))

    assert main(["matrix", saved(one), saved(two), "-o", str(tmp_path / "site")]) == 0
    names = {path.name for path in (tmp_path / "site").rglob("*.*")}
    assert {"index.html", "matrix.json"} < names
    assert len([name for name in names if name.endswith(".svg")]) == 2


def test_matrix_takes_names_before_the_paths_and_a_path_with_a_sign_is_a_path(
    tmp_path: Path, saved: Callable[..., str]
) -> None:
    odd = tmp_path / "a=b"
    odd.write_text(Path(saved(report(row()))).read_text(encoding="utf-8"), encoding="utf-8")

    assert main(["matrix", f"ours={saved(report(row()))}", str(odd), "-o", str(tmp_path / "site")]) == 0
    targets = json.loads((tmp_path / "site" / "matrix.json").read_text(encoding="utf-8"))["targets"]
    assert [target["name"] for target in targets] == ["ours", "http://127.0.0.1:8000/v1"]


def test_matrix_of_a_leaky_report_holds_no_key(tmp_path: Path, saved: Callable[..., str]) -> None:
    path = Path(saved(with_secret("planted-key-1234")))

    assert main(["matrix", str(path), "-o", str(tmp_path / "site")]) == 0
    assert not [p for p in (tmp_path / "site").rglob("*.*") if b"planted" in p.read_bytes()]


@pytest.mark.parametrize("arguments", [[], ["judge"], ["gate"], ["gate", "x", "--level", "may"], ["matrix", "x"]])
def test_a_wrong_call_is_2_with_the_usage(arguments: list[str]) -> None:
    done = run(*arguments)

    assert done.returncode == 2
    assert done.stderr.startswith("usage: python -m reports")
    assert "Traceback" not in done.stderr


def test_a_hostile_report_forges_no_line_of_the_gate(saved: Callable[..., str]) -> None:
    name = "X\n::error::forged\x1b[32m"
    done = run("gate", saved(report(row(name, "fail"), target=report().target)))

    assert done.stdout.splitlines()[0] == r"  X\n::error::forged\x1b[32m (MUST) failed"
    assert "\x1b" not in done.stdout


def test_a_terminal_of_ascii_still_shows_everything(saved: Callable[..., str]) -> None:
    done = run("gate", saved(report(row("Zeile-ä", "fail"))), PYTHONIOENCODING="ascii")

    assert done.returncode == 1
    assert r"Zeile-\xe4 (MUST) failed" in done.stdout
