"""What a failure is about is marked in the exchange: the bytes, the header, the status, or the place of what is missing."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.model import Frame
from reports.offence import Offence, offence
from reports.places import members
from reports.render import rendered
from reports.timeline import MARKED_FRAMES
from tests.report_samples import exchange, report, row, texts

BODY = b'{"id":null,"model":"big","choices":[{"index":0,"message":{"content":"one, 17, two"}}],"usage":{"total_tokens":26}}'
STREAM = b'data: {"id":"c1","choices":[{"delta":{"role":"assistant"}}]}\n\ndata: {"created":5,"choices":[]}\n\n'
HEADERS = (("Content-Type", "text/plain"), ("Retry-After", "soon"))


def marked(expected: str, observed: str, body: bytes = BODY, status: int = 200) -> tuple[list[bytes], Offence]:
    one = exchange(status=status, body=body, response_headers=HEADERS)
    found = offence(row(verdict="fail", expected=expected, observed=observed, evidence=("x1",)), one)
    return [body[start:end] for start, end in found.spans], found


@pytest.mark.parametrize(
    ("expected", "observed", "body", "wanted"),
    [
        ("id by the schema", "id is null", BODY, [b'"id":null']),
        ("model 'tiny'", "'big'", BODY, [b'"model":"big"']),
        ("total_tokens 25", "26", BODY, [b'"total_tokens":26']),
        ("choices.index by the schema", "choices[0].index is 0", BODY, [b'"index":0']),
        ("a text without the stop sequence ' 17,'", "'one, 17, two'", BODY, [b" 17,"]),
        ("only new text", "the text so far again: 'one, 17, two'", BODY, [b"one, 17, two"]),
        ("in every chunk id", 'in chunk 1: id is "c1"', STREAM, [b'"id":"c1"']),
        ("exactly one [DONE]", "'{\"created\":5}' at byte 62", STREAM, [b'data: {"created":5,"choices":[]}']),
        ("the role once", "2 times in choice 0", STREAM, [b'"role":"assistant"']),
        ("strict JSON (RFC 8259)", "bytes that are not UTF-8 at offset 6", b'{"a":"\xe9"}', [b"\xe9"]),
        ("strict JSON (RFC 8259)", "the literal NaN", b'{"NaN":NaN}', [b"NaN"]),
        ("strict JSON (RFC 8259)", "the key 'a' twice in one object", b'{"a":1,"a" :2}', [b'"a":', b'"a" :']),
        ("strict JSON (RFC 8259)", "a lone surrogate in a string", rb'{"a":"\ud83d\ude00\ud83d"}', [rb"\ud83d"]),
        ("strict JSON (RFC 8259)", "a byte order mark before the value", b"\xef\xbb\xbf{}", [b"\xef\xbb\xbf"]),
        ("strict JSON (RFC 8259)", "not JSON: Extra data: line 1 column 5 (char 4)", '{"ü"} {}'.encode(), [b"} {}"]),
    ],
)
def test_the_bytes_are_those_that_the_words_speak_of(
    expected: str, observed: str, body: bytes, wanted: list[bytes]
) -> None:
    assert marked(expected, observed, body)[0] == wanted


@pytest.mark.parametrize(
    ("expected", "observed", "body", "at"),
    [
        ("exactly one [DONE]", "0", STREAM, len(STREAM)),
        ("usage in a chunk of the stream", "none in 2 chunks", STREAM, len(STREAM)),
        ("created by the schema", "created is missing", BODY, len(BODY) - 1),
        ("in every chunk created", "in chunk 1: created is missing", STREAM, STREAM.index(b"}\n")),
        ("role by the schema", "choices[0].message.role is missing", BODY, BODY.index(b"}}]")),
        ("error code 'x'", "null (status 400)", b'{"detail":"no"}', 15),
    ],
)
def test_what_is_missing_is_marked_where_it_should_be(expected: str, observed: str, body: bytes, at: int) -> None:
    assert [place for place, _ in marked(expected, observed, body)[1].gaps] == [at]


def test_a_status_and_a_header_are_marked_themselves() -> None:
    refused = marked("400 or 422", "status 200 (application/json): {}")[1]
    other = marked("400 or 422", "status 500 (application/json): {}")[1]

    assert (refused.status, refused.spans) == (True, ())
    assert not other.status
    assert marked("media type application/json", "text/plain (status 200)")[1].headers == ("content-type",)
    assert marked("whole seconds", "Retry-After: soon")[1].headers == ("retry-after",)
    assert marked("the header Allow", "none")[1].absent == "Allow"


def test_what_is_not_found_is_not_marked() -> None:
    assert not marked("a different text", "the same again")[1]
    assert not offence(
        row(verdict="fail", expected="200", observed="none"), exchange(status=None, frames=(), error="x")
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text('ab"\\{}[]:, é\n', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab"\\', max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(value=json_values, indent=st.sampled_from((None, 1)), ascii_=st.booleans())
def test_every_member_of_a_json_text_is_found_with_its_bytes(value: object, indent: int | None, ascii_: bool) -> None:  # noqa: FBT001 - drawn by hypothesis
    body = json.dumps(value, indent=indent, ensure_ascii=ascii_).encode()
    found = members(body)

    assert json.loads(body[found[-1].start : found[-1].end]) == value
    assert [json.loads(body[m.start : m.end]) for m in found] == list(parts(value))
    assert all(body[m.key : m.key + 1] == b'"' for m in found if m.key is not None)


def parts(value: object) -> list[object]:
    """The value's members in the order in which they end, the whole last."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [part for member in inner for part in parts(member)] + [value]


@settings(deadline=None)
@given(
    body=st.binary(max_size=60) | texts.map(lambda text: text.encode("utf-8", "surrogatepass")), told=texts, more=texts
)
def test_no_bytes_and_no_words_break_it(body: bytes, told: str, more: str) -> None:
    members(body)
    found = marked(told, more, body)[1]

    assert all(0 <= start < end <= len(body) for start, end in found.spans)
    assert all(0 <= at <= len(body) for at, _ in found.gaps)


class Marks(HTMLParser):
    """The texts of a page's marks, and what stands as missing."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[tuple[str, str]] = []
        self.titles: list[str] = []
        self.open = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        if (facts.get("class") or "").partition(" ")[0] in {"bad", "gone"}:
            self.texts.append((facts["class"] or "", ""))
            self.titles += [title] if (title := facts.get("title")) else []
            self.open = 1
        elif self.open:
            self.open += tag in {"mark", "i"}

    def handle_endtag(self, tag: str) -> None:
        self.open -= self.open > 0 and tag in {"mark", "i", "span", "p"}

    def handle_data(self, data: str) -> None:
        if self.open:
            kind, text = self.texts[-1]
            self.texts[-1] = (kind, text + data)


def shown_marks(*rows: tuple[str, str], frames: tuple[bytes, ...]) -> Marks:
    failed = (
        row(f"A{n}", "fail", expected=expected, observed=observed, evidence=("x1",))
        for n, (expected, observed) in enumerate(rows)
    )
    one = exchange(frames=tuple(Frame.of(0.1 * n, data) for n, data in enumerate(frames)))
    return Marks(rendered("html", report(*failed, exchanges=(one,))))


def test_a_page_marks_the_bytes_the_gap_and_the_end_for_every_row_that_names_the_exchange() -> None:
    page = shown_marks(
        ("model", 'model is "big"'), ("id", "created is missing"), ("exactly one [DONE]", "0"), frames=(BODY,)
    )

    assert page.texts == [
        ("bad", '"model":"big"'),
        ("gone other", "created is missing"),
        ("gone", "A2: expected exactly one [DONE], and it did not come"),
    ]
    assert page.titles == ['A0: model is "big"', "A1: created is missing"]


def test_a_mark_that_spans_two_frames_stands_in_both() -> None:
    page = shown_marks(("total_tokens 25", "26"), frames=(BODY[:-4], BODY[-4:]))

    assert page.texts == [("bad", '"total_tokens":'), ("bad", "26")]


def test_a_frame_with_a_mark_is_shown_though_others_before_it_filled_the_page() -> None:
    filling = tuple(b"data: " + b"z" * 3000 + b"\n\n" for _ in range(40))
    page = shown_marks(("id", 'in chunk 1: id is "c1"'), frames=(*filling, STREAM, *filling))

    assert page.texts == [("bad", '"id":"c1"')]


def test_a_long_frame_is_cut_around_its_mark() -> None:
    body = b'{"a":"' + "é".encode() * 30_000 + b'","total_tokens":26,"b":"' + b"z" * 30_000 + b'"}'
    text = rendered(
        "html",
        report(
            *[row("A", "fail", expected="total_tokens 25", observed="26", evidence=("x1",))],
            exchanges=(exchange(body=body),),
        ),
    )

    assert Marks(text).texts == [("bad", '"total_tokens":26')]
    assert "earlier characters are in report.json" in text
    assert "more characters are in report.json" in text
    assert r"\xc3" not in text
    assert r"\xa9" not in text


def test_a_mark_holds_no_markup_of_a_target() -> None:
    page = shown_marks(("only new text", "'<script>alert(1)</script>'"), frames=(b"<script>alert(1)</script>",))

    assert page.texts == [("bad", "<script>alert(1)</script>")]


def test_few_frames_are_forced_onto_the_page_by_marks() -> None:
    frames = tuple(
        b'data: {"choices":[{"delta":{"role":"assistant"}}],"x":"' + b"z" * 4000 + b'"}\n\n' for _ in range(30)
    )
    page = shown_marks(("the role once", "30 times in choice 0"), frames=frames)

    assert 0 < len(page.texts) <= MARKED_FRAMES
