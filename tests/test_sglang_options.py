"""Starting SGLang: what the command line may say, what wins over what, and what is said when it cannot start."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from reference_server.engine import sglang_options
from reference_server.engine.sglang_options import EngineError

ROOT = Path(__file__).parents[1]
missing = pytest.mark.skipif(
    find_spec("sglang") is not None, reason="sglang is installed here; this is about its absence"
)


def serve(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reference_server", "--port", "0", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("dp_size=2", {"dp_size": 2}),
        ("--dp-size=2", {"dp_size": 2}),
        ("mem_fraction_static=0.5", {"mem_fraction_static": 0.5}),
        ("enable_metrics=true", {"enable_metrics": True}),
        ("disable_radix_cache=False", {"disable_radix_cache": False}),
        ("quantization=fp8", {"quantization": "fp8"}),
        ("json_model_override_args={'a'=1}", {"json_model_override_args": "{'a'=1}"}),
        ("chat_template=", {"chat_template": ""}),
    ],
)
def test_an_engine_argument_is_read_as_json_or_else_as_text(text: str, values: dict[str, Any]) -> None:
    assert sglang_options.parse([text]) == values


def test_the_last_of_two_equal_keys_counts() -> None:
    assert sglang_options.parse(["dp_size=2", "dp_size=4"]) == {"dp_size": 4}


@pytest.mark.parametrize("text", ["dp_size", "=2", "two words=1", ""])
def test_an_engine_argument_without_key_and_value_is_refused(text: str) -> None:
    with pytest.raises(EngineError, match="is not KEY=VALUE"):
        sglang_options.parse([text])


def test_what_the_server_sets_itself_cannot_be_given() -> None:
    with pytest.raises(EngineError, match="model_path: the server sets it itself"):
        sglang_options.parse(["model_path=elsewhere"])


def test_what_is_given_wins_over_defaults_and_the_model_over_all() -> None:
    chosen = sglang_options.arguments("model", {"device": "cpu", "max_total_tokens": 512}, cpu=True)

    assert chosen["max_total_tokens"] == 512
    assert chosen["attention_backend"] == "torch_native"
    assert chosen["model_path"] == "model"


def test_a_gpu_keeps_sglangs_own_choice_of_kernels_and_memory() -> None:
    chosen = sglang_options.arguments("model", {}, cpu=False)

    assert not {"device", "attention_backend", "max_total_tokens", "max_running_requests"} & chosen.keys()


def test_the_environment_of_a_cpu_is_set_and_what_the_user_set_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in sglang_options.CPU_ENVIRONMENT:
        monkeypatch.setenv(name, "x")
        monkeypatch.delenv(name)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")

    sglang_options.prepare_environment(cpu=True)

    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    assert os.environ["SGLANG_USE_CPU_ENGINE"] == "1"


@pytest.mark.parametrize(
    ("given", "cores", "shares"),
    [
        ({}, 4, None),
        ({"dp_size": 1, "tp_size": None}, 4, None),
        ({"dp_size": 2}, 2, "0|1"),
        ({"dp_size": 2, "tp_size": 2}, 8, "0,1|2,3|4,5|6,7"),
        ({"dp_size": 2}, 3, "0|1,2"),
    ],
)
def test_ranks_share_the_cores(
    given: dict[str, Any], cores: int, shares: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setenv(sglang_options.CORES, "")
    monkeypatch.delenv(sglang_options.CORES)

    sglang_options.share_cores(given)

    assert os.environ.get(sglang_options.CORES) == shares


def test_cores_that_the_user_chose_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setenv(sglang_options.CORES, "1|0")

    sglang_options.share_cores({"dp_size": 2})

    assert os.environ[sglang_options.CORES] == "1|0"


def test_more_ranks_than_cores_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})

    with pytest.raises(EngineError, match="is 4, and there are 2 cores"):
        sglang_options.share_cores({"dp_size": 2, "tp_size": 2})


def test_a_model_that_thinks_takes_its_grammars_from_where_sglang_can_wait_for_its_thought() -> None:
    thinking = {"reasoning_parser": "qwen3"}

    assert sglang_options.arguments("model", {}, cpu=True)["grammar_backend"] == "llguidance"
    assert sglang_options.arguments("model", thinking, cpu=True)["grammar_backend"] == "xgrammar"
    assert (
        sglang_options.arguments("model", {**thinking, "grammar_backend": "none"}, cpu=True)["grammar_backend"]
        == "none"
    )


@pytest.mark.parametrize("model", ["/nowhere/model", "./model", "~/model", "model", "a/b/c"])
def test_a_model_that_is_not_there_is_named_and_told_how_to_make(model: str) -> None:
    with pytest.raises(EngineError, match=r"there is no such folder.*sglang_cpu\.models"):
        sglang_options.check_model(model)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"holds no config\.json"):
        sglang_options.check_model(str(tmp_path))


def test_a_folder_with_a_model_is_served_without_asking_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    (tmp_path / "config.json").write_text("{}")

    sglang_options.check_model(str(tmp_path))

    assert os.environ["HF_HUB_OFFLINE"] == "1"


@missing
def test_without_the_package_the_server_says_so_and_ends_with_2() -> None:
    done = serve("--engine", "sglang", "--model", "/nowhere/model")

    assert done.returncode == 2
    assert "--engine sglang cannot be used here: No module named 'sglang'" in done.stderr


def test_an_engine_argument_that_is_none_is_a_usage_error() -> None:
    done = serve("--engine-arg", "dp_size=2")

    assert done.returncode == 2
    assert "--engine-arg is for --engine sglang" in done.stderr
