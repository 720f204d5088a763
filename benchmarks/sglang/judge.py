"""Judges the reference server on SGLang with the suite, in six dialects, and prints a table for docs/sglang.md.

    python benchmarks/sglang/judge.py --model DIR [--depth smoke|full] [--dialect NAME]... [--at-once N]
                                       [--report DIR] [--engine-arg KEY=VALUE]...
    python benchmarks/sglang/judge.py --url http://127.0.0.1:8000 ...      (a server that runs already)

Exit status: 0 when no MUST and no SHOULD failed and every run could judge, 1 otherwise. A MAY that the server does not take up
is listed and is no failure. `--at-once` judges several dialects at the same time, so that the engine answers in batches and the whole
takes less; a key of the server has its limits per dialect, so the runs do not touch each other.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rig

import dialects

PROFILE = rig.ROOT / "docs" / "targets" / "sglang.profile.toml"
WINDOW = "context_length=1024"  # so that a model that does not stop is stopped
COLUMNS = ("pass", "fail", "inconclusive", "untested", "not_applicable", "error", "not_run")


@dataclass
class Verdict:
    """What one run has shown. `failed` are MUST and SHOULD, `declined` MAY, `doubtful` the inconclusive; each (id, reason)."""

    dialect: str
    seconds: float
    exit_code: int
    counts: dict[str, int] = field(default_factory=dict)
    failed: list[tuple[str, str]] = field(default_factory=list)
    declined: list[tuple[str, str]] = field(default_factory=list)
    doubtful: list[tuple[str, str]] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether the run could judge and nothing failed."""
        return self.exit_code == 0 and not self.failed and bool(self.counts)


def main() -> int:
    """Judge, print, decide."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--model", type=Path, help="start a server with this model")
    where.add_argument("--url", help="judge this server")
    parser.add_argument("--depth", default="smoke", choices=["smoke", "full", "deep"])
    parser.add_argument("--dialect", action="append", choices=dialects.known())
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="dialects that are judged at the same time")
    parser.add_argument("--report", type=Path, default=Path("sglang-report"))
    parser.add_argument("--engine-arg", action="append", default=[WINDOW], metavar="KEY=VALUE")
    options = parser.parse_args()
    options.report.mkdir(parents=True, exist_ok=True)

    started = (
        rig.ours(options.model, options.engine_arg, options.report / "server.log") if options.model else nullcontext()
    )
    with started as server, ThreadPoolExecutor(options.at_once) as pool:
        url = server.chat.removesuffix("/v1/chat/completions") if server else options.url
        verdicts = list(pool.map(lambda name: _judge(url, name, options), options.dialect or dialects.known()))
    print(table(verdicts))
    return 0 if all(verdict.holds for verdict in verdicts) else 1


def _judge(url: str, dialect: str, options: argparse.Namespace) -> Verdict:
    folder = options.report / f"{options.depth}-{dialect}"
    facts = dialects.load(dialect)
    model = [] if facts.paths.models else ["--model", facts.models.example]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--target", f"{url}/{dialect}"]
    command += [
        "--dialect",
        dialect,
        "--depth",
        options.depth,
        "--profile",
        str(PROFILE),
        "--report",
        str(folder),
        *model,
    ]
    start = time.monotonic()
    with (options.report / f"{options.depth}-{dialect}.txt").open("wb") as output:
        environment = {**os.environ, "CHAT_API_KEY": rig.KEY}
        done = subprocess.run(
            command, cwd=rig.ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    verdict = read(folder / "report.json", Verdict(dialect, time.monotonic() - start, done.returncode))
    print(f"{dialect}: exit {verdict.exit_code}, {len(verdict.failed)} failed, {verdict.seconds:.0f} s", flush=True)
    return verdict


def read(report: Path, verdict: Verdict) -> Verdict:
    """The verdict, completed from a report."""
    if not report.exists():
        return verdict
    document: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    for row in document["requirements"]:
        word = row["verdict"].replace("-", "_")
        verdict.counts[word] = verdict.counts.get(word, 0) + 1
        said = (row["id"], row["reason"] or "")
        if word == "fail":
            (verdict.declined if row["level"] == "MAY" else verdict.failed).append(said)
        elif word == "inconclusive":
            verdict.doubtful.append(said)
    return verdict


def table(verdicts: list[Verdict]) -> str:
    """Markdown: a row for each dialect, then what failed, what was declined and what stayed open, each with its reason."""
    lines = [f"| dialect | {' | '.join(COLUMNS)} | seconds |", "|---" * (len(COLUMNS) + 2) + "|"]
    for verdict in verdicts:
        counts = " | ".join(str(verdict.counts.get(column, 0)) for column in COLUMNS)
        lines.append(f"| {verdict.dialect} | {counts} | {verdict.seconds:.0f} |")
    for title, name in (("Failed", "failed"), ("MAY, not taken up", "declined"), ("Inconclusive", "doubtful")):
        rows = [(verdict.dialect, *row) for verdict in verdicts for row in getattr(verdict, name)]
        lines += [
            "",
            f"{title}: {len(rows) or 'none'}",
            *(f"* {dialect} {row}: {reason}" for dialect, row, reason in rows),
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
