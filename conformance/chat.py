"""The `chat` fixture: asks the target what a client would ask, in the dialect's words."""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any

from conformance.patience import Patience
from conformance.reply import Reply, asked, read
from conformance.verdict import Mismatch, NotApplicable, Untested

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from conformance.profile import Profile
    from conformance.target import Target
    from conformance.wire.client import Client
    from conformance.wire.exchange import Exchange
    from dialects import Dialect

__all__ = ["HI", "OMIT", "REPEATED_TOKENS", "STORY", "Chat", "brief"]

Json = dict[str, Any]
HI = "Say hi"
STORY = "Write a long story about a lighthouse keeper and the sea."
SHORT = 16
THINKING = 1024  # tokens for those that think before they speak; the limit counts their thoughts
OMIT: Any = object()
REPEATED_TOKENS = 40
CLIENT_ERROR, SERVER_ERROR = 400, 500


class Chat:
    """One target seen through one dialect. Every request is recorded by the client.

    `body` builds a request, `post` sends anything and returns the Exchange, `ask` insists on a 2xx answer and reads it.
    """

    def __init__(
        self, client: Client, target: Target, dialect: Dialect, profile: Profile, memo: dict[str, Any]
    ) -> None:
        self.client, self.target, self.dialect, self.profile = client, target, dialect, profile
        self._memo = memo

    @cached_property
    def patience(self) -> Patience:
        """How a limit of the run's own key is waited for."""
        return Patience(self.client.pause, lambda: self.post(self.body(), patient=False))

    @property
    def path(self) -> str:
        """The first documented chat path."""
        return self.dialect.paths.chat[0]

    @property
    def limit(self) -> str | None:
        """The field that bounds an answer's tokens, or None."""
        return self.target.limit or next(iter(self.dialect.request.token_limits), None)

    @property
    def asking_usage(self) -> Json:
        """What asks for usage in a stream, where the document has such a field."""
        return {"stream_options": {"include_usage": True}} if self.dialect.documents("stream_options") else {}

    def body(self, prompt: str | list[Json] = HI, *, tokens: int | None = SHORT, **fields: Any) -> Json:  # noqa: ANN401 - JSON
        """A request that the document allows; `tokens` bounds the answer, OMIT as a value drops a member."""
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        body: Json = {"model": self.target.model, "messages": messages}
        if tokens is not None and self.limit:
            body[self.limit] = tokens
        body.update(fields)
        return {name: value for name, value in body.items() if value is not OMIT}

    def post(
        self,
        body: Json | list[Any] | bytes,
        *,
        path: str | None = None,
        key: str | None = None,
        headers: dict[str, str | None] | None = None,
        patient: bool = True,
        **send: Any,  # noqa: ANN401 - the client's keywords
    ) -> Exchange:
        """Send anything to the chat path. `headers` replaces by name (None removes); `key` replaces the target's.

        What is refused for haste is sent again, unless the key is a lever, whose limits are what is asked about.
        """
        data = (
            body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
        )
        target = self.target
        if key is not None:
            target = dataclasses.replace(target, key=key, key_env=self.profile.source(key))
        request = target.request(path or self.path, data)
        request = dataclasses.replace(request, headers=_replaced(request.headers, headers or {}))
        if not patient or (key is not None and key in map(self.profile.key, self.profile.keys)):
            return self.client.send(request, **send)
        return self.patience.served(lambda: self.client.send(request, **send))

    def fetch(self, path: str, method: str = "GET", body: bytes = b"") -> Exchange:
        """Send another method or another path."""
        request = self.target.request(path, body, method=method)
        return self.patience.served(lambda: self.client.send(request))

    def ask(
        self,
        prompt: str | list[Json] = HI,
        *,
        tokens: int | None = SHORT,
        path: str | None = None,
        **fields: Any,  # noqa: ANN401 - JSON
    ) -> Reply:
        """Ask and insist on a 2xx answer of the kind that was asked for."""
        return self.accepted(self.post(self.body(prompt, tokens=tokens, **fields), path=path))

    def stream(self, prompt: str | list[Json] = HI, *, tokens: int | None = SHORT, **fields: Any) -> Reply:  # noqa: ANN401 - JSON
        """The same, streamed."""
        return self.ask(prompt, tokens=tokens, stream=True, **fields)

    def accepted(self, exchange: Exchange) -> Reply:
        """The exchange read as an answer; raises Mismatch when it was refused or broke off."""
        if not exchange.ok:
            raise Mismatch("a 2xx answer to a request that the document allows", brief(exchange), exchange)
        reply = read(exchange)
        if reply.streamed != (asked(exchange).get("stream") is True):
            wanted = "an event stream" if not reply.streamed else "one JSON document"
            raise Mismatch(
                f"{wanted}, as stream={asked(exchange).get('stream')!r} asks",
                f"content type {exchange.media_type!r}",
                exchange,
            )
        return reply

    def refused(self, exchange: Exchange, *statuses: int) -> Exchange:
        """The exchange, which must be a client error; of one of these statuses, when some are given.

        No document says what the answer to a request that it forbids is like: where one came, no oracle judges it.
        """
        if exchange.ok:
            self.client.forbidden.add(exchange.id)
        wanted = " or ".join(map(str, statuses)) if statuses else "a 4xx status"
        if exchange.status is None or (
            exchange.status not in statuses if statuses else not CLIENT_ERROR <= exchange.status < SERVER_ERROR
        ):
            raise Mismatch(wanted, brief(exchange), exchange)
        return exchange

    def survived(self, exchange: Exchange) -> Exchange:
        """The exchange, which must have ended with a status below 500, or the documented one of a model unknown by chance."""
        unknown = self.dialect.cause("unknown_model")
        model = asked(exchange).get("model")
        excused = unknown.status if unknown and isinstance(model, str) and model != self.target.model else ()
        if exchange.status is None or (exchange.status >= SERVER_ERROR and exchange.status not in excused):
            raise Mismatch("a status below 500", brief(exchange), exchange)
        return exchange

    def plain(self) -> Reply:
        """A short whole answer, asked once a run."""
        reply: Reply = self.memo("plain", lambda: self._spoken(self.ask))
        return reply

    def streamed(self) -> Reply:
        """A short streamed answer, asked once a run."""
        reply: Reply = self.memo("streamed", lambda: self._spoken(self.stream))
        return reply

    def room(self, tokens: int) -> int:
        """That many tokens; more for a target that needed more before it said the first word."""
        try:
            plain = self.plain()
        except Mismatch:  # told where the plain answer is judged
            return tokens
        return tokens if not self.limit or asked(plain.exchange).get(self.limit) == SHORT else THINKING

    def _spoken(self, ask: Callable[..., Reply]) -> Reply:
        """A short answer; with more tokens where the limit cut it before it said anything."""
        reply = ask(tokens=SHORT)
        cut = not reply.text and (reply.finish == "length" or (reply.streamed and reply.finish is None))
        return ask(tokens=THINKING) if self.limit and cut else reply

    def unfinished(self, reply: Reply) -> bool:
        """Whether it is a stream with text and no word of its end, where the document promises no finish reason."""
        rows = [row for row in self.dialect.requirements if "stream.finish-once" in row.checks]
        silent = reply.streamed and reply.text != "" and reply.finish is None
        return silent and all(row.level == "MAY" for row in rows)

    def story(self, tokens: int = 48) -> Reply:
        """A longer whole answer that the token limit cuts, asked once a run."""
        reply: Reply = self.memo(f"story{tokens}", lambda: self.ask(STORY, tokens=tokens))
        return reply

    def streamed_story(self, tokens: int = 48) -> Reply:
        """A longer streamed answer that the token limit cuts, asked once a run."""
        reply: Reply = self.memo(f"streamed_story{tokens}", lambda: self.stream(STORY, tokens=tokens))
        return reply

    def provoked(self, cause: str, make: Callable[[], Exchange]) -> Exchange:
        """What came of a mistake of this kind, made once a run."""
        exchange: Exchange = self.memo(f"provoked {cause}", make)
        return exchange

    def repeated(self, times: int, **fields: Any) -> list[Exchange]:  # noqa: ANN401 - JSON
        """What came of the same request for a story so many times, each asked once a run."""
        exchanges: list[Exchange] = self.memo(f"repeated {sorted(fields.items())}", list)
        while len(exchanges) < times:
            exchanges.append(self.post(self.body(STORY, tokens=REPEATED_TOKENS, **fields)))
        return exchanges[:times]

    def choices(self, n: int, **fields: Any) -> Exchange:  # noqa: ANN401 - JSON
        """What came for n choices of a story that the token limit cuts, asked once a run."""
        body = self.body(STORY, tokens=self.room(12), n=n, **fields)
        exchange: Exchange = self.memo(f"{n} choices {sorted(fields)}", lambda: self.post(body))
        return exchange

    def memo(self, name: str, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever `make` gives
        """What `make` gave the first time; forgotten when a failure is confirmed by asking again."""
        if name not in self._memo:
            self._memo[name] = make()
        return self._memo[name]

    def together(self, bodies: Iterable[Json], workers: int = 8) -> list[Exchange]:
        """Send these at the same time; the exchanges in the order of the bodies."""
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(self.post, bodies))

    def lever(self, name: str) -> str:
        """The key of a lever, or Untested."""
        key = self.profile.key(name)
        if key is None:
            raise Untested(
                f"needs a {name.replace('_', '-')} key: name its environment variable as keys.{name} in --profile"
            )
        return key

    def offered(self, *capabilities: str) -> None:
        """Raise NotApplicable or Untested where the profile says no, or would have to say yes."""
        for name in capabilities:
            offers = self.profile.offers(name)
            if offers is False:
                raise NotApplicable(f"the profile says that the target does not offer {name}")
            if offers is None:
                raise Untested(
                    f"the profile does not say that the target offers {name}: capabilities.{name} = true, or a model of it"
                )

    def keyed(self) -> None:
        """Whether a key is in use at all; raises Untested when none is, as then nothing can be said of keys."""
        if not self.target.key:
            raise Untested(f"no key is set in {self.target.key_env}, so how the target treats keys cannot be judged")


def brief(exchange: Exchange) -> str:
    """One line on how an exchange ended."""
    if exchange.status is None:
        return f"no answer ({exchange.error})"
    text = " ".join(exchange.text[:300].split())
    if exchange.request.key:
        text = text.replace(exchange.request.key, "***")
    broken = f", then {exchange.error}" if exchange.error else ""
    return f"status {exchange.status} ({exchange.media_type or 'no content type'}){broken}: {text[:160]}"


def _replaced(headers: tuple[tuple[str, str], ...], changes: dict[str, str | None]) -> tuple[tuple[str, str], ...]:
    changed = {name.lower() for name in changes}
    kept = [(k, v) for k, v in headers if k.lower() not in changed]
    return (*kept, *((k, v) for k, v in changes.items() if v is not None))
