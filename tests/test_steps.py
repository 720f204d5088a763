"""`python -m tests`: a step that takes too long is ended, and the real engine is left out for a reason that is told."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests import __main__ as steps

if TYPE_CHECKING:
    from pathlib import Path


def test_a_step_that_takes_too_long_is_interrupted_and_has_failed(tmp_path: Path) -> None:
    told = tmp_path / "told"
    code = f"import time\ntry: time.sleep(600)\nexcept KeyboardInterrupt: open({str(told)!r}, 'w').close()"

    assert steps.run([sys.executable, "-c", code], 3.0) == 1
    assert told.exists()


@pytest.mark.parametrize(("code", "status"), [("pass", 0), ("raise SystemExit(3)", 3)])
def test_a_step_that_ends_has_its_own_status(code: str, status: int) -> None:
    assert steps.run([sys.executable, "-c", code], 60.0) == status


def test_the_engine_is_left_out_where_pytest_is_given_arguments() -> None:
    assert steps.why_not_sglang(["-k", "sse"]) == "the arguments choose among the other tests"


def test_the_engine_is_left_out_where_pip_has_no_torch_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(steps, "ROOT", tmp_path)

    reason = steps.why_not_sglang([])

    assert reason is not None
    assert "torch" in reason or "free" in reason or "Linux" in reason
