"""The pages of a load report: self-contained, escaped, and never a number of an invalid run without the word."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reports.load_html import render as html
from reports.load_markdown import render as markdown
from tests.test_load_verdict import OPEN, outcome, reported, tally_of


def document(**other: Any) -> dict[str, Any]:  # noqa: ANN401
    tally = tally_of(*(outcome(n, 50 + n % 7) for n in range(200)), outcome(201, kind="cut", message="<b>|gone"))
    return reported(tally, "ttft_p99<500ms", "e2e_p99<1ms", **other).to_json()


class Page(HTMLParser):
    """Collects what a browser would load or run, and whether tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.charts = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.charts += tag == "svg"
        self.loads += [f"{tag} {name}" for name, _ in attrs if name in {"src", "href", "onload", "onclick"}]
        self.loads += [tag] if tag in {"script", "link", "iframe", "img"} else []
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None: ...

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_loads_nothing_and_draws_its_charts() -> None:
    page = Page(html(document()))

    assert page.loads == []
    assert page.open == []
    assert page.charts == 6


def test_what_a_target_said_is_text_and_no_markup() -> None:
    assert "<b>|gone" in Page(html(document())).text
    assert "\\<b\\>\\|gone" in markdown(document())


def test_an_invalid_run_says_so_before_and_beside_its_numbers() -> None:
    spoilt = reported(tally_of(outcome(0), lags=(9000,)), conditions=OPEN).to_json()

    assert Page(html(spoilt)).text.count("INVALID") > 4
    assert markdown(spoilt).splitlines()[2].startswith("**Certificate INVALID**")
    assert "latency, ms (INVALID)" in markdown(spoilt)


def test_objectives_show_their_verdicts() -> None:
    text = Page(html(document())).text

    assert "ttft_p99<500ms" in text
    assert [
        line for line in markdown(document()).splitlines() if "e2e\\_p99\\<1ms" in line and line.endswith("| fail |")
    ]


def test_a_run_without_a_sample_has_pages_too() -> None:
    empty = reported(tally_of()).to_json()

    assert "nothing was measured" in Page(html(empty)).text
    assert "| e2e |" not in markdown(empty)


@given(st.text(max_size=40))
def test_no_name_breaks_a_page(name: str) -> None:
    told = document() | {"target": {"url": name, "dialect": name, "model": name}}

    assert Page(html(told)).open == []
    assert len(markdown(told).splitlines()) >= len(markdown(document()).splitlines()) - 1
