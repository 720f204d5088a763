"""The load benchmarks' own parts that no benchmark checks: where peers are looked for, and how their reports are read."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Bench = Callable[[str], Any]

ROOT = Path(__file__).parent.parent
BENCH = ROOT / "benchmarks" / "load"
pytestmark = pytest.mark.skipif(not BENCH.exists(), reason="needs a checkout")
VARIABLES = ("PEER_PYTHON", "VLLM_FILE", "SGLANG_PYTHON", "GUIDELLM", "AIPERF", "PEER_TOKENIZER")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Imports a script of the benchmarks by name."""
    monkeypatch.syspath_prepend(str(BENCH))
    monkeypatch.syspath_prepend(str(BENCH / "peers"))
    for name in (*VARIABLES, "TARGET", "STREAMS", "REQUESTS"):
        monkeypatch.delenv(name, raising=False)

    def load(name: str) -> Any:  # noqa: ANN401 - a module
        for known in ("rig", "compare", "tools", "measure", "nap"):
            sys.modules.pop(known, None)
        return importlib.import_module(name)

    return load


def interpreter(folder: Path, *packages: str) -> str:
    """A stand-in for the Python of another environment: it has these packages."""
    path = folder / "python"
    cases = "".join(f"*\"'{package}'\"*) exit 0;; " for package in packages)
    path.write_text(f'#!/bin/sh\ncase "$2" in {cases}esac\nexit 1\n')
    path.chmod(0o755)
    return str(path)


def test_peers_of_another_environment_are_run_by_its_interpreter(
    bench: Bench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compare = bench("compare")
    monkeypatch.setattr(compare.rig, "build", Path)
    monkeypatch.setenv("PEER_PYTHON", interpreter(tmp_path, "aiohttp", "openai"))
    monkeypatch.setenv("VLLM_FILE", "endpoint_request_func.py")
    monkeypatch.setenv("SGLANG_PYTHON", "/elsewhere/python")

    found = compare.available()

    assert {name for name in found if found[name][:1] == [str(tmp_path / "python")]} == {"aiohttp", "openai", "vllm"}
    assert found["sglang"][0] == "/elsewhere/python"
    assert "httpx" not in found


def test_tools_are_left_out_without_their_program_or_a_tokenizer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    compare = bench("compare")
    monkeypatch.setattr(compare.rig, "build", Path)
    monkeypatch.setenv("GUIDELLM", "guidellm")
    without = set(compare.available())
    monkeypatch.setenv("PEER_TOKENIZER", "folder")

    assert ("guidellm" in without, "guidellm" in compare.available(), "aiperf" in compare.available()) == (
        False,
        True,
        False,
    )


def test_the_tools_reports_are_read_under_our_names(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "TARGET": "http://127.0.0.1:1",
        "STREAMS": "2",
        "REQUESTS": "4",
        "PEER_TOKENIZER": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "tokenizer.json").write_text("{}")
    tools, row = bench("tools"), {"p50": 1.0, "p99": 2.0}
    kept = {"successful": {"percentiles": row}}

    expected = {"ttft_p50": 1.0, "ttft_p99": 2.0, "itl_p50": 1.0, "itl_p99": 2.0}
    assert tools.of_aiperf({"time_to_first_token": row, "inter_token_latency": row}) == expected
    assert (
        tools.of_guidellm(
            {"benchmarks": [{"metrics": {"time_to_first_token_ms": kept, "inter_token_latency_ms": kept}}]}
        )
        == expected
    )
    environment = tools.offline_cache(tmp_path / "cache")
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert [path.name for path in (tmp_path / "cache").rglob("*.json")] == ["tokenizer.json"]


@pytest.mark.skipif(find_spec("locust") is None, reason="needs the load extra")
def test_the_product_without_naps_never_naps(bench: Bench, tmp_path: Path) -> None:
    text = bench("nap").NAPLESS.format(root=str(ROOT))
    (tmp_path / "napless.py").write_text(
        text + "\nfrom loadtest.reader import NAP_FROM\nprint(NAP_FROM > 10**6, ChatUser.__name__)"
    )

    done = subprocess.run([sys.executable, str(tmp_path / "napless.py")], capture_output=True, text=True, check=False)

    assert done.stdout.split() == ["True", "ChatUser"], done.stderr
