"""One exchange as the page shows it: the request, then each frame with its time, what a failure is about marked in it.

Every text goes through `shown`. What is long is cut, with a note; a frame with a mark is shown in any case, around the mark.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from markupsafe import Markup

from reports import clean
from reports.offence import Offence, Span, offence
from reports.words import offender

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reports.model import ExchangeRecord, Report, RequirementResult

STRIP_WIDTH = 1000
MARKED_FRAMES = 6
BEFORE = 200
LEAST = 160
TITLE = 160


@dataclass(frozen=True, slots=True)
class Mark:
    """What a failed row marks in an exchange; `title` is the row and what was observed, in one line."""

    row: str
    title: str
    offence: Offence


@dataclass(frozen=True, slots=True)
class FrameView:
    """One read as a line of the timeline: `at` like "+0.120 s", `size` in bytes, `text` ready for the page."""

    at: str
    size: int
    text: Markup


@dataclass(frozen=True, slots=True)
class ExchangeView:
    """One exchange as the page shows it; `strip` is an SVG path with a stroke a frame.

    `status` is the title of a mark on the status, `headers` those of marked headers by name; `absent` are headers and
    `missing` other things that should have come, as sentences.
    """

    record: ExchangeRecord
    sent: Markup
    frames: tuple[FrameView, ...]
    left_out: int
    strip: str
    curl: str | None
    status: str | None
    headers: Mapping[str, str]
    absent: tuple[str, ...]
    missing: tuple[str, ...]


def marks(report: Report) -> dict[str, tuple[Mark, ...]]:
    """By exchange, what the rows that failed, or that could not be confirmed, are about."""
    found: dict[str, list[Mark]] = {}
    for row in report.requirements:
        one = offender(report, row) if row.verdict in {"fail", "inconclusive"} else None
        place = offence(row, one) if one else None
        if one and place:
            found.setdefault(one.id, []).append(Mark(row.id, _title(row), place))
    return {name: tuple(several) for name, several in found.items()}


def exchange_view(
    one: ExchangeRecord, size: float, marked: tuple[Mark, ...] = (), owner: str | None = None
) -> ExchangeView:
    """The exchange in about so many characters; the marks of the row under which it stands are the strongest."""
    limit = max(40, int(size))
    frames = tuple(_frames(one, int(limit * 0.6), marked, owner))
    curl = one.curl if len(one.curl) <= limit * 0.5 else None
    sent = shown(_text(one.sent), int(limit * 0.3))
    end = len(one.body)
    return ExchangeView(
        one,
        sent,
        frames,
        len(one.frames) - len(frames),
        _strip(one),
        curl,
        next((mark.title for mark in marked if mark.offence.status), None),
        {name: mark.title for mark in marked for name in mark.offence.headers},
        tuple(f"{mark.offence.absent} is missing ({mark.title})" for mark in marked if mark.offence.absent),
        tuple(f"{m.title.partition(':')[0]}: {what}" for m in marked for at, what in m.offence.gaps if at >= end),
    )


def shown(text: str, limit: int = 1_000_000) -> Markup:
    """Text for between tags: hidden characters as marked escapes, markup escaped, cut at the limit with a note."""
    body = text[:limit].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    body = clean.HIDDEN.sub(lambda found: f"<mark>{clean.visible(found.group())}</mark>", body)
    note = _note(len(text) - limit, "more") if len(text) > limit else ""
    return Markup(body + note)  # noqa: S704 - all three characters that open markup were escaped above


def _note(number: int, which: str) -> str:
    return f'<i class="cut">… {number:,} {which} characters are in report.json</i>'


def _title(row: RequirementResult) -> str:
    return clean.shortened(clean.one_line(f"{row.id}: {row.observed or row.reason or row.says}"), TITLE)


def _frames(one: ExchangeRecord, limit: int, marked: tuple[Mark, ...], owner: str | None) -> Iterator[FrameView]:
    """Frames from the start until the limit is spent, those with a mark, and the last, since there streams go wrong."""
    spent, at, with_marks = 0, 0, 0
    for n, frame in enumerate(one.frames, 1):
        data = frame.data
        places = _within(marked, at, at + len(data), owner)
        with_marks += bool(places)
        at += len(data)
        if spent < limit or n == len(one.frames) or (places and with_marks <= MARKED_FRAMES):
            text = _frame_text(data, max(LEAST, limit - spent), places)
            yield FrameView(f"+{frame.t:.3f} s", len(data), text)
        spent += len(data) + 60


Place = tuple[Span, str, str, str]
"""Where in a frame, the mark's class, what is missing there ("" for what is there and wrong), and the mark's title."""


def _within(marked: tuple[Mark, ...], start: int, end: int, owner: str | None) -> list[Place]:
    """The marks in the bytes from start to end, in order, none within another; a gap is a span of no width."""
    found: list[Place] = []
    for mark in marked:
        other = "" if owner in (None, mark.row) else " other"
        spans = ((a - start, b - start) for a, b in mark.offence.spans if a < end and b > start)
        found += [(span, f"bad{other}", "", mark.title) for span in spans]
        gaps = ((at - start, what) for at, what in mark.offence.gaps if start <= at < end)
        found += [((at, at), f"gone{other}", what, mark.title) for at, what in gaps]
    places: list[Place] = []
    position = 0
    for (a, b), kind, what, title in sorted(found):
        first, last = max(a, position), min(b, end - start)
        if last > first or what:
            places.append(((first, max(first, last)), kind, what, title))
            position = max(first, last)
    return places


def _frame_text(data: bytes, limit: int, places: list[Place]) -> Markup:
    r"""The text of a frame with its marks; the line ends that close it stand as a dim \n, so that a missing one is seen."""
    body = data.rstrip(b"\n")
    begin = _begin(body, limit, places)
    text = Markup(_note(begin, "earlier")) if begin else Markup()  # noqa: S704 - made of our own markup only
    left, at = limit, begin
    for (start, end), kind, what, title in places:
        text += _piece(body[at : max(at, start)], left)
        left = max(0, left - max(0, start - at))
        if what:
            text += Markup(f'<i class="{kind}" title="{escape(title)}">{shown(what)}</i>')  # noqa: S704 - both are escaped
        else:
            inner = _piece(body[max(at, start) : end], max(left, LEAST))
            text += Markup(f'<mark class="{kind}" title="{escape(title)}">{inner}</mark>')  # noqa: S704 - both are escaped
        at = max(at, end)
    text += _piece(body[at:], left)
    ends = (
        f'<i class="nl">{"&#92;n" * (len(data) - len(body))}</i>' if body != data and len(body) - begin <= limit else ""
    )
    return text + Markup(ends)  # noqa: S704 - made of our own markup only


def _begin(body: bytes, limit: int, places: list[Place]) -> int:
    """Where to begin showing a text that is too long: a little before its first mark, at the border of a character."""
    first = places[0][0][0] if places else 0
    begin = max(0, first - BEFORE) if len(body) > limit and first > limit - BEFORE else 0
    while begin and begin < len(body) and body[begin] & 0xC0 == 0x80:  # noqa: PLR2004 - a byte within a character of UTF-8
        begin += 1
    return begin


def _piece(data: bytes, limit: int) -> Markup:
    return shown(_text(data), limit)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _strip(one: ExchangeRecord) -> str:
    """Strokes at the frames' times on a line from the request to the last byte."""
    if len(one.frames) < 2:  # noqa: PLR2004 - one frame makes no timeline
        return ""
    end = max(one.seconds, one.frames[-1].t) or 1.0
    places = sorted({min(STRIP_WIDTH, max(0, round(STRIP_WIDTH * frame.t / end))) for frame in one.frames})
    return "".join(f"M{x} 4v12" for x in places)
