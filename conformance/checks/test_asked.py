"""What was asked for holds of every answer, whichever check asked: alone, or together with anything else."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

from conformance.capability import whole
from conformance.fields import shown
from conformance.registry import check, oracle
from conformance.reply import asked, dig, read
from conformance.verdict import Inconclusive, Mismatch, NotApplicable

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.chat import Chat
    from conformance.reply import Reply
    from conformance.wire.exchange import Exchange

Json = dict[str, Any]
SAID = 'Zoë & Søren: 5 < 7 \N{PARTY POPPER} «naïve» \u65e5\u672c "fin"'
OTHER = 'Señor \N{SLICE OF PIZZA} & Čeněk: 9 > 4 «là-bas» \ud55c\uad6d "ok"'
CUT = "\N{PARTY POPPER} «naïve"
BEYOND = re.compile("[\U00010000-\U0010ffff]")
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
}
COUNTING = "Count from 1 to 40, separated by commas: 1, 2, 3, 4, 5"
READS, FEW, LIMIT = 2000, 40, 12
FUNCTION: Json = {
    "type": "function",
    "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}},
}
CHOICES: Json = {"n": 2, "stop": ["4"], "logprobs": True}
CALL: Json = {"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "get_time"}}}
LAST = {
    "type": "object",
    "properties": {"last": {"type": "integer"}},
    "required": ["last"],
    "additionalProperties": False,
}
FORMAT: Json = {"type": "json_schema", "json_schema": {"name": "answer", "schema": LAST}}
FORMATTED = re.compile(r'\s*\{\s*"last"').match  # a model that always speaks JSON has members of its own


@oracle("chat.stop-absent")
def test_stop_absent(reply: Reply) -> None:
    """No choice of any answer holds a stop sequence of its request, whatever else was asked."""
    given = asked(reply.exchange).get("stop")
    stops = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    stops = [stop for stop in stops if isinstance(stop, str) and stop]
    if not stops:
        raise NotApplicable("no stop sequence was asked for")
    for choice in reply.choices:
        found = next((stop for stop in stops if stop in choice.text), None)
        if found is not None:
            observed = f"{found!r} in choice {choice.index}: {choice.text[:100]!r}"
            raise Mismatch(f"text without the stop sequences {shown(stops)}", observed, reply.exchange)


@oracle("chat.choices-asked")
def test_choices_asked(reply: Reply) -> None:
    """Any answer to a request for n choices has n, whatever else was asked."""
    wanted = asked(reply.exchange).get("n")
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1:
        raise NotApplicable("n was not given")
    whole(reply)
    if len(reply.choices) != wanted:
        raise Mismatch(f"{wanted} choices", f"{len(reply.choices)}", reply.exchange)


@oracle("chat.index-in-place")
def test_index_in_place(answer: Reply) -> None:
    """The index of a choice is its place in the list of a whole answer."""
    choices = dig(answer.body, "choices")
    found = [dig(choice, "index") for choice in choices] if isinstance(choices, list) else []
    if not found or not all(isinstance(index, int) for index in found):
        raise NotApplicable("no choices with an index")
    if found != list(range(len(found))):
        raise Mismatch(f"the indexes 0 to {len(found) - 1} in order", shown(found), answer.exchange)


def _repeated(chat: Chat, said: str = SAID, *, stream: bool, **fields: Any) -> Reply:  # noqa: ANN401 - JSON
    """The answer to the request to repeat a text of awkward characters."""
    if chat.dialect.documents("temperature"):
        fields["temperature"] = 0
    reply: Reply = chat.memo(
        f"repeated {said} {stream} {sorted(fields)}",
        lambda: chat.ask(f"Repeat exactly: {said}", tokens=128, stream=stream, **fields),
    )
    return reply


@check("chat.text-intact")
def test_text_intact(chat: Chat) -> None:
    """The characters of an answer are those that were said: none is lost, doubly encoded or escaped on its way."""
    intact = 0
    for stream in (False, True):
        reply = _repeated(chat, stream=stream)
        intact += SAID in reply.text
        wrong = _spoiled(SAID, reply)
        if wrong is None:
            continue
        if _spoiled(OTHER, _repeated(chat, OTHER, stream=stream)) != wrong:
            raise Inconclusive(f"one text came {wrong}, another did not: that may be the model's doing")
        raise Mismatch(f"the text {SAID!r}", f"the same {wrong}: {reply.text[:100]!r}", reply.exchange)
    if not intact:
        raise Inconclusive("the model did not repeat a text to the letter")


def _spoiled(said: str, reply: Reply) -> str | None:
    """How the text came, where it came in one of the known wrong ways."""
    if said in reply.text:
        return None
    return next((what for what, spoil in WRONG.items() if spoil(said) in reply.text), None)


@check("chat.stop-any-text")
def test_stop_any_text(chat: Chat) -> None:
    """A stop sequence may be any text: of several tokens, not ASCII, and found in the prompt as well."""
    if not chat.dialect.documents("stop"):
        raise NotApplicable("the document has no stop")
    if SAID not in _repeated(chat, stream=True).text:
        raise Inconclusive("the model did not repeat a text to the letter")
    reply = _repeated(chat, stream=True, stop=[CUT])
    if reply.choice().reasoning and not reply.text:
        raise Inconclusive("the answer ended within the model's thoughts, where the stop sequence may have come first")
    before = SAID[: SAID.index(CUT)]
    if CUT in reply.text or before.rstrip() not in reply.text:
        raise Mismatch(f"the text {before!r}, up to the stop sequence {CUT!r}", f"{reply.text[:100]!r}", reply.exchange)


@check("chat.fields-forgotten")
def test_fields_forgotten(chat: Chat) -> None:
    """What one request asked for is forgotten in the next: number of choices, stop sequence, format and tools."""
    choices = {name: value for name, value in CHOICES.items() if chat.dialect.documents(name)}
    for fields in (choices, CALL, {"response_format": FORMAT}):
        if all(map(chat.dialect.documents, fields)):
            _forgotten(_after(chat, fields), scores=chat.dialect.documents("logprobs"))


@check("chat.limit-unasked")
def test_limit_unasked(chat: Chat) -> None:
    """Where the request has no token limit no answer is cut after a few tokens, as by an earlier request's or a hidden one."""
    choices = {name: value for name, value in CHOICES.items() if chat.dialect.documents(name)}
    reply = _after(chat, choices)
    said = len(reply.text) + len(reply.choice().reasoning)
    if reply.finish == "length" and said < FEW:
        observed = f"finish reason 'length' after {said} characters"
        raise Mismatch("an answer that no limit cuts, as none was asked for", observed, reply.exchange)


def _after(chat: Chat, fields: Json) -> Reply:
    """What a stream says that asks for nothing, after a request with these fields; its beginning will do. Asked once a run."""
    exchange: Exchange = chat.memo(f"after {sorted(fields)}", lambda: _unburdened(chat, fields))
    reply = read(exchange)
    if not exchange.ok or not reply.streamed or not reply.choices or (exchange.error and not exchange.aborted):
        raise Inconclusive("no stream came")
    return reply


def _unburdened(chat: Chat, fields: Json) -> Exchange:
    chat.post(chat.body(COUNTING, tokens=LIMIT, **fields))
    return chat.post(chat.body(COUNTING, tokens=None, stream=True), stop_after=READS)


def _forgotten(reply: Reply, *, scores: bool) -> None:
    """Raise Mismatch where an answer has what its request did not ask for; `scores`: log probabilities must be asked for."""
    found = {
        "several choices": len(reply.choices) > 1,
        "log probabilities": scores and bool(reply.choice().logprobs),
        "a call": bool(reply.choice().calls),
        "JSON of the format": bool(FORMATTED(reply.text)),
        "an end at a stop sequence": reply.finish == "stop" and reply.text.rstrip().endswith("3,"),
    }
    wrong = [what for what, seen in found.items() if seen]
    if wrong:
        raise Mismatch("an answer without what only earlier requests asked for", ", ".join(wrong), reply.exchange)
