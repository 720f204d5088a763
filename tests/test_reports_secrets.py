"""No key comes out: planted in headers, URLs, bodies and echoed by the target, it is in no file and in no line of any command."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from reports.__main__ import main
from reports.model import Certificate, Frame, RowCheck, write
from reports.render import RENDERERS
from tests.report_samples import LATER, exchange, load_report, report, row, with_secret
from tests.test_reports_hostile import secrets

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from reports.model import Report

relaxed = settings(deadline=None, max_examples=12, phases=[Phase.explicit, Phase.generate])  # each writes twenty files
spellings = st.sampled_from(
    (
        lambda key: key,
        lambda key: quote(key, safe=""),
        lambda key: base64.b64encode(key.encode()).decode(),
        lambda key: key.encode().hex(),
        lambda key: json.dumps({"echo": [key]}),
    )
)


def saved(one: Report, folder: Path) -> str:
    """The document as a tool that masks nothing would write it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.json"
    path.write_text(json.dumps(one.to_json()), encoding="utf-8", errors="surrogatepass")
    return str(path)


def everything(one: Report, other: Report, folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """All that the commands make of a report, by name: files, and what they print."""
    this, that = saved(one, folder / "a"), saved(other, folder / "b")
    out = folder / "out"
    out.mkdir()
    renders = [part for kind in RENDERERS for part in (f"--{kind}", str(out / kind))]
    commands = {
        "render": ["render", this, *renders],
        "matrix": ["matrix", this, that, "-o", str(out / "site")],
        "gate": ["gate", this],
        "gate should": ["gate", this, "--level", "should"],
        "baseline": ["gate", this, "--write-baseline", str(out / "known.toml")],
        "better": ["diff", this, that],
        "worse": ["diff", that, this],
        "replay": ["replay", this, "x1", "--timeout", "1"],
    }
    said = {}
    for name, arguments in commands.items():
        main(arguments)
        captured = capsys.readouterr()
        said[name] = captured.out + captured.err
    write(one, out / "folder")
    files = [path for path in out.rglob("*") if path.is_file()]
    return said | {str(path.relative_to(out)): path.read_text(encoding="utf-8") for path in files}


@relaxed
@given(key=secrets, cuts=st.lists(st.integers(1, 40), max_size=3), spelled=spellings)
def test_no_command_lets_a_key_out(
    key: str,
    cuts: list[int],
    spelled: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    echo = spelled(key)
    raw = f"data: {echo}\n\n".encode()
    borders = [0, *sorted({min(cut, len(raw)) for cut in cuts}), len(raw)]
    frames = tuple(Frame.of(0.1 * n, raw[a:b]) for n, (a, b) in enumerate(pairwise(borders)))
    told = f"the target said {echo}"
    leaky = with_secret(key)
    rows = (
        *leaky.requirements,
        row("OAI-02", "inconclusive", reason=told),
        row("OAI-03", "untested", reason=told, checks=(RowCheck("a.check", "untested", told),)),
        row(
            "OAI-04", "fail", "MAY", observed=told, reason=f"now and then, in 3 of 9 answers: {told}", evidence=("x2",)
        ),
    )
    exchanges = (*leaky.exchanges, exchange("x2", frames=frames, error=told, response_headers=(("x-key", echo),)))
    facts: dict[str, Any] = {"command": leaky.command, "target": leaky.target}
    one = report(*rows, exchanges=exchanges, complete=False, reason=told, **facts)
    other = report(row(), row("OAI-02", "fail", observed=told), started=LATER, exchanges=leaky.exchanges, **facts)

    made = everything(one, other, tmp_path_factory.mktemp("keys"), capsys)

    assert len(made) > 20
    assert [name for name, text in made.items() if key in text or echo in text] == []


def test_no_rendering_of_a_load_report_lets_the_key_of_the_run_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "planted-key-0123456789"
    monkeypatch.setenv("CHAT_API_KEY", key)
    one = load_report(certificate=Certificate("INVALID", (f"said {key}",)), scenario={"name": f"chat {key}"})
    path = tmp_path / "load.json"
    path.write_text(json.dumps(one.to_json()), encoding="utf-8")
    kinds = [kind for kind in RENDERERS if kind != "har"]

    assert main(["render", str(path), *(part for kind in kinds for part in (f"--{kind}", str(tmp_path / kind)))]) == 0
    assert [kind for kind in kinds if key in (tmp_path / kind).read_text(encoding="utf-8")] == []
