"""Judge every dialect of the reference server by every document, to see where the documents differ.

    python -m benchmarks.cross [--depth full] [--write docs/cross.md]

36 runs of the suite against one server. On the diagonal nothing may fail; off it the failed rows are the differences of two
documents. A run that errs is a fault of ours and ends the command with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

from dialects import known, load

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "CHAT_API_KEY": "cross-benchmark-key-0123456789"}
ENOUGH = "4000"  # where two documents differ much, the failures of a run are many, and each is sent again
Json = dict[str, Any]
CANNOT_JUDGE = 2


def main() -> int:
    """Exit status: 0, or 1 when a run erred or something failed on the diagonal."""
    options = _options()
    command = [sys.executable, "-m", "reference_server", "--port", "0", "--itl-ms", "0.5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT, cwd=ROOT) as server:
        try:
            url = _ready(server)
            pairs = list(product(known(), repeat=2))
            with ThreadPoolExecutor(2) as pool:
                reports = dict(
                    zip(pairs, pool.map(lambda pair: _judged(url, *pair, options.depth), pairs), strict=True)
                )
        finally:
            server.terminate()
    text = _page(reports, options.depth)
    print(text)
    if options.write:
        Path(options.write).write_text(text, encoding="utf-8")
    return int(any(_bad(served, judged, report) for (served, judged), report in reports.items()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", default="full", choices=("smoke", "full"))
    parser.add_argument("--write", metavar="FILE")
    return parser.parse_args()


def _ready(server: subprocess.Popen[str]) -> str:
    line = server.stdout.readline() if server.stdout else ""
    if not line.startswith("ready "):
        raise SystemExit("the reference server did not start")
    return line.removeprefix("ready ").strip()


def _judged(url: str, served: str, judged: str, depth: str) -> Json:
    """The report of the server in one dialect, judged as another."""
    with tempfile.TemporaryDirectory() as folder:
        where = ["--target", f"{url}/{served}", "--model", load(served).models.example, "--dialect", judged]
        command = [
            sys.executable,
            "-m",
            "pytest",
            *where,
            "--depth",
            depth,
            "--max-requests",
            ENOUGH,
            "--report",
            folder,
            "-q",
            "-p",
            "no:cacheprovider",
        ]
        run = subprocess.run(command, env=ENVIRONMENT, cwd=ROOT, check=False, capture_output=True, text=True)
        path = Path(folder) / "report.json"
        if path.is_file():
            report: Json = json.loads(path.read_text(encoding="utf-8"))
            return report
        absent = run.returncode == CANNOT_JUDGE and "no chat-completions endpoint" in run.stdout + run.stderr
        return {"requirements": [], "lost": not absent, "absent": absent}


def _rows(report: Json, verdict: str) -> list[str]:
    return [row["id"] for row in report["requirements"] if row["verdict"] == verdict and row["level"] != "MAY"]


def _bad(served: str, judged: str, report: Json) -> bool:
    return bool(report.get("lost") or _rows(report, "error") or (served == judged and _rows(report, "fail")))


def _page(reports: dict[tuple[str, str], Json], depth: str) -> str:
    names = known()
    lines = [
        "# Every dialect judged by every document",
        "",
        f"Made by `python -m benchmarks.cross --depth {depth}`. Rows: what the reference server speaks; columns: whose document judges.",
        "A cell counts the failed MUST and SHOULD rows; `no endpoint`: nothing answers at the document's path; `!`: a run that erred.",
        "",
        "| server | " + " | ".join(names) + " |",
        "|---|" + "---:|" * len(names),
    ]
    for served in names:
        cells = [_cell(reports[served, judged]) for judged in names]
        lines += [f"| {served} | " + " | ".join(cells) + " |"]
    lines += ["", "## The rows in which the documents differ", ""]
    for (served, judged), report in reports.items():
        failed = _rows(report, "fail")
        if served != judged and failed:
            lines += [f"- **{served}** judged as **{judged}**: {', '.join(failed)}"]
    return "\n".join(lines) + "\n"


def _cell(report: Json) -> str:
    if report.get("absent"):
        return "no endpoint"
    return "!" if report.get("lost") or _rows(report, "error") else str(len(_rows(report, "fail")))


if __name__ == "__main__":
    sys.exit(main())
