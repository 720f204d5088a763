"""What was asked for holds of every answer, whichever check asked: alone, or together with anything else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from conformance.capability import whole
from conformance.chat import STORY
from conformance.fields import shown
from conformance.registry import check, oracle
from conformance.reply import asked, dig, read
from conformance.sayings import OTHER, SAID, repeated, spoiled
from conformance.verdict import Inconclusive, Mismatch, NotApplicable

if TYPE_CHECKING:
    from conformance.chat import Chat
    from conformance.reply import Reply
    from conformance.wire.exchange import Exchange
    from dialects import Dialect

Json = dict[str, Any]
CUT = "\n\nend of it, «çà et là», as far"
# In no text, but for who compares without case, takes a dot for any character, or white space for nothing.
DECOYS = ["ZOË & SØREN", "S.ren", "5<7"]
COUNTING = "Count from 1 to 40, separated by commas: 1, 2, 3, 4, 5"
READS, FEW, LIMIT = 2000, 40, 12
NEVER, BEGUN = "\u2603never", 4
BRIEF = 4  # tokens that may be all of what a model of few words says of anything
ROOMY = 1000  # tokens of a prompt that leave room in any context
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


@oracle("chat.length-told")
def test_length_told(reply: Reply, dialect: Dialect) -> None:
    """Any answer says `length` where its token limit cut it, and nowhere else, whatever else was asked."""
    sent, count = asked(reply.exchange), reply.count("completion_tokens")
    limits = [n for name in dialect.request.token_limits if type(n := sent.get(name)) is int and n > 0]
    if count is None or not limits or (reply.count("prompt_tokens") or 0) > ROOMY:
        raise NotApplicable("no count, no limit, or a prompt that may have filled the context")
    whole(reply)
    cut = [choice for choice in reply.choices if choice.finish == "length"]
    # Neither the count nor the text is that of the limit: a wrong count alone is for the rows of usage to tell.
    fewest = len(cut) * min(limits)
    said = sum(len(choice.text) + len(choice.reasoning) + len(str(choice.calls)) for choice in cut)
    if count < fewest // 2 and said < fewest:
        observed = f"in {len(cut)} choices, when all had {count} tokens"
        raise Mismatch(f"finish reason 'length' at the limit of {min(limits)} tokens", observed, reply.exchange)
    others = [choice for choice in reply.choices if choice.finish not in ("length", None)]
    told = _endless(sent) and max(limits) > BRIEF
    if others and told and count == len(reply.choices) * max(limits):
        expected = f"finish reason 'length' for a story with all of the {count} tokens that its limit allows"
        raise Mismatch(expected, f"{others[0].finish!r} in choice {others[0].index}", reply.exchange)


def _endless(sent: Json) -> bool:
    """Whether a request is for a story and nothing that could end it but its limit."""
    return STORY in str(dig(sent, "messages", -1, "content")) and not sent.get("tools") and not sent.get("stop")


@oracle("chat.index-in-place")
def test_index_in_place(answer: Reply) -> None:
    """The index of a choice is its place in the list of a whole answer."""
    choices = dig(answer.body, "choices")
    found = [dig(choice, "index") for choice in choices] if isinstance(choices, list) else []
    if not found or not all(isinstance(index, int) for index in found):
        raise NotApplicable("no choices with an index")
    if found != list(range(len(found))):
        raise Mismatch(f"the indexes 0 to {len(found) - 1} in order", shown(found), answer.exchange)


@check("chat.text-intact")
def test_text_intact(chat: Chat) -> None:
    """The characters of an answer are those that were said: none is lost, doubly encoded or escaped on its way."""
    intact = 0
    for stream in (False, True):
        reply = repeated(chat, stream=stream)
        intact += SAID in reply.text
        wrong = spoiled(SAID, reply)
        if wrong is None:
            continue
        if spoiled(OTHER, repeated(chat, OTHER, stream=stream)) != wrong:
            raise Inconclusive(f"one text came {wrong}, another did not: that may be the model's doing")
        raise Mismatch(f"the text {SAID!r}", f"the same {wrong}: {reply.text[:100]!r}", reply.exchange)
    if not intact:
        raise Inconclusive("the model did not repeat a text to the letter")


@check("chat.stop-any-text")
def test_stop_any_text(chat: Chat) -> None:
    """A stop sequence is any text, to the letter: long, not ASCII, a line end, in the prompt as well; nothing else stops or holds back."""
    if not chat.dialect.documents("stop"):
        raise NotApplicable("the document has no stop")
    full = repeated(chat, stream=True).text
    if SAID not in full:
        raise Inconclusive("the model did not repeat a text to the letter")
    _ends_at(CUT, full, repeated(chat, stream=True, stop=[*DECOYS, CUT]))
    if full.startswith(SAID):
        _ends_at("\n", full, repeated(chat, stream=False, stop=["\n"]))
    _held_back(full, full[-BEGUN:] + NEVER, chat)


def _held_back(full: str, begun: str, chat: Chat) -> None:
    """Raise Mismatch where the end of a text is lost, as it begins like a stop sequence that never comes."""
    reply = repeated(chat, stream=True, stop=[begun])
    lost = full.removeprefix(reply.text)
    if reply.text and full.startswith(reply.text) and lost and begun.startswith(lost):
        raise Mismatch(f"all of the text, as {begun!r} is not in it", f"without its end {lost!r}", reply.exchange)


def _ends_at(stop: str, full: str, reply: Reply) -> None:
    """Raise Mismatch where the answer goes on past the stop sequence, or ends before it; another answer shows nothing."""
    if not reply.choices:
        raise Inconclusive("no choice came that could end")
    if reply.choice().reasoning and not reply.text:
        raise Inconclusive("the answer ended within the model's thoughts, where the stop sequence may have come first")
    before = full[: full.index(stop)].rstrip()
    if stop not in reply.text and before in reply.text:
        return
    if stop not in reply.text and not full.startswith(reply.text):
        raise Inconclusive("the same request with a stop sequence had another answer")
    observed = f"{reply.text[-80:]!r} at the end"
    raise Mismatch(f"the text up to the stop sequence {stop!r}, {before[-40:]!r} at its end", observed, reply.exchange)


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
