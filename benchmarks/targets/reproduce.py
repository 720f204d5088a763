"""Runs the printed curl line of every failed row of a report in a shell, and says which came back as the report holds them.

    CHAT_API_KEY=... python benchmarks/targets/reproduce.py conformance-report [--level should] [--seconds 120]

One row of a Markdown table for each failed requirement, then the count. An answer counts as the same when it has the shape
that the report holds: the class of the status, the kind of body, its top-level keys, the end of its stream (see
reports/replay.py). The column *Came again* is there to be read: values are not compared.
Exit status: 0 when every line that could be run brought the same shape, 1 otherwise.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from reports.model import ExchangeRecord, Report, RequirementResult, load
from reports.replay import Answer, compared, recorded, shape
from reports.words import offender

SHOWN = 110  # characters of a body


@dataclass(frozen=True)
class Again:
    """A failed row, the answer that the report holds and the one that came now; neither where no line was printed."""

    row: RequirementResult
    was: Answer | None = None
    now: Answer | None = None

    @property
    def differences(self) -> list[str]:
        """What of the answer's shape is another one than in the report."""
        if self.was is None or self.now is None:
            return ["no request of its own to send"]
        return compared(shape(self.was), shape(self.now))


def again(row: RequirementResult, one: ExchangeRecord | None, seconds: float) -> Again:
    """Send the row's request by its curl line, as a reader of the report would."""
    if one is None or not one.curl:
        return Again(row)
    bash = shutil.which("bash") or "/bin/sh"
    began = time.monotonic()
    line = one.curl.replace("curl ", f"curl -m {seconds} ", 1)
    done = subprocess.run([bash, "-c", line], capture_output=True, check=False)
    spent = time.monotonic() - began
    error = f"curl ended with {done.returncode}: {done.stderr.decode(errors='replace').strip()}"
    answer = _read(done.stdout, spent, error if done.returncode else None)
    return Again(row, recorded(one), answer)


def _read(printed: bytes, seconds: float, error: str | None) -> Answer:
    """What `curl -i` has printed: the status line, the headers, an empty line, the body."""
    head, _, body = printed.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/") and head.split(b" ")[1].startswith(b"1"):  # 100 Continue
        head, _, body = body.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/"):
        return Answer(None, (), b"", seconds, error)
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
    return Answer(int(status.split(" ")[1]), headers, body, seconds, error)


def told(answer: Answer | None) -> str:
    """An answer in a cell of a table."""
    if answer is None:
        return "-"
    if answer.status is None:
        return answer.error or "no answer"
    text = " ".join(answer.body.decode("utf-8", "replace").split())
    return f"{answer.status} `{text[:SHOWN].replace('|', chr(92) + '|')}`" if text else f"{answer.status}, no body"


def main() -> int:
    """Send, print, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("--level", default="must", choices=("must", "should"), help="should: those rows too")
    parser.add_argument("--seconds", type=float, default=120, help="how long a request may take")
    options = parser.parse_args()
    report = load(options.report / "report.json" if options.report.is_dir() else options.report)
    if not isinstance(report, Report):
        sys.exit(f"{options.report} is the report of a load run")
    levels = {"MUST", "SHOULD"} if options.level == "should" else {"MUST"}
    failed = [row for row in report.requirements if row.verdict == "fail" and row.level in levels]
    print("| Row | Level | Came again | Same shape |\n|---|---|---|---|")
    results = []
    for row in failed:
        one = again(row, offender(report, row), options.seconds)
        results.append(one)
        print(f"| {row.id} | {row.level} | {told(one.now)} | {'; '.join(one.differences) or 'yes'} |", flush=True)
    sent = [one for one in results if one.now is not None]
    same = [one for one in sent if not one.differences]
    print(
        f"\n{len(same)} of {len(sent)} lines came back with the same shape; {len(failed) - len(sent)} rows have none."
    )
    return 0 if len(same) == len(sent) else 1


if __name__ == "__main__":
    sys.exit(main())
