"""The one place where text that a target may have written becomes harmless for the format that shows it.

A report holds whatever a target sent. Every renderer passes such text through one of these functions: control
characters, ANSI sequences, direction marks and lone surrogates become visible escapes, and characters that mean
something to the format lose their meaning. What is ordinary text stays as it is.
"""

from __future__ import annotations

import re
from html import escape

HIDDEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and newline, DEL, C1
    "\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # invisible, direction, line separators
    "\ufff9-\ufffb\ufffe\uffff\ud800-\udfff"  # interlinear marks, noncharacters, lone surrogates
    "\U000e0000-\U000e0fff"  # tags and variation selectors, used to hide text
    "]"
)
MARKDOWN = re.compile(r"[\\`*_{}\[\]<>#!|~$^&@\"]|:(?=/)|(?i:(?<=www))\.")
CODE_BREAKERS = re.compile(r"[`|]")


def visible(text: str) -> str:
    r"""The text with every character that shows nothing, or moves the cursor, written as an escape; keeps \t and \n."""
    return HIDDEN.sub(_escape, text)


def one_line(text: str) -> str:
    """Visible text on a single line: tabs and line ends become escapes too."""
    return visible(text).replace("\n", r"\n").replace("\t", r"\t")


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters and a note of how many are left out; whole where the note would be longer than those."""
    note = f" [... {len(text) - limit} more characters]"
    return text if len(text) <= limit + len(note) else f"{text[:limit]}{note}"


def markdown(text: str) -> str:
    """Prose for Markdown: no character of it is markup, whatever stands around it on the line."""
    return MARKDOWN.sub(lambda found: f"&#{ord(found.group())};", one_line(text))


def markdown_code(text: str) -> str:
    """Text in code type for Markdown; safe inside a table too. Empty text gives an empty string."""
    line = one_line(text)
    if not line.strip():
        return ""
    if CODE_BREAKERS.search(line):
        return f"<code>{MARKDOWN.sub(lambda found: f'&#{ord(found.group())};', line)}</code>"
    return f"`{line}`"


def xml(text: str) -> str:
    """Text that XML 1.0 can hold; the writer escapes its markup."""
    return visible(text)


def svg(text: str) -> str:
    """Text for the inside of an SVG element or attribute."""
    return escape(one_line(text), quote=True)


def sarif(text: str) -> str:
    """A SARIF message: brackets make no embedded link, braces no placeholder."""
    return re.sub(r"([\\\[\]])", r"\\\1", one_line(text)).replace("{", "{{").replace("}", "}}")


def terminal(text: str) -> str:
    """Text for a terminal line: nothing in it moves the cursor, sets a colour or begins a line of its own."""
    return one_line(text)


def _escape(found: re.Match[str]) -> str:
    point = ord(found.group())
    if 0xDC80 <= point <= 0xDCFF:  # noqa: PLR2004 - where surrogateescape keeps a byte that is not UTF-8
        point -= 0xDC00
    if point <= 0xFF:  # noqa: PLR2004 - what two hexadecimal digits can say
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"  # noqa: PLR2004 - the same for four
