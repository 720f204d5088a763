from __future__ import annotations

import re
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from conformance.capability import excused
from conformance.chat import STORY
from conformance.fields import Field
from conformance.registry import check, oracle
from conformance.reply import asked, dig
from conformance.verdict import Inconclusive, Mismatch, NotApplicable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.chat import Chat
    from conformance.explore import Explorer
    from conformance.reply import Reply
    from dialects import Dialect

DAY = 86_400
HALF_AN_HOUR = 1_800
PATIENCE = 20
DATED = re.compile(r"-\d{4}(-?\d{2}){0,2}").fullmatch  # how a release of a model is told from the model
SOME = 8  # tokens, with fewer of which 48 are counted wrong rather than cut
SLACK = 2  # tokens that servers count differently, as that of the end
COUNTING = "Count from 1 to 30, separated by commas: 1, 2, 3, 4, 5"
SPECIAL_TOKENS = (
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<|start_header_id|>", "<|end|>", "<|assistant|>",
    "<end_of_turn>", "<start_of_turn>", "[INST]", "[/INST]", "<s>", "</s>", "<|channel|>", "<|return|>",
)  # fmt: skip
THINKING = ("<think>", "</think>", "<thinking>", "</thinking>")
CONTROL = {chr(c) for c in range(32)} - set("\t\n\r\f\b\v\x1b")


@oracle("chat.field", per="path")
def test_field(answer: Reply, dialect: Dialect, path: str) -> None:
    """The member of a whole answer is as the document says: there, of its type, one of its values."""
    field = Field.of(dialect, "response", path)
    problem = next(field.problems(answer.body), None)
    if problem:
        raise Mismatch(field.expectation, problem, answer.exchange)


@check("chat.ids-unique")
def test_ids_unique(chat: Chat) -> None:
    """Every answer has an id of its own, whole or streamed, to another request or to the same."""
    replies = [chat.plain(), *map(chat.accepted, chat.repeated(2, temperature=0)), chat.streamed()]
    ids = [reply.id for reply in replies if reply.id is not None]
    if len(ids) < 2:
        raise Inconclusive("the answers have no id")
    if len(set(map(repr, ids))) < len(ids):
        raise Mismatch("different ids", f"{ids}", replies[-1].exchange)


@oracle("chat.created-is-now")
def test_created_is_now(reply: Reply) -> None:
    """`created` is the present time in Unix seconds: by the answer's own Date within half an hour, else within a day."""
    values = [chunk.value for chunk in reply.chunks] if reply.streamed else [reply.body]
    stamps = [
        stamp
        for value in values
        if isinstance(stamp := dig(value, "created"), int | float) and not isinstance(stamp, bool)
    ]
    if not stamps:
        raise NotApplicable("no created")
    now, slack = _clock(reply)
    wrong = next((stamp for stamp in stamps if not now - slack <= stamp <= now + slack), None)
    if wrong is not None:
        raise Mismatch(f"Unix seconds near {int(now)}", f"{wrong!r:.60}", reply.exchange)


def _clock(reply: Reply) -> tuple[float, float]:
    """The target's time and how far from it a stamp may lie; ours, and a day, where the target does not tell its own."""
    try:
        moment = parsedate_to_datetime(reply.exchange.header("date") or "")
    except (ValueError, OverflowError):
        return time.time(), DAY
    moment = (
        moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    )  # -0000 is UTC too, and not the time of this machine
    return moment.timestamp(), HALF_AN_HOUR + reply.exchange.seconds


@oracle("chat.id-prefix")
def test_id_prefix(reply: Reply, dialect: Dialect) -> None:
    """An id begins as the document's examples do."""
    prefix = dialect.response.id_prefix
    if not prefix or not isinstance(reply.id, str):
        raise NotApplicable("no prefix is printed, or no id came")
    if not reply.id.startswith(prefix):
        raise Mismatch(f"an id that begins with {prefix!r}", f"{reply.id[:40]!r}", reply.exchange)


@oracle("chat.model-echoed")
def test_model_echoed(reply: Reply) -> None:
    """The answer names the model that was asked for, or a dated release of it."""
    wanted = asked(reply.exchange).get("model")
    values = [chunk.value for chunk in reply.chunks] if reply.streamed else [reply.body]
    named = [name for value in values if isinstance(name := dig(value, "model"), str)]
    if not named:
        raise NotApplicable("no model is named")
    wrong = next((name for name in named if name != wanted and not _release(name, wanted)), None)
    if wrong is not None:
        raise Mismatch(f"model {wanted!r}", f"{wrong[:60]!r}", reply.exchange)


def _release(name: str, wanted: object) -> bool:
    return isinstance(wanted, str) and name.startswith(wanted) and bool(DATED(name[len(wanted) :]))


@check("chat.text-present", smoke=True)
def test_text_present(chat: Chat) -> None:
    """A simple question is answered with text."""
    reply = chat.plain()
    excused(reply.choice())
    if not reply.text:
        raise Mismatch("a text in the first choice", f"{str(reply.body)[:120]}", reply.exchange)


@oracle("chat.one-choice-by-default")
def test_one_choice_by_default(reply: Reply) -> None:
    """Without n there is exactly one choice."""
    if asked(reply.exchange).get("n", 1) not in (1, None):
        raise NotApplicable("n was given")
    choices = reply.choices if reply.streamed else dig(reply.body, "choices")
    if not isinstance(choices, list | tuple):
        raise NotApplicable("no list of choices")
    if len(choices) != 1:
        raise Mismatch("exactly one choice", f"{len(choices)}", reply.exchange)


@check("chat.n-choices")
def test_n_choices(chat: Chat, dialect: Dialect) -> None:
    """N gives that many choices, with the indexes 0 to n-1 and a finish reason each, where one says why it ended."""
    chat.offered("n")
    for n in (2, 5):
        exchange = chat.choices(n)
        if not exchange.ok and exchange.status is not None and exchange.status < 500:
            if n > 2:
                return  # two came as asked
            raise Inconclusive(
                f"n = {n} is refused with status {exchange.status}: what cannot be honoured is rightly refused"
            )
        reply = chat.accepted(exchange)
        indexes = [choice.index for choice in reply.choices]
        if len(indexes) != n:
            raise Mismatch(f"{n} choices", f"{len(indexes)}", exchange)
        if "index" in str(dialect.schemas["response"]) and sorted(indexes) != list(range(n)):
            raise Mismatch(f"the indexes 0 to {n - 1}", f"{indexes}", exchange)
        without = [choice.index for choice in reply.choices if not choice.finishes]
        if without and (len(without) < n or _promises_finish(dialect)):
            raise Mismatch("a finish reason in every choice", f"none in choice {without[0]}", exchange)
        _cut_alike(reply, n * chat.room(12))


def _promises_finish(dialect: Dialect) -> bool:
    """Whether the document demands a finish reason; one may call it optional."""
    choices = dialect.schemas["response"]["properties"]["choices"]
    return "finish_reason" in (dig(choices, "items", "required") or ())


def _cut_alike(reply: Reply, most: int) -> None:
    """Raise Mismatch where all choices together have as many tokens as their limits allow and one does not say that it was cut."""
    other = next((choice for choice in reply.choices if choice.finish != "length"), None)
    if other is not None and reply.count("completion_tokens") == most:
        expected = f"finish reason 'length' in every choice, as {most} tokens are all that their limits allow"
        raise Mismatch(expected, f"{other.finish!r} in choice {other.index}", reply.exchange)


@check("chat.max-tokens-bounds", smoke=True)
def test_max_tokens_bounds(chat: Chat, explore: Explorer) -> None:
    """No answer is longer than its token limit allows."""
    limit = chat.limit
    if limit is None:
        raise NotApplicable("the document has no token limit")

    def bounded(tokens: int) -> None:
        reply = chat.ask(STORY, tokens=tokens)
        count = reply.count("completion_tokens")
        if count is not None and count > tokens:
            raise Mismatch(f"at most {tokens} completion tokens", f"{count}", reply.exchange)
        if len(reply.text) > tokens * 60:
            raise Mismatch(f"a text of at most {tokens} tokens", f"{len(reply.text)} characters", reply.exchange)

    if explore.examples > 1:
        from hypothesis import strategies as st

        explore(st.integers(1, 24), bounded)
    else:
        bounded(5)


@check("chat.length-finish", smoke=True)
def test_length_finish(chat: Chat) -> None:
    """An answer that the token limit cuts says so: its finish reason is `length`, whole and streamed."""
    for reply in (chat.story(), chat.streamed_story()):
        if chat.unfinished(reply):
            continue
        count = reply.count("completion_tokens")
        if reply.finish == "length" and count is not None and SOME < count < 48 - SLACK:
            raise Mismatch("finish reason 'length' at the limit of 48 tokens", f"after {count} tokens", reply.exchange)
        _cut_by_limit(reply, 48)
        if reply.finish != "length":
            raise Mismatch(
                "finish reason 'length' for an answer that the token limit cut", f"{reply.finish!r}", reply.exchange
            )


@check("chat.natural-finish")
def test_natural_finish(chat: Chat) -> None:
    """A short answer that ends by itself, well under its token limit, has the finish reason `stop`."""
    for reply in (
        chat.ask("Answer with one word: what colour is grass?", tokens=256),
        chat.stream("Answer with one word: what colour is grass?", tokens=256),
    ):
        count = reply.count("completion_tokens")
        if reply.finish == "length" or (count is not None and count >= 256):
            raise Inconclusive("the answer ran into the token limit")
        if reply.choice().excuse:
            raise Inconclusive(f"the answer did not come to its own end: {reply.choice().excuse}")
        if reply.finish != "stop" and not chat.unfinished(reply):
            raise Mismatch(
                "finish reason 'stop' for an answer that ended by itself", f"{reply.finish!r}", reply.exchange
            )


@check("chat.stop-cuts")
def test_stop_cuts(chat: Chat) -> None:
    """The text never holds a stop sequence, nor the beginning of one at a cut: single or in a list, whole and streamed."""
    prompt, word, full = _stop_word(chat)
    for streamed in (False, True):
        for form in _forms(chat, word, first=streamed):
            reply = chat.ask(prompt, tokens=chat.room(64), stop=form, temperature=0, **_streaming(streamed))
            if word in reply.text:
                raise Mismatch(f"a text without the stop sequence {word!r}", f"{reply.text[:120]!r}", reply.exchange)
            expected = full[: full.index(word)]
            if _ends_before(reply, expected):
                raise Mismatch(
                    f"all the text before the stop sequence {word!r}",
                    f"{reply.text[-60:]!r} at the end",
                    reply.exchange,
                )
            leaked = reply.text.removeprefix(expected)
            if (
                reply.text.startswith(expected)
                and leaked
                and expected.endswith(leaked)
                and not full.startswith(reply.text)
            ):
                raise Mismatch(
                    f"the text before the stop sequence {word!r} once", f"its end {leaked!r} again", reply.exchange
                )
            if reply.text.startswith(expected) and leaked and word.startswith(leaked) and reply.finish == "stop":
                raise Mismatch(
                    f"a text that ends before the stop sequence {word!r}",
                    f"its beginning {leaked!r} at the end",
                    reply.exchange,
                )


@check("chat.stop-finish")
def test_stop_finish(chat: Chat) -> None:
    """An answer that a stop sequence ends is a part of what it would be, with the finish reason `stop`."""
    prompt, word, full = _stop_word(chat)
    for streamed in (False, True):
        reply = chat.ask(
            prompt, tokens=chat.room(64), stop=_forms(chat, word)[-1], temperature=0, **_streaming(streamed)
        )
        if len(reply.text) >= len(full) and full.startswith(reply.text[: len(full)]):
            raise Mismatch(
                f"an answer that ends at the stop sequence {word!r}",
                f"it goes on: {reply.text[-60:]!r}",
                reply.exchange,
            )
        told = reply.finish == "stop" or chat.unfinished(reply)
        if word not in reply.text and not told and full.startswith(reply.text):
            raise Mismatch(
                "finish reason 'stop' for an answer that a stop sequence ended", f"{reply.finish!r}", reply.exchange
            )


@oracle("chat.text-clean", per="part")
def test_text_clean(reply: Reply, part: str) -> None:
    """The text is clean: no replacement characters, no half surrogates, no control or special tokens, no markup of thinking."""
    sent = asked(reply.exchange)
    prompt = "\n".join(_strings(sent.get("messages")))
    for choice in reply.choices:
        found = next(_stains(choice.text, prompt, part), None)
        if found:
            raise Mismatch("a clean text", f"{found} in {choice.text[:100]!r}", reply.exchange)


@check("chat.choices-independent")
def test_choices_independent(chat: Chat) -> None:
    """Each choice of one answer has its own completion_id."""
    chat.offered("n")
    reply = chat.accepted(chat.choices(2))
    ids = [dig(choice.raw, "completion_id") for choice in reply.choices]
    if len(ids) > 1 and len(set(map(repr, ids))) < len(ids):
        raise Mismatch("different completion_ids", f"{ids}", reply.exchange)


@check("chat.default-max-tokens")
def test_default_max_tokens(chat: Chat, dialect: Dialect, explore: Explorer) -> None:
    """Without a token limit an answer has at most the documented default number of tokens."""
    default = next((dialect.request.defaults.get(name) for name in dialect.request.token_limits), None)
    if default is None:
        raise NotApplicable("the document states no default")
    seconds = chat.story().exchange.seconds / 48 * default
    if explore.examples <= 20 and seconds > PATIENCE:
        raise Inconclusive(
            f"{default} tokens would take about {seconds:.0f} s at this pace; they are asked for at --depth deep"
        )
    reply = chat.ask("Write the longest story that you can, without an end.", tokens=None)
    count = reply.count("completion_tokens")
    if count is not None and count > default:
        raise Mismatch(f"at most {default} completion tokens", f"{count}", reply.exchange)


@check("chat.timeout-enforced")
def test_timeout_enforced(chat: Chat) -> None:
    """A request with a time-out of one second ends within it and a little slack, shortened or refused."""
    slack = 4.0
    exchange = chat.post(chat.body(STORY, tokens=2048, timeout_secs=1), total=60)
    cause = chat.dialect.cause("timeout")
    if exchange.status is not None and not exchange.ok:
        chat.refused(exchange, *(cause.status if cause else (408, 503, 504)))
    if exchange.seconds > 1 + slack:
        raise Mismatch(f"an end within 1 s and {slack:g} s of slack", f"it took {exchange.seconds:.1f} s", exchange)


def _streaming(streamed: bool) -> dict[str, Any]:  # noqa: FBT001 - both ways of asking
    return {"stream": True} if streamed else {}


def _cut_by_limit(reply: Reply, tokens: int) -> None:
    count = reply.count("completion_tokens")
    if count is None and reply.streamed and len(reply.chunks) < tokens:
        raise Inconclusive("the stream does not say how many tokens it has")
    if count is not None and count < tokens:
        raise Inconclusive(f"the answer ended by itself after {count} of {tokens} tokens")


def _stop_word(chat: Chat) -> tuple[str, str, str]:
    """A prompt, a sequence that stands in its unrestrained answer, and that answer; a small model may not count far."""
    if not chat.dialect.documents("stop"):
        raise NotApplicable("the document has no stop")
    for prompt in (COUNTING, STORY):
        text, again = (_unrestrained(chat, prompt, time) for time in ("once", "twice"))
        if len(text) < 20:
            continue
        if text != again:
            raise Inconclusive(
                "two answers to the same request at temperature 0 differ, so a stop sequence cannot be chosen"
            )
        middle = len(text) // 2
        return prompt, text[middle : middle + 4], text
    raise Inconclusive(f"the answers are too short to be stopped in their middle: {text!r}")


def _unrestrained(chat: Chat, prompt: str, time: str) -> str:
    reply: Reply = chat.memo(
        f"unrestrained {time} {prompt}", lambda: chat.ask(prompt, tokens=chat.room(64), temperature=0)
    )
    return reply.text


def _ends_before(reply: Reply, expected: str) -> bool:
    """Whether an answer stopped though no stop sequence was near: it is a part of what stands before the first."""
    if reply.choice().reasoning and not reply.text:
        raise Inconclusive("the answer ended within the model's thoughts, where the stop sequence may have come first")
    return reply.finish == "stop" and expected.startswith(reply.text) and len(reply.text) < len(expected.rstrip())


def _forms(chat: Chat, word: str, *, first: bool = False) -> list[str | list[str]]:
    """The documented forms of stop: one string, a list of four whose last, or first, is the one that comes."""
    from conformance.schema import branches, types

    root = chat.dialect.schemas["request"]
    kinds = {kind for branch in branches(root, root["properties"]["stop"]) for kind in types(branch)}
    forms: list[str | list[str]] = [word] if "string" in kinds else []
    others = ["\u2603never", "\u2603nor", "\u2603neither"]
    return [*forms, [word, *others] if first else [*others, word]] if "array" in kinds else forms


def _strings(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    """All text in a value, as it is: what was said to a model it may say again."""
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, str):
        yield value
    for member in members:
        yield from _strings(member)


def _stains(text: str, prompt: str, part: str) -> Iterator[str]:
    if part in ("", "replacement") and "\ufffd" in text and "\ufffd" not in prompt:
        yield "U+FFFD"
    if part in ("", "surrogates") and any("\ud800" <= c <= "\udfff" for c in text):
        yield "half of a surrogate pair"
    if part in ("", "control"):
        yield from (repr(c) for c in sorted(CONTROL & set(text) - set(prompt)))
    if part in ("", "special-tokens"):
        yield from (token for token in SPECIAL_TOKENS if token in text and token not in prompt)
    if part in ("", "thinking"):
        yield from (mark for mark in THINKING if mark in text and mark not in prompt)
