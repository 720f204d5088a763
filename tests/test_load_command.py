"""`python -m loadtest`: the scenarios for people, and the exit codes."""

from __future__ import annotations

import tomllib

import pytest

from loadtest import UsageError, scenarios
from loadtest.__main__ import main
from loadtest.slo import parse


def test_every_scenario_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(scenarios.known())


def test_a_scenario_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for name in scenarios.known():
        assert main(["show", name]) == 0
        assert scenarios.from_table(tomllib.loads(capsys.readouterr().out)) == scenarios.load(name)


def test_the_options_that_locust_does_not_list_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["options"]) == 0
    said = capsys.readouterr().out
    assert [
        word for word in ("--scenario NAME", "--slo TERMS", "--calibrate", "error_rate<0.1%") if word not in said
    ] == []


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), ([], 4), (["lisst"], 4), (["show"], 4)])
def test_help_is_no_error_and_a_wrong_call_is(arguments: list[str], code: int) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == code


def test_an_unknown_scenario_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "nope"]) == 4
    assert "known are burst, chat" in capsys.readouterr().err


def test_an_objective_without_a_statistic_says_how_to_name_one() -> None:
    with pytest.raises(UsageError, match="'ttft' needs a statistic: ttft_p99"):
        parse(["ttft<5ms"])
