"""Measures how long a browser takes to open the report of 600 requests, and how large it is; needs Playwright and Chromium.

python benchmarks/reports/opening.py [REPORT...] [-n 7]

Without REPORT a report of 600 exchanges of 100 frames each is made, a tenth of its rows failed. Times are the browser's
own, from the start of the navigation: `load` is the end of its load event, `usable` the first frame after it in which the
filter has counted the rows, `filter` how long one click on a verdict keeps the page busy, `cpu` what the page's main thread
has computed until it was usable, which a busy machine changes least. The slowest of n runs is printed beside the median; a
page above 1 s or 3 MB ends in exit code 1.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from reports.html import html
from reports.model import Cost, ExchangeRecord, Frame, Report, RequirementResult, Target, load, this_tool

SECONDS, BYTES = 1.0, 3_000_000
TIME = "2026-11-29T12:00:00Z"
USABLE = """() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => {
  const load = performance.getEntriesByType('navigation')[0].loadEventEnd;
  done({ load, usable: performance.now(), rows: document.querySelector('#found')?.textContent ?? '' }); })))"""
FILTER = """() => new Promise(done => { const box = document.querySelector('input[name=verdict]'), start = performance.now();
  if (!box) { done(0); return; }
  box.click(); requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start))); })"""


def large() -> Report:
    """600 rows, 600 exchanges, 60,000 frames of 200 bytes."""
    frames = tuple(Frame.of(0.001 * n, b"data: " + b"z" * 192 + b"\n\n") for n in range(100))
    rows = tuple(_row(n) for n in range(600))
    url = "http://127.0.0.1:8000/v1/chat/completions"
    exchanges = tuple(
        ExchangeRecord(
            f"x{n}", "a.check", "POST", url, (), 200, (), frames, TIME, 0.1, curl="curl -sS http://127.0.0.1:8000"
        )
        for n in range(600)
    )
    facts: dict[str, Any] = {"complete": True, "reason": None, "seed": 1, "depth": "full", "level": "must"}
    facts |= {"tiers": ("seed",), "command": "pytest --target http://127.0.0.1:8000", "cost": Cost(600, 9000, 60000)}
    target = Target("http://127.0.0.1:8000", "openai", "made-up")
    return Report(this_tool(), target, TIME, TIME, requirements=rows, exchanges=exchanges, **facts)


def _row(n: int) -> RequirementResult:
    verdict = "fail" if n % 10 == 0 else "pass"
    told = {"expected": "exactly one [DONE]", "observed": "0", "evidence": (f"x{n}",)} if verdict == "fail" else {}
    says = "A sentence of some sixty characters, as most of them have."
    return RequirementResult(f"R-{n}", "MUST", "seed", f"chapter {n % 15}", says, "L1", verdict, blocking=True, **told)  # type: ignore[arg-type]


def measured(page: Path, times: int) -> dict[str, list[float]]:
    """Milliseconds by name, of each run."""
    found: dict[str, list[float]] = {"load": [], "usable": [], "cpu": [], "filter": []}
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for _ in range(times):
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            window = context.new_page()
            session = context.new_cdp_session(window)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            window.goto(page.resolve().as_uri(), wait_until="load")
            seen = window.evaluate(USABLE)
            found["load"].append(seen["load"])
            found["usable"].append(seen["usable"])
            figures = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
            found["cpu"].append(figures["TaskDuration"] * 1000)
            found["filter"].append(window.evaluate(FILTER))
            context.close()
        browser.close()
    return found


def main() -> int:
    """Render, open, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="*")
    parser.add_argument("-n", "--times", type=int, default=7)
    options = parser.parse_args()
    code = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, report in [(name, load(name)) for name in options.reports] or [("600 requests", large())]:
            page = Path(folder, "page.html")
            page.write_text(html(report), encoding="utf-8", errors="backslashreplace")
            size = page.stat().st_size
            found = measured(page, options.times)
            told = [f"{what} {statistics.median(ms):.0f} ms (slowest {max(ms):.0f})" for what, ms in found.items()]
            print(
                f"load average {os.getloadavg()[0]:.0f}; {name}: {len(getattr(report, 'exchanges', ()))} requests, {size:,} bytes, {', '.join(told)}"
            )
            code |= int(statistics.median(found["load"]) > SECONDS * 1000 or size > BYTES)
    return code


if __name__ == "__main__":
    sys.exit(main())
