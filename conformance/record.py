"""The client of a replay: every request is answered by a recorded exchange, and no connection is made.

An exchange answers the request of the same check with the same method, URL, headers and body, once. `Unrecorded` is
raised where the record holds no answer, or only a part of one; `RecordError` where there is nothing to replay at all.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections import Counter, defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from conformance.wire.client import Budget, BudgetSpent, Client, Timeouts
from conformance.wire.exchange import HTTP, KEPT_BODY, Exchange, Frame, Request
from reports.model import ReportError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reports.model import ExchangeRecord

__all__ = ["RecordError", "RecordedClient", "Unrecorded"]

CREDENTIAL = re.compile(r"(?i)auth|cookie|key|token")
CUT = re.compile(r"\[cut: \d+ bytes in \d+ frames\]")


class RecordError(ReportError):
    """The record cannot be replayed at all; the sentence says why."""


class Unrecorded(BudgetSpent):
    """The record holds no answer to this request."""


class RecordedClient(Client):
    """Answers from the record instead of sending. `check` is whose exchanges are used first."""

    def __init__(self, records: Iterable[ExchangeRecord]) -> None:
        self.timeouts, self.prefix, self.budget = Timeouts(), "", Budget()
        self.observe, self.forbidden = lambda _: None, set()
        self.check, self.now = "", 0.0
        self.missing: Counter[str] = Counter()
        self._lock, self._numbers = threading.Lock(), itertools.count(1)
        self._left: dict[tuple[Any, ...], list[ExchangeRecord]] = defaultdict(list)
        for record in records:
            self._left[_face(record)].append(record)
        self._used: dict[tuple[Any, ...], list[ExchangeRecord]] = defaultdict(list)
        self.again = False

    def pause(self, seconds: float) -> None:
        """The record's time has passed already."""

    def close(self) -> None:
        """Nothing is open."""

    def send(
        self,
        request: Request,
        *,
        stop_after: int | None = None,
        total: float | None = None,  # noqa: ARG002 - the client's keywords
        pieces: Iterable[bytes] | None = None,  # noqa: ARG002
        undefined: bool = False,
    ) -> Exchange:
        """The recorded exchange of this request. Raises Unrecorded."""
        with self._lock:
            record = self._taken(request)
            exchange = _exchange(record, request, stop_after, undefined=undefined)
            self.now = exchange.started + exchange.seconds
        self.observe(exchange)
        return exchange

    def _taken(self, request: Request) -> ExchangeRecord:
        face = _asked(request)
        left = self._left[face]
        record = next((r for r in left if r.check == self.check), None)
        if record is None and self.again:
            record = next((r for r in reversed(self._used[face]) if r.check == self.check), None)
        if record is None or _is_cut(record):
            self.missing[self.check] += 1
            what = "holds the answer to this request only in part" if record else "does not hold this request"
            raise Unrecorded(f"the record {what}")
        if record in left:
            left.remove(record)
            self._used[face].append(record)
        return record


def _face(record: ExchangeRecord) -> tuple[Any, ...]:
    return record.method, record.url, _plain(record.request_headers), record.request_body, record.request_body_base64


def _asked(request: Request) -> tuple[Any, ...]:
    """What the recorded form of this request would be matched by."""
    kept = Exchange("", request, 0.0, 0.0).record("")
    pairs = tuple((name, value) for name, value in kept["request_headers"])
    body = kept.get("request_body")
    return kept["method"], kept["url"], _plain(pairs), body, kept.get("request_body_base64")


def _plain(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The headers without what is masked in records, which says that a credential was sent and not which."""
    return tuple((n.lower(), "***" if CREDENTIAL.search(n) and v else v) for n, v in headers)


def _is_cut(record: ExchangeRecord) -> bool:
    last = record.frames[-1].text if record.frames else None
    return bool(last and CUT.fullmatch(last) and sum(len(f.data) for f in record.frames) > KEPT_BODY)


def _exchange(record: ExchangeRecord, request: Request, stop_after: int | None, *, undefined: bool) -> Exchange:
    try:
        frames = tuple(Frame(frame.t, frame.data) for frame in record.frames)
        started = datetime.fromisoformat(record.started).timestamp()
    except ValueError as error:
        raise Unrecorded(f"the record of {record.id} is damaged: {error}") from error
    return Exchange(
        id=record.id,
        request=request,
        started=started,
        seconds=record.seconds,
        status=record.status,
        headers=record.response_headers,
        frames=frames,
        error=record.error,
        aborted=stop_after is not None and record.error is None and len(frames) >= stop_after,
        undefined=undefined,
        version=record.http_version or HTTP,
    )
