"""The commands: render, diff, gate, matrix, replay. Exit codes are 0, 1 and 2 as each command's help says."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from reports import clean, replay, words
from reports.baseline import BaselineError, load_baseline, written
from reports.diff import KINDS, TOLERANCE, diff
from reports.gate import CANNOT_JUDGE, FAILED, PASSED, judge, rows_of
from reports.matrix import matrix
from reports.model import Report, ReportError, load
from reports.redact import known_secrets, masked_text, redacted
from reports.render import RENDERERS, rendered
from reports.storage import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reports.model import LoadReport

KEY = "CHAT_API_KEY"
FIRST_LINES, LAST_LINES, LONGEST_LINE = 4, 4, 400  # of an answer, as replay shows it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.run
    try:
        return command(options)
    except (ReportError, BaselineError) as error:
        return _refused(str(error))
    except OSError as error:
        return _refused(f"{error.filename}: {error.strerror or error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reports", description="Reads reports of conformance and load runs."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _render_options(commands.add_parser("render", help="write a report in other forms"))
    _gate_options(commands.add_parser("gate", help="0 passed, 1 failed, 2 cannot judge"))
    _diff_options(
        commands.add_parser("diff", help="what changed; 0 nothing worse, 1 something worse, 2 cannot compare")
    )
    _matrix_options(commands.add_parser("matrix", help="a static site: requirements x targets"))
    _replay_options(
        commands.add_parser("replay", help="send a recorded request again; 0 changed, 1 still fails, 2 unknown")
    )
    return parser


def _render_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("report", metavar="REPORT", help="report.json or load.json, or the folder that holds it")
    for kind in RENDERERS:
        parser.add_argument(f"--{kind}", metavar="FILE", help=f"write {kind} to FILE (- for standard output)")
    _judging(parser)
    parser.set_defaults(run=_render)


def _gate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("report", metavar="REPORT", help="report.json or load.json, or the folder that holds it")
    _judging(parser)
    parser.add_argument(
        "--write-baseline", metavar="FILE", help="write a baseline that excuses what fails now, and stop"
    )
    parser.set_defaults(run=_gate)


def _judging(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--baseline", metavar="FILE", help="known failures with their reasons (TOML)")
    parser.add_argument("--level", choices=("must", "should"), help="what blocks; default: the level of the run")


def _diff_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD")
    parser.add_argument("new", metavar="NEW")
    parser.add_argument(
        "--tolerance", type=float, default=TOLERANCE, help="share by which a load figure may move (default %(default)s)"
    )
    parser.set_defaults(run=_diff)


def _matrix_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "reports",
        metavar="[NAME=]REPORT",
        nargs="+",
        help="several runs of one target are its history: same URL and model, or the same NAME",
    )
    parser.add_argument("-o", "--output", metavar="DIR", required=True)
    parser.add_argument("--level", choices=("must", "should"), help="what blocks; default: the level of each run")
    parser.set_defaults(run=_matrix)


def _replay_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("report", metavar="REPORT")
    parser.add_argument("id", metavar="ID", help="a requirement, a check or an exchange (x12)")
    parser.add_argument(
        "--key-env", metavar="NAME", default=KEY, help="the environment variable with the key (%(default)s)"
    )
    parser.add_argument(
        "--offline", action="store_true", help="send nothing: run its checks again on the recorded bytes"
    )
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="default %(default)s")
    parser.set_defaults(run=_replay)


def _render(options: argparse.Namespace) -> int:
    wanted = {kind: getattr(options, kind) for kind in RENDERERS if getattr(options, kind)}
    if not wanted:
        return _refused(f"render: say what to write: {', '.join(f'--{kind} FILE' for kind in RENDERERS)}")
    report = load(options.report)
    baseline = load_baseline(options.baseline) if options.baseline else None
    for kind, name in wanted.items():
        text = rendered(kind, report, baseline, options.level, _secrets())
        if name == "-":
            sys.stdout.write(text)
        else:
            write_atomically(Path(name), text)
    return PASSED


def _gate(options: argparse.Namespace) -> int:
    report = redacted(load(options.report), _secrets())
    baseline = load_baseline(options.baseline) if options.baseline else None
    if options.write_baseline:
        return _write_baseline(report, options)
    result = judge(report, baseline, options.level)
    for sentence in result.sentences:
        _say(f"  {sentence}")
    _say(f"{result.word}: {report.target.url} ({report.target.dialect})")
    return result.code


def _write_baseline(report: Report | LoadReport, options: argparse.Namespace) -> int:
    path = Path(options.write_baseline)
    if path.exists():
        return _refused(f"{path}: exists; a baseline is written once and then kept by hand")
    failing = [row.id for row in rows_of(report, options.level) if row.blocking and row.verdict == "fail"]
    write_atomically(path, written(report, failing, datetime.now(UTC).date()))
    _say(f"{path}: {len(failing)} excuses; write the reason of each")
    return PASSED


def _diff(options: argparse.Namespace) -> int:
    old, new = load(options.old), load(options.new)
    changes = diff(redacted(old, _secrets()), redacted(new, _secrets()), options.tolerance)
    for change in changes:
        _say(f"{change.kind:<9} {change.id}  {clean.shortened(change.text, 400)}")
    counts = {kind: sum(change.kind == kind for change in changes) for kind in KINDS}
    _say(", ".join(f"{number} {kind}" for kind, number in counts.items()))
    return FAILED if counts["worse"] else PASSED


def _matrix(options: argparse.Namespace) -> int:
    named = [_named(argument) for argument in options.reports]
    reports = [redacted(load(path), _secrets()) for _, path in named]
    folder = Path(options.output)
    for name, text in matrix(reports, options.level, [name for name, _ in named]).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    _say(f"{folder / 'index.html'}: {len(reports)} reports")
    return PASSED


def _named(argument: str) -> tuple[str | None, str]:
    """(name or None, path): what stands before the first = is a name, unless the whole is a path."""
    name, sign, path = argument.partition("=")
    return (None, argument) if not sign or not name or Path(argument).exists() else (name, path)


def _replay(options: argparse.Namespace) -> int:
    report = load(options.report)
    if not isinstance(report, Report):
        return _refused(f"{options.report}: a load report has no exchanges to replay")
    if options.offline:
        return _offline(options.report, options.id)
    one = replay.chosen(report, options.id)
    key = os.environ.get(options.key_env)
    # The report may be one that masks nothing: what is printed of it is masked here.
    secrets = known_secrets(report, filter(None, (key, replay.sent_key(one, key))))
    _say(f"sending {one.id} again: {masked_text(f'{one.method} {one.url}', secrets)}")
    old, new = replay.recorded(one), replay.send(one, key, options.timeout)
    _side_by_side(old, new, secrets)
    if new.status is None and old.status is not None:
        return _refused(masked_text(f"no answer came: {new.error}", secrets))
    return _replayed(report, options.id, replay.compared(replay.shape(old), replay.shape(new)))


def _offline(report: str, name: str) -> int:
    """Let the suite decide, in a process of its own: reports know no checks."""
    command = [sys.executable, "-m", "conformance", "replay", "--", report, name]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own module


def _replayed(report: Report, name: str, differences: list[str]) -> int:
    for sentence in differences:
        _say(f"  {sentence}")
    failed = any(row.verdict == "fail" and name == row.id for row in report.requirements)
    judged = failed or all(name != row.id for row in report.requirements)
    for often in (often for row in report.requirements if row.id == name and (often := words.seldom(row))):
        _say(f"  sent once, {often}")
    if differences:
        _say("different: the target does not answer as it did; run the check again to know whether it passes")
        return PASSED
    _say("same: the answer has the recorded shape" + (", so the failure most likely stands" if failed else ""))
    return FAILED if judged else PASSED


def _side_by_side(old: replay.Answer, new: replay.Answer, secrets: tuple[str, ...]) -> None:
    for name, answer in (("recorded", old), ("now", new)):
        status = answer.status if answer.status is not None else "no answer"
        broken = masked_text(f", {answer.error}", secrets) if answer.error else ""
        _say(
            f"{name:<9} {status} {answer.media_type or '-'}, {len(answer.body)} bytes in {answer.seconds:.3f} s{broken}"
        )
        for line in _excerpt(masked_text(answer.body.decode("utf-8", "surrogateescape"), secrets)):
            _say(f"          | {clean.shortened(line, LONGEST_LINE)}")


def _excerpt(body: str) -> list[str]:
    """The lines that hold something; of many the first and the last, as streams go wrong at their end."""
    lines = [line for line in body.splitlines() if line.strip()]
    left = len(lines) - FIRST_LINES - LAST_LINES
    if left <= 1:
        return lines
    return [*lines[:FIRST_LINES], f"[... {left} more lines ...]", *lines[-LAST_LINES:]]


def _secrets() -> tuple[str, ...]:
    key = os.environ.get(KEY)
    return (key,) if key else ()


def _refused(sentence: str) -> int:
    """Say on standard error why nothing can be judged."""
    print(f"error: {_plain(sentence, sys.stderr.encoding)}", file=sys.stderr)
    return CANNOT_JUDGE


def _say(line: str) -> None:
    print(_plain(line, sys.stdout.encoding))


def _plain(text: str, encoding: str | None) -> str:
    """The text as one harmless line that the stream can encode."""
    return clean.terminal(text).encode(encoding or "ascii", "backslashreplace").decode(encoding or "ascii")


if __name__ == "__main__":
    sys.exit(main())
