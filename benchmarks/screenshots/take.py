"""Makes the pictures in docs/images from real runs against the reference server; needs Playwright and Chromium.

python benchmarks/screenshots/take.py [-o docs/images] [--load FOLDER] [[NAME=]REPORT...]

The matrix shows the six dialects of the reference server, sound and broken, each in two runs; and beside them the reports
that are named, as of servers that take minutes to judge.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

from dialects import known, load

if TYPE_CHECKING:
    from collections.abc import Iterator

FAULTS = ("id-null", "created-as-text", "model-changes-in-stream")
KEY = "sk-conformance-valid"
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 375, "height": 760}
ENVIRONMENT = {**os.environ, "CHAT_API_KEY": KEY}


@contextmanager
def served(*faults: str) -> Iterator[str]:
    """The base URL of a reference server with these faults."""
    options = [word for fault in faults for word in ("--fault", fault)]
    command = [sys.executable, "-m", "reference_server", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield next(line.split()[1] for line in process.stdout or () if line.startswith("ready "))
        finally:
            process.terminate()


def judged(url: str, folder: Path, dialect: str = "openai", depth: str = "smoke") -> Path:
    """The folder of the report of a run."""
    asked = ["--dialect", dialect, "--model", load(dialect).models.example, "--depth", depth]
    run = ["pytest", "--target", url, *asked, "--report", str(folder), "-q"]
    subprocess.run([sys.executable, "-m", *run], env=ENVIRONMENT, stdout=subprocess.DEVNULL, check=False)
    return folder


def of_all_dialects(place: Path) -> list[str]:
    """NAME=REPORT of the reference server in every dialect: first broken, then sound, as after a release that mended it."""
    made: list[Path] = []
    for name, faults in (("broken", FAULTS), ("sound", ())):
        with served(*faults) as url:
            made += [judged(f"{url}/{dialect}", place / name / dialect, dialect) for dialect in known()]
    return [f"reference={folder}" for folder in made]


def main() -> None:
    """Run, open, take."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/images"))
    parser.add_argument("--load", type=Path, help="the folder of a load run's report (default: no picture of one)")
    parser.add_argument("reports", nargs="*", metavar="[NAME=]REPORT", help="reports to show in the matrix too")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        place = Path(name)
        with served() as url:
            good = judged(url, place / "good", depth="full")
        with served(*FAULTS) as url:
            bad = judged(url, place / "bad")
        shown = [*of_all_dialects(place), f"broken={bad}", *options.reports]
        site = [sys.executable, "-m", "reports", "matrix", *shown, "-o", str(place / "site")]
        subprocess.run(site, check=True, stdout=subprocess.DEVNULL)
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        take(browser, good / "report.html", options.output / "report-light.png")
        take(browser, good / "report.html", options.output / "report-dark.png", color_scheme="dark")
        take(browser, bad / "report.html", options.output / "report-narrow.png", viewport=NARROW)
        take(browser, bad / "report.html", options.output / "report.png", opened=True)
        take(browser, place / "site" / "index.html", options.output / "matrix.png")
        if options.load:
            fresh = [sys.executable, "-m", "reports", "render", str(options.load), "--html", str(place / "load.html")]
            subprocess.run(fresh, check=True)
            take(browser, place / "load.html", options.output / "load.png")
        browser.close()


def take(browser: Any, page: Path, picture: Path, *, opened: bool = False, **context: Any) -> None:  # noqa: ANN401 - Playwright's
    """A picture of what a reader sees first, or of the first failure opened."""
    window = browser.new_context(**{"viewport": WIDE, **context}).new_page()
    window.goto(page.resolve().as_uri())
    if opened:
        window.keyboard.press("n")
        window.keyboard.press("Enter")
        window.evaluate("document.activeElement.scrollIntoView({ block: 'start' }); scrollBy(0, -140)")
    window.screenshot(path=str(picture))


if __name__ == "__main__":
    main()
