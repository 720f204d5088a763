"""A target that writes whatever it likes gains nothing in any rendering, and no secret comes through."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from reports import clean
from reports.__main__ import main
from reports.matrix import matrix
from reports.model import Frame, LoadReport, Report, write
from reports.redact import masked_text, redacted
from reports.render import RENDERERS, rendered
from reports.terminal import summarise
from tests.report_samples import HOSTILE, exchange, load_reports, report, reports, row, texts, with_secret

relaxed = settings(deadline=None, max_examples=80)
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~+/="
secrets = st.text(signs, min_size=6, max_size=40).map(lambda text: f"Zq9{text}9qZ")  # no word of a page by chance
WORDS_OF_OURS = re.compile(
    r"$|chapter |all |.{20} +[\d.]|[A-Z]+ |certificate |metric |  (says|place|expected|observed|reason|answer|curl|replay) "
    r"|  \S|\.\.\. and "
)


class Page(HTMLParser):
    """What a browser would make of a page: elements, attributes, scripts, styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.inline: dict[str, list[str]] = {"script": [], "style": []}
        self.open: str | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.open = tag if tag in self.inline else None
        if self.open:
            self.inline[tag].append("")

    def handle_data(self, data: str) -> None:
        if self.open:
            self.inline[self.open][-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.open = None if tag in self.inline else self.open


def asset(name: str) -> str:
    return (Path(clean.__file__).parent / "templates" / name).read_text(encoding="utf-8")


def assert_harmless(text: str) -> None:
    page = Page(text)

    assert [asset("report.js")] == page.inline["script"]
    assert [asset("report.css")] == page.inline["style"]
    assert not page.elements & {
        "iframe",
        "object",
        "embed",
        "img",
        "link",
        "base",
        "image",
        "foreignobject",
        "audio",
        "video",
    }
    for _, name, value in page.attributes:
        assert not name.startswith("on")
        assert name not in {"style", "src", "srcset", "srcdoc", "formaction", "action", "xlink:href"}
        if name == "href":
            assert re.fullmatch(r"#\S*|[a-z0-9-]+\.html(#\S*)?|matrix\.json|badges/[a-z0-9-]+\.(svg|json)", value)
    assert not STEERING.search(text)


@relaxed
@given(one=reports() | load_reports())
def test_a_page_holds_no_script_style_or_link_but_its_own(one: Report | LoadReport) -> None:
    assert_harmless(rendered("html", one))


@relaxed
@given(one=reports(), two=reports())
def test_a_matrix_holds_no_script_style_or_link_but_its_own(one: Report, two: Report) -> None:
    files = matrix([one, two])

    for name, text in files.items():
        assert re.fullmatch(r"(badges/)?[a-z0-9-]+\.(html|svg|json)", name)
        if name.endswith(".html"):
            assert_harmless(text)


def test_the_policy_of_a_page_allows_its_own_script_and_nothing_else() -> None:
    policy = next(
        v for t, n, v in Page(rendered("html", report(row()))).attributes if t == "meta" and "default-src" in v
    )

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert re.search(r"script-src 'sha256-[\w+/=]{44}'", policy)


@relaxed
@given(one=reports() | load_reports())
def test_markdown_holds_no_link_image_html_or_heading_of_a_target(one: Report | LoadReport) -> None:
    text = rendered("markdown", one)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inline = [child for token in tokens for child in token.children or ()]
    own = {"fail", "error", "not-run", "inconclusive", "untested"}
    headings = [tokens[n + 1].content for n, token in enumerate(tokens) if token.type == "heading_open"]

    assert {"html_block", "fence", "code_block", "hr", "blockquote_open"}.isdisjoint(token.type for token in tokens)
    assert {"link_open", "image", "hardbreak"}.isdisjoint(child.type for child in inline)
    assert {child.content for child in inline if child.type == "html_inline"} <= {"<code>", "</code>"}
    assert all(heading.split()[0] in own for heading in headings[1:])
    assert not STEERING.search(text.replace("\ufe0f", ""))


@relaxed
@given(one=reports() | load_reports())
def test_junit_holds_no_case_or_line_of_a_target(one: Report | LoadReport) -> None:
    text = rendered("junit", one)
    root = ET.fromstring(text)  # noqa: S314 - our own text
    names = {"id", "verdict", "level", "tier", "place"}

    assert {"testsuites", "testsuite", "testcase", "failure", "error", "skipped", "system-out"} >= {
        e.tag for e in root.iter()
    }
    assert {
        line.partition(":")[0] for out in root.iter("system-out") for line in (out.text or "").splitlines()
    } <= names
    assert not any("\n" in value for element in root.iter() for value in element.attrib.values())
    assert not STEERING.search(text)
    assert "<![CDATA[" not in text


@relaxed
@given(one=reports() | load_reports())
def test_no_line_of_the_terminal_is_a_target_s(one: Report | LoadReport) -> None:
    console = Console(file=StringIO(), width=80)
    summarise(one, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO above

    assert not STEERING.search(text)
    assert "\t" not in text
    assert not [line for line in text.splitlines()[:-1] if line.lstrip().startswith(("::", "##["))]


OURS = re.compile(
    r"$|  |passed: |failed: |cannot judge: |better |worse |changed |appeared |vanished |\d+ worse, |sending x|recorded |now |error: |same: |different: "
)


@settings(deadline=None, max_examples=20)
@given(old=reports(), new=reports())
def test_no_line_of_a_command_is_a_target_s(
    old: Report, new: Report, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path_factory.mktemp("reports")
    paths = []
    for name, one in (("old", old), ("new", new)):
        paths.append(str(folder / f"{name}.json"))
        Path(paths[-1]).write_text(json.dumps(one.to_json()), encoding="utf-8")
    for command in (["gate", paths[0]], ["diff", *paths], ["replay", paths[0], "x0", "--timeout", "0.1"]):
        main(command)
        said = capsys.readouterr()
        text = said.out + said.err

        assert not STEERING.search(text), command
        assert [line for line in text.split("\n") if not OURS.match(line)] == [], command


@relaxed
@given(one=reports())
def test_the_machines_forms_are_ascii_whatever_a_target_wrote(one: Report) -> None:
    for kind in ("har", "ctrf", "sarif"):
        text = rendered(kind, one)
        assert text.isascii()
        assert not STEERING.search(text)


@relaxed
@given(one=reports() | load_reports())
def test_a_terminal_that_knows_only_ascii_shows_everything(one: Report | LoadReport) -> None:
    class Ascii(StringIO):
        encoding = "ascii"

    console = Console(file=Ascii(), width=80)
    summarise(one, console)

    assert console.file.getvalue().isascii()  # type: ignore[attr-defined]  # it is the StringIO above


@relaxed
@given(one=reports() | load_reports())
def test_a_badge_is_one_picture_of_text(one: Report | LoadReport) -> None:
    root = ET.fromstring(rendered("badge", one))  # noqa: S314 - our own text

    assert {e.tag.partition("}")[2] for e in root.iter()} == {"svg", "title", "clipPath", "rect", "g", "text"}


@relaxed
@given(one=reports() | load_reports())
def test_sarif_messages_hold_no_link_and_no_placeholder(one: Report | LoadReport) -> None:
    run = json.loads(rendered("sarif", one))["runs"][0]
    for message in [result["message"]["text"] for result in run["results"]]:
        bare = re.sub(r"\\.", "", message)
        assert not set("[]") & set(bare)
        assert re.sub(r"\{\{|\}\}", "", bare).count("{") == 0
        assert not STEERING.search(message)


@given(text=texts)
def test_one_line_is_one_visible_line(text: str) -> None:
    line = clean.one_line(text)

    assert not STEERING.search(line)
    assert len(line.splitlines()) <= 1


@given(text=st.text("abcXYZ 0123456789.,;:()äöü漢字🙂"))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert text == clean.one_line(text) == clean.xml(text) == clean.terminal(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_prose_reads_as_it_was_written(text: str) -> None:
    shown = MarkdownIt("commonmark").enable("table").renderInline(f"a {clean.markdown(text)} b")

    assert f"a {clean.one_line(text)} b" == ET.fromstring(f"<p>{shown}</p>").text  # noqa: S314 - our own text


@pytest.mark.parametrize("kind", RENDERERS)
@settings(deadline=None, max_examples=25)
@given(secret=secrets)
def test_a_key_in_the_headers_comes_out_nowhere(kind: str, secret: str) -> None:
    assert secret not in rendered(kind, with_secret(secret))


@settings(deadline=None, max_examples=25)
@given(secret=secrets)
def test_a_key_that_the_run_names_comes_out_nowhere(secret: str) -> None:
    one = redacted(
        report(row(verdict="fail", observed=f"got {secret}!", evidence=("x1",)), exchanges=(echoed(secret),)), [secret]
    )
    raw = secret.encode()

    assert secret not in json.dumps(one.to_json(), ensure_ascii=False)
    assert raw not in one.exchanges[0].body
    assert raw not in one.exchanges[0].sent
    assert base64.b64encode(raw).decode() not in json.dumps(one.to_json())


def echoed(secret: str) -> Report | object:
    raw = secret.encode()
    frames = (Frame.of(0.1, b"\xff" + raw[:5]), Frame.of(0.2, raw[5:] + b"\xfe"), Frame.of(0.3, base64.b64encode(raw)))
    body = base64.b64encode(b"\xff" + raw).decode()
    return exchange(frames=frames, request_body=None, request_body_base64=body)


@settings(deadline=None, max_examples=10)
@given(secret=secrets)
def test_no_file_of_the_folder_holds_a_key(secret: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("report")
    write(with_secret(secret), folder)

    assert not [path.name for path in folder.iterdir() if secret.encode() in path.read_bytes()]


def test_the_terminal_shows_no_key() -> None:
    console = Console(file=StringIO(), width=80)
    summarise(redacted(with_secret("sk-planted-0123456789")), console)

    assert "planted" not in console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO above


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer ***"),
        ("-H 'authorization: bearer abcdef123456'", "-H 'authorization: bearer ***'"),
        ("key sk-abcdefghijklmnop1234 leaked", "key *** leaked"),
        ("http://user:secret@host/v1", "http://***@host/v1"),
        ("http://host/v1?api_key=abc&x=1", "http://host/v1?api_key=***&x=1"),
        ("http://host/v1?key=abc", "http://host/v1?key=***"),
        ("?access_token=abc", "?access_token=***"),
        ('"Authorization: Bearer $CHAT_API_KEY"', '"Authorization: Bearer $CHAT_API_KEY"'),
        ("Bearer ***", "Bearer ***"),
        ("the bearer of this", "the bearer of this"),
        ("task-list and risk-averse", "task-list and risk-averse"),
    ],
)
def test_what_looks_like_a_secret_is_masked_and_nothing_else(text: str, expected: str) -> None:
    assert expected == masked_text(text)


def test_masking_keeps_the_length_of_frames_and_their_times() -> None:
    one = redacted(with_secret("0123456789abcdef"))
    before, after = with_secret("0123456789abcdef").exchanges[0], one.exchanges[0]

    assert [(f.t, len(f.data)) for f in before.frames] == [(f.t, len(f.data)) for f in after.frames]
    assert after.body == b"data: ****************\n\n"


def test_masking_twice_changes_nothing_more() -> None:
    once = redacted(with_secret("0123456789abcdef"))

    assert once == redacted(once)


def test_a_key_too_short_to_be_masked_as_text_is_masked_in_headers() -> None:
    one = exchange(request_headers=(("Authorization", "Bearer abc"), ("X-Api-Key", "abc"), ("Accept", "abc")))
    masked = redacted(report(row(observed="abc"), exchanges=(one,)))

    assert masked.exchanges[0].request_headers == (
        ("Authorization", "Bearer ***"),
        ("X-Api-Key", "***"),
        ("Accept", "abc"),
    )
    assert masked.requirements[0].observed == "abc"


def test_a_sarif_message_has_its_brackets_and_braces_escaped() -> None:
    assert clean.sarif("[a](0) {0} \\ \n") == r"\[a\](0) {{0}} \\ \\n"
