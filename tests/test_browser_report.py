"""The pages in a real browser: headless Chromium by Playwright, axe-core from node_modules (NODE_PATH)."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reports.html import html
from reports.matrix import matrix
from reports.model import Frame, Report, Target
from tests.report_samples import HOSTILE, LATER, exchange, load_report, report, row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reports.model import LoadReport

sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FOLDERS = [Path(name) for name in os.environ.get("NODE_PATH", "node_modules").split(os.pathsep) if name]
AXE = next((path for folder in FOLDERS if (path := folder / "axe-core" / "axe.min.js").is_file()), None)
NARROW, WIDE = {"width": 375, "height": 720}, {"width": 1280, "height": 900}
PAGES = ("passing", "failing", "hostile", "empty", "load", "matrix/index")
LIMIT = 3_000_000

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")


@dataclass
class Browser:
    """A browser, the folder of the pages, and what went wrong in them."""

    browser: Any
    folder: Path
    troubles: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, name: str, size: dict[str, int] = WIDE, **options: Any) -> Any:  # noqa: ANN401 - Playwright's Page
        """The page of that name in a window of its own."""
        page = self.browser.new_context(viewport=size, **options).new_page()
        page.on("console", lambda message: self.troubles.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("dialog", lambda dialog: self.troubles.append(f"dialog {dialog.message}"))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto((self.folder / f"{name}.html").as_uri())
        return page


def failing() -> Report:
    rows = (
        row("OAI-01"),
        row("OAI-02", "fail", expected="no 8", observed="in chunk 9: n is 8", evidence=("x1",), chapter="stream"),
        row("OAI-03", "fail", "SHOULD", expected="a time", observed="words", evidence=("x2",)),
        row("OAI-04", "untested", "MAY", reason="needs a key"),
        row("OAI-05", "fail", expected="no end", observed="end is none", evidence=("x3",)),
    )
    frames = tuple(Frame.of(0.01 * n, f'data: {{"n":{n}}}\n\n'.encode()) for n in range(9))
    long = b'{"a":"' + b"long " * 1800 + b'","end":none}'
    return report(
        *rows, exchanges=(exchange("x1", frames=frames), exchange("x2", 500, b"oops"), exchange("x3", body=long))
    )


def hostile() -> Report:
    rows = [row(f"H-{n}{text}", "fail", says=text, observed=text, evidence=("x1",)) for n, text in enumerate(HOSTILE)]
    return report(*rows, exchanges=(exchange("x1", body="".join(HOSTILE).encode("utf-8", "replace")),))


def large() -> Report:
    rows = [row(f"R-{n}", "fail" if n % 9 == 0 else "pass", evidence=(f"x{n}",)) for n in range(600)]
    frames = tuple(Frame.of(0.001 * n, b"data: " + b"z" * 200 + b"\n\n") for n in range(100))
    return report(*rows, exchanges=tuple(exchange(f"x{n}", frames=frames) for n in range(600)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("pages")
    kinds: dict[str, Report | LoadReport] = {
        "passing": report(row()),
        "failing": failing(),
        "hostile": hostile(),
        "empty": report(),
        "large": large(),
        "load": load_report(),
    }
    for name, one in kinds.items():
        (place / f"{name}.html").write_bytes(html(one).encode("utf-8", "backslashreplace"))
    runs = [
        failing(),
        report(row(), started=LATER),
        report(row("OAI-02"), target=Target("http://b/v1", "openai", "big")),
    ]
    for name, text in matrix(runs).items():
        path = place / "matrix" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def browser(chromium: Any, folder: Path) -> Iterator[Browser]:  # noqa: ANN401 - Playwright's Browser
    """Every test ends with no word on the console and no request but for the page itself."""
    one = Browser(chromium, folder)
    yield one
    for context in chromium.contexts:
        context.close()
    assert one.troubles == []
    assert [url for url in one.requests if not url.startswith(("file:", "data:"))] == []


def ids(page: Any) -> list[str]:  # noqa: ANN401 - Playwright's Page
    return [text for text in page.locator("[data-row]:visible summary .id").all_inner_texts() if text.startswith("OAI")]


def soon(page: Any, expression: str, argument: object = None) -> None:  # noqa: ANN401 - Playwright's Page
    """Wait until the expression is true. The pages forbid what Playwright's own way needs from its second look on: eval."""
    for _ in range(200):
        if page.evaluate(expression, argument):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"not within ten seconds: {expression}")


def test_filters_by_verdict_level_and_text_and_clears(browser: Browser) -> None:
    page = browser.open("failing")
    assert sorted(ids(page)) == ["OAI-01", "OAI-02", "OAI-03", "OAI-04", "OAI-05"]

    page.check("input[name=verdict][value=fail]", force=True)
    assert sorted(ids(page)) == ["OAI-02", "OAI-03", "OAI-05"]
    page.check("input[name=level][value=MUST]", force=True)
    assert (sorted(ids(page)), page.inner_text("#found")) == (["OAI-02", "OAI-05"], "2 of 5 rows")
    page.click("button[type=reset]")
    page.fill("#q", "oai-04 NEEDS")
    assert ids(page) == ["OAI-04"]
    page.fill("#q", "no such text")
    assert ids(page) == []


def test_copy_buttons_copy_the_line_beside_them(browser: Browser) -> None:
    page = browser.open("failing", permissions=["clipboard-read", "clipboard-write"])
    page.click("#row-OAI-02 > summary")
    button = page.locator("#row-OAI-02 [data-copy]:visible").last
    wanted = button.evaluate("b => b.previousElementSibling.textContent")

    button.click()
    button.and_(page.get_by_text("Copied")).wait_for()

    assert wanted == "python -m reports replay report.json OAI-02"
    assert page.evaluate("navigator.clipboard.readText()") == wanted


def test_the_keyboard_alone_reaches_a_failure_and_opens_it(browser: Browser) -> None:
    page = browser.open("failing")

    page.keyboard.press("n")
    page.keyboard.press("Enter")
    first = page.evaluate("document.activeElement.closest('[data-row]').id")
    page.keyboard.press("n")
    second = page.evaluate("document.activeElement.closest('[data-row]').id")
    page.keyboard.press("/")
    page.keyboard.type("OAI-01")

    assert [first, second] == ["row-OAI-03", "row-OAI-05"]
    assert page.evaluate("id => document.getElementById(id).open", first) is True
    assert ids(page) == ["OAI-01"]
    page.keyboard.press("Escape")
    soon(page, "document.querySelector('#found').textContent.startsWith('5 of')")


def test_a_link_to_a_row_opens_it(browser: Browser) -> None:
    page = browser.open("failing")
    page.click("header a[href='#row-OAI-02']")
    soon(page, "document.getElementById('row-OAI-02').open")
    assert page.locator("#row-OAI-02 .versus").is_visible()


def test_an_opened_failure_shows_its_mark(browser: Browser) -> None:
    page = browser.open("failing")
    page.click("#row-OAI-02 > summary")
    assert page.inner_text("#row-OAI-02 mark.bad") == '"n":8'
    assert page.locator("#row-OAI-02 mark.bad").get_attribute("title") == "OAI-02: in chunk 9: n is 8"

    page.click("#row-OAI-05 > summary")
    box = page.locator("#row-OAI-05 .wire > li pre").last
    assert box.evaluate("b => b.scrollHeight > b.clientHeight")
    seen = "b => { const m = b.querySelector('mark').getBoundingClientRect(), r = b.getBoundingClientRect();"
    soon(page, f"b => ({seen} return m.top >= r.top && m.bottom <= r.bottom }})(b)", box.element_handle())


def test_the_theme_follows_the_system_and_the_button(browser: Browser) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    dark = browser.open("failing", color_scheme="dark").evaluate(background)
    page = browser.open("failing", color_scheme="light")
    light = page.evaluate(background)
    page.click("[data-theme-toggle]")
    page.click("[data-theme-toggle]")

    assert dark != light
    assert (page.inner_text("[data-theme-toggle]"), page.evaluate(background)) == ("Theme: dark", dark)


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_shows_a_page_without_scrolling_sideways(browser: Browser, name: str) -> None:
    page = browser.open(name, NARROW)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")

    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


@pytest.mark.skipif(AXE is None, reason="needs axe-core: npm install axe-core, and NODE_PATH set to that node_modules")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(browser: Browser, name: str, scheme: str) -> None:
    assert AXE is not None
    page = browser.open(name, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    page.evaluate(AXE.read_text(encoding="utf-8"))

    found = page.evaluate("axe.run()")

    serious = [
        f"{v['id']}: {v['nodes'][0]['html']}" for v in found["violations"] if v["impact"] in ("serious", "critical")
    ]
    assert found["passes"]
    assert serious == []


def test_hostile_text_runs_nothing_and_asks_nobody(browser: Browser) -> None:
    page = browser.open("hostile")
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")

    assert page.locator("[data-row]").count() == len(HOSTILE)
    assert page.evaluate("document.scripts.length") == 1
    assert page.evaluate("document.querySelectorAll('img, iframe, object, [onload], [onerror]').length") == 0


def test_a_page_of_600_requests_is_small_and_still_filters(browser: Browser) -> None:
    assert (browser.folder / "large.html").stat().st_size < LIMIT
    page = browser.open("large")

    page.check("input[name=verdict][value=fail]", force=True)

    assert page.inner_text("#found") == "67 of 600 rows"
    assert page.locator("[data-row]:visible").count() == 67


def test_the_matrix_sorts_and_leads_to_the_row_and_the_badges(browser: Browser) -> None:
    page = browser.open("matrix/index")
    runs = page.locator(".runs").all()
    assert sorted(cell.locator(".dot").count() for cell in runs) == [1, 2]  # a history of two runs, and a single one

    head = page.locator("th[data-sort]", has_text="target")
    head.locator("button").click()
    first = page.locator("table").first.locator("tbody th").all_inner_texts()
    head.locator("button").click()
    assert page.locator("table").first.locator("tbody th").all_inner_texts() == first[::-1]
    assert head.get_attribute("aria-sort") == "descending"

    links = page.locator("a").evaluate_all("all => all.map(a => a.getAttribute('href').split('#')[0])")
    assert {link for link in links if link and not (browser.folder / "matrix" / link).is_file()} == set()
    page.locator("td a.plain").first.click()
    soon(page, "location.hash && document.querySelector('[data-row][open]')")
