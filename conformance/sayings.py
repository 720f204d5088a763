"""Texts that a target is asked to repeat, awkward on purpose, and the ways in which one can be spoiled on its way."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING, Any

from conformance.chat import HI
from conformance.verdict import Inconclusive

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.chat import Chat
    from conformance.reply import Reply

__all__ = ["LONGER", "OTHER", "SAID", "SLACK", "WRONG", "length", "longer", "prompt_tokens", "repeated", "spoiled"]

# Several lines, of more tokens than a stream has by chance, with what templates, markup and escapes are made of.
SAID = (
    'Zoë & Søren: 5 < 7 \N{PARTY POPPER} «naïve» \u65e5\u672c "fin"\n\n'
    'if (x == "a\\n") {\n\treturn <b>{{name}}</b>;\n}\n\nend of it, «çà et là», as far as it goes'
)
OTHER = (
    'Señor \N{SLICE OF PIZZA} & Čeněk: 9 > 4 «là-bas» \ud55c\uad6d "ok"\n\n'
    'for (y in "\\tb") {\n\tprint <i>{{place}}</i>;\n}\n\nso much for that, «où ça», and no more'
)
LONGER = "Here is a much longer prompt. " * 20 + HI
BEYOND = re.compile("[\U00010000-\U0010ffff]")
TAG = re.compile(r"</?[a-z]>")
TEMPLATE = re.compile(r"\{\{[a-z]+\}\}")
TOKENS = 256
SLACK = 0.5  # of a text whose tokens are compared: templates drop white space
WRONG: dict[str, Callable[[str], str]] = {
    "without what is not ASCII": lambda text: text.encode("ascii", "ignore").decode(),
    "with question marks for what is not ASCII": lambda text: text.encode("ascii", "replace").decode(),
    "with a question mark for what is beyond the basic plane": lambda text: BEYOND.sub("?", text),
    "without what is beyond the basic plane": lambda text: BEYOND.sub("", text),
    "in UTF-8 read as Latin-1": lambda text: text.encode().decode("latin-1"),
    "in UTF-8 read as Windows-1252": lambda text: text.encode().decode("cp1252", "replace"),
    "with entities of HTML": lambda text: html.escape(text, quote=False),
    "with entities of HTML for quotes, too": html.escape,
    "with escapes of JSON": lambda text: text.encode("ascii", "backslashreplace").decode(),
    "without its tags": lambda text: TAG.sub("", text),
    "without what stands in double braces": lambda text: TEMPLATE.sub("", text),
    "without its backslashes": lambda text: text.replace("\\", ""),
    "without its line ends": lambda text: text.replace("\n", ""),
    "with CRLF for its line ends": lambda text: text.replace("\n", "\r\n"),
}


def repeated(chat: Chat, said: str = SAID, *, stream: bool, again: bool = False, **fields: Any) -> Reply:  # noqa: ANN401 - JSON
    """The answer to the request to repeat a text, at temperature 0; asked once a run, and once more `again`.

    Half of the clients escape what is not ASCII, so the request for a whole answer does.
    """
    if chat.dialect.documents("temperature"):
        fields["temperature"] = 0
    if stream:
        fields |= chat.asking_usage
    body = chat.body(f"Repeat exactly: {said}", tokens=TOKENS, stream=stream, **fields)
    sent = body if stream else json.dumps(body).encode()
    name = f"repeated {said} {stream} {again} {sorted(fields.items())}"
    reply: Reply = chat.memo(name, lambda: chat.accepted(chat.post(sent)))
    return reply


def longer(chat: Chat) -> Reply:
    """The answer to a longer prompt, asked once a run."""
    reply: Reply = chat.memo("longer", lambda: chat.ask(LONGER))
    return reply


def prompt_tokens(reply: Reply) -> int:
    """How many tokens the prompt has, as the target counts; Inconclusive where it does not say."""
    count = reply.count("prompt_tokens")
    if count is None:
        raise Inconclusive("the answers do not say how many tokens their prompts have")
    return count


def length(chat: Chat) -> int:
    """How many tokens the longer prompt has more than a short one; Inconclusive where they are counted alike."""
    more = prompt_tokens(longer(chat)) - prompt_tokens(chat.plain())
    if more <= 0:
        raise Inconclusive("a longer prompt has no more tokens than a short one, as the target counts")
    return more


def spoiled(said: str, reply: Reply) -> str | None:
    """How the text came, where it came in one of the known wrong ways."""
    if said in reply.text:
        return None
    return next((what for what, spoil in WRONG.items() if spoil(said) in reply.text), None)
