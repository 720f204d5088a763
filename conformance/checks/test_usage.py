from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.capability import honoured, whole
from conformance.chat import HI, STORY
from conformance.registry import check, oracle
from conformance.reply import asked, dig
from conformance.sayings import LONGER, SLACK, length, longer, prompt_tokens
from conformance.verdict import Inconclusive, Mismatch, NotApplicable

if TYPE_CHECKING:
    from conformance.chat import Chat
    from conformance.reply import Reply
    from dialects import Dialect

COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
LONG_ONES = 4
TURNS = 12  # of small talk, more than a gateway keeps that keeps the last few
MANY = 8  # completion tokens: a turn's end and what a template adds are fewer
NAMING = ("role", "id", "name")
ASK_USAGE: dict[str, Any] = {"stream_options": {"include_usage": True}}


@oracle("usage.sum")
def test_sum(answer: Reply) -> None:
    """In a whole answer total_tokens is the sum of prompt_tokens and completion_tokens."""
    _adds_up(answer)


@oracle("usage.stream-sum")
def test_stream_sum(stream: Reply) -> None:
    """In a stream's usage total_tokens is the sum of prompt_tokens and completion_tokens."""
    _adds_up(stream)


@oracle("usage.prompt-positive")
def test_prompt_positive(reply: Reply) -> None:
    """A prompt has tokens: prompt_tokens is above zero, streamed or not."""
    count = reply.count("prompt_tokens")
    if count is None or not asked(reply.exchange).get("messages"):
        raise NotApplicable("no count, or no message")
    if count <= 0:
        raise Mismatch("prompt_tokens above 0", f"{count}", reply.exchange)


@oracle("usage.completion-counted")
def test_completion_counted(reply: Reply) -> None:
    """An answer with text has completion tokens, a whole one no more text than they can make, and no text is few tokens."""
    count, text = reply.count("completion_tokens"), "".join(choice.text for choice in reply.choices)
    if count is None:
        raise NotApplicable("no count")
    if not text:
        _says_something(reply, count)
        return
    endless = not reply.streamed and len(text) > 200 * count  # a stream that repeats itself is stream.incremental's
    if count <= 0 or endless:
        raise Mismatch(f"completion_tokens that fit {len(text)} characters of text", f"{count}", reply.exchange)


def _says_something(reply: Reply, count: int) -> None:
    """Raise Mismatch where a whole answer came to its own end, cost tokens and holds nothing that was made of them."""
    messages = [dig(choice.raw, "message") for choice in reply.choices]
    ended = [choice.finish for choice in reply.choices] == ["stop"] * len(messages)
    details = reply.usage.get("completion_tokens_details")
    thought = isinstance(details, dict) and any(isinstance(n, int) and n > 0 for n in details.values())
    if reply.streamed or not messages or not ended or thought or "stop" in asked(reply.exchange):
        raise NotApplicable("no text, and maybe nothing to say")
    empty = all(isinstance(m, dict) and not any(v for name, v in m.items() if name not in NAMING) for m in messages)
    if empty and count >= MANY:
        raise Mismatch(
            f"something that {count} completion tokens made", "no text, call, reasoning or refusal", reply.exchange
        )


@oracle("usage.within-limit")
def test_within_limit(reply: Reply, dialect: Dialect) -> None:
    """completion_tokens is at most the token limit for each choice; of two limits the larger, as none is said to win."""
    body = asked(reply.exchange)
    limits = [
        v
        for name in dialect.request.token_limits
        if isinstance(v := body.get(name), int) and not isinstance(v, bool) and v > 0
    ]
    count = reply.count("completion_tokens")
    if count is None or not limits:
        raise NotApplicable("no count, or no limit")
    asked_for = body.get("n")
    choices = asked_for if isinstance(asked_for, int) and asked_for > 0 else 1
    if count > max(limits) * choices:
        raise Mismatch(f"at most {max(limits) * choices} completion tokens", f"{count}", reply.exchange)


@oracle("usage.details-bounded")
def test_details_bounded(reply: Reply) -> None:
    """The details of usage are parts of the counts that they belong to."""
    for total, details in (
        ("prompt_tokens", "prompt_tokens_details"),
        ("completion_tokens", "completion_tokens_details"),
    ):
        whole, parts = reply.count(total), dig(reply.usage, details)
        for name, part in parts.items() if isinstance(parts, dict) else ():
            if whole is not None and isinstance(part, int) and not isinstance(part, bool) and not 0 <= part <= whole:
                raise Mismatch(f"{details}.{name} from 0 to {whole}", f"{part}", reply.exchange)


@check("usage.grows-with-prompt")
def test_grows_with_prompt(chat: Chat) -> None:
    """A longer prompt has more prompt_tokens, streamed or not."""
    short, long = chat.plain(), longer(chat)
    few, many = prompt_tokens(short), prompt_tokens(long)
    if many <= few:
        raise Mismatch(f"more than {few} prompt tokens for a longer prompt", f"{many}", long.exchange)


@check("usage.n-covers-all")
def test_n_covers_all(chat: Chat) -> None:
    """With several choices completion_tokens counts all of them, whole and streamed."""
    chat.offered("n")
    counted = [
        _covers(chat.accepted(exchange), n)
        for n, exchange in ((5, chat.choices(5)), (2, chat.choices(2, stream=True, **chat.asking_usage)))
        if exchange.ok
    ]
    if not any(counted):
        raise Inconclusive("no choices that the token limit cut, or no count")


def _covers(reply: Reply, n: int) -> bool:
    """Whether the answer's count can be judged, and is right."""
    count = reply.count("completion_tokens")
    if count is None or len(reply.choices) < n or any(choice.finish != "length" for choice in reply.choices):
        return False
    if count < n * 12:
        raise Mismatch(f"{n * 12} completion tokens, 12 for each of {n} choices", f"{count}", reply.exchange)
    return True


@check("usage.prompt-counted-once")
def test_prompt_counted_once(chat: Chat) -> None:
    """The same prompt has the same prompt_tokens for one choice and for several."""
    chat.offered("n")
    several = chat.choices(5)
    if not several.ok:
        raise Inconclusive(f"n = 5 is refused with status {several.status}")
    one, many = prompt_tokens(chat.story()), prompt_tokens(chat.accepted(several))
    if one != many:
        raise Mismatch(f"{one} prompt tokens, as for one choice", f"{many}", several)


@check("usage.conversation-counted")
def test_conversation_counted(chat: Chat) -> None:
    """prompt_tokens counts every message of two dozen, from a system message to the last question, and every part of each."""
    more = length(chat)
    parts = True
    exchange = chat.post(chat.body(_conversation(LONGER, parts=parts)))
    if not exchange.ok:  # not every document has parts, and rows of their own judge who refuses them
        parts = False
        exchange = chat.post(chat.body(_conversation(LONGER, parts=parts)))
    reply = honoured(chat, exchange)
    count = prompt_tokens(reply)
    small_talk = honoured(
        chat, chat.post(chat.body(_conversation(HI, parts=parts)[1:]))
    )  # nor what a system said before
    few = prompt_tokens(small_talk)
    least = few + (LONG_ONES - SLACK) * more
    if count < least:
        expected = (
            f"at least {least:.0f} prompt tokens, as the same with short texts and no system message, asked next, has {few}"
            f" and one of the {LONG_ONES} long texts alone {more} more"
        )
        raise Mismatch(expected, f"{count}", reply.exchange)


def _conversation(text: str, *, parts: bool) -> list[dict[str, Any]]:
    """More than two dozen messages, four of which have that text: the system's, the first question, an answer, the last question.

    As `parts` those questions have a short part as well, the first before the long one, the last after it.
    """

    def said(*texts: str) -> Any:  # noqa: ANN401 - a text or its parts
        return [{"type": "text", "text": text} for text in texts] if parts else " ".join(texts)

    turns: list[tuple[str, Any]] = [("system", text), ("user", said(HI, text)), ("assistant", HI)]
    turns += [("user", HI), ("assistant", text)]
    turns += [("user", HI), ("assistant", HI)] * TURNS
    return [{"role": role, "content": content} for role, content in (*turns, ("user", said(text, HI)))]


@check("usage.stream-present", smoke=True)
def test_stream_present(chat: Chat) -> None:
    """A stream carries usage without being asked to."""
    _has_counts(chat.streamed())


@check("usage.stream-on-request", smoke=True)
def test_stream_on_request(chat: Chat) -> None:
    """A stream that was asked to include usage carries it."""
    _has_counts(_with_usage(chat))


@check("usage.stream-absent-unasked")
def test_stream_absent_unasked(chat: Chat) -> None:
    """A stream that was not asked to include usage has none."""
    reply = chat.streamed()
    if reply.usages:
        raise Mismatch("no usage in a stream that was not asked for it", f"{str(reply.usage)[:80]}", reply.exchange)


@oracle("usage.stream-declined")
def test_stream_declined(stream: Reply) -> None:
    """A stream that was asked not to include usage has none, whatever else was asked."""
    if dig(asked(stream.exchange), "stream_options", "include_usage") is not False:
        raise NotApplicable("usage was not declined")
    if stream.usages:
        raise Mismatch("no usage, as include_usage false asks", f"{str(stream.usage)[:80]}", stream.exchange)


@oracle("usage.stream-once")
def test_stream_once(stream: Reply) -> None:
    """At most one chunk of a stream carries usage."""
    if len(stream.usages) > 1:
        raise Mismatch("usage in one chunk", f"in {len(stream.usages)} chunks", stream.exchange)


@oracle("usage.stream-asked")
def test_stream_asked(stream: Reply, dialect: Dialect) -> None:
    """Every stream that has to carry usage, because it was asked to or always, carries it, whatever else was asked."""
    sent = asked(stream.exchange)
    wanted = dialect.documents("stream_options") and dig(sent, "stream_options", "include_usage") is True
    if not wanted and dialect.stream.usage != "always":
        raise NotApplicable("no usage was asked for")
    whole(stream)
    if not stream.usages:
        raise Mismatch("usage in a chunk of the stream", f"none in {len(stream.chunks)} chunks", stream.exchange)


@oracle("usage.stream-with-finish")
def test_stream_with_finish(stream: Reply) -> None:
    """The chunk with the finish reason is the one that carries usage, in every stream."""
    if not whole(stream).usages:
        raise NotApplicable("the stream has no usage")
    carrier = next(chunk for chunk in stream.chunks if isinstance(dig(chunk.value, "usage"), dict))
    if not any(isinstance(choice.get("finish_reason"), str) for choice in carrier.choices):
        raise Mismatch("usage in the chunk with the finish reason", "in another chunk", stream.exchange)


@check("usage.stream-own-chunk")
def test_stream_own_chunk(chat: Chat) -> None:
    """Usage that was asked for comes in a last chunk of its own, whose choices are empty."""
    reply = _with_usage(chat)
    if not reply.usages:
        raise Inconclusive("the stream has no usage")
    carrier = next(chunk for chunk in reply.chunks if isinstance(dig(chunk.value, "usage"), dict))
    if dig(carrier.value, "choices") != []:
        raise Mismatch(
            "empty choices in the chunk with usage", f"{str(dig(carrier.value, 'choices'))[:80]}", reply.exchange
        )
    if carrier is not reply.chunks[-1]:
        raise Mismatch(
            "the chunk with usage last", f"{len(reply.chunks)} chunks with another at the end", reply.exchange
        )


@check("usage.stream-null-before")
def test_stream_null_before(chat: Chat) -> None:
    """A stream that was asked to include usage has `usage: null` in every chunk before."""
    reply = _with_usage(chat)
    without = [
        n
        for n, chunk in enumerate(reply.chunks[:-1], 1)
        if not isinstance(chunk.value, dict) or chunk.value.get("usage", 0) is not None
    ]
    if without:
        raise Mismatch("usage null in every chunk but the last", f"not in chunk {without[0]}", reply.exchange)


@check("usage.stream-equals-plain")
def test_stream_equals_plain(chat: Chat) -> None:
    """The same request has the same prompt_tokens streamed and not, and the same completion_tokens where the limit cuts both."""
    whole = chat.story()
    streamed = chat.memo("streamed story with usage", lambda: chat.stream(STORY, tokens=48, **chat.asking_usage))
    for name in COUNTS:
        here, there = whole.count(name), streamed.count(name)
        cut = whole.finish == streamed.finish == "length"
        if here is None or there is None:
            raise Inconclusive(f"{name} is not in both answers")
        if here != there and (name == "prompt_tokens" or cut):
            raise Mismatch(f"{name} {here}, as not streamed", f"{there}", streamed.exchange)


def _adds_up(reply: Reply) -> None:
    for usage in reply.usages:
        counts = [n for name in COUNTS if isinstance(n := usage.get(name), int) and not isinstance(n, bool)]
        if len(counts) == len(COUNTS) and counts[2] != counts[0] + counts[1]:
            raise Mismatch(f"total_tokens {counts[0] + counts[1]}", f"{counts[2]}", reply.exchange)


def _has_counts(reply: Reply) -> None:
    if not reply.usages:
        raise Mismatch("usage in a chunk of the stream", f"none in {len(reply.chunks)} chunks", reply.exchange)
    for name in COUNTS:
        count = reply.count(name)
        if count is None or count < 0 or (name != "completion_tokens" and count == 0):
            raise Mismatch(f"usage with a count of {name}", f"{str(reply.usage.get(name))[:60]}", reply.exchange)


def _with_usage(chat: Chat) -> Reply:
    if not chat.dialect.documents("stream_options"):
        raise NotApplicable("the document has no stream_options")
    reply: Reply = chat.memo("streamed with usage", lambda: chat.stream(**ASK_USAGE))
    return reply
