"""Runs checks and oracles and keeps what they found: one Judge a process.

A failed check is run again from scratch before it counts, and once more where the second run passes; runs from which
nothing follows, for a model is weak, are made up for, four in all. An oracle's finding is confirmed by sending the same
request again, or by `OFTEN` findings in a run: a fault of every third answer never shows on the repetition, and is felt all
the same. What was seen less is reported as inconclusive, with the count.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hypothesis.errors import Flaky, FlakyFailure

from conformance.reply import asked, read
from conformance.target import accepts_connections
from conformance.verdict import Conclusion, Mismatch, Outcome
from conformance.wire.client import BudgetSpent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conformance.chat import Chat
    from conformance.coverage import Coverage
    from conformance.wire.client import Client
    from conformance.wire.exchange import Exchange
    from dialects import Dialect

__all__ = ["Judge", "Oracle", "Violation"]

EVIDENCE = 3
CONFIRMATIONS = 3
RERUNS, MOST_RERUNS = 2, 4
OFTEN = 3
PATIENCE = 5.0
ABSURD = 10**8


@dataclass(frozen=True, slots=True)
class Oracle:
    """A selected oracle: its id as rows write it, what it looks at, and how to call it."""

    id: str
    kind: str
    call: Callable[[Any], None]


@dataclass(slots=True)
class Violation:
    """What an oracle found: in which exchange, how often it was seen, and whether a repetition showed it again."""

    oracle: str
    outcome: Outcome
    confirmed: bool = False
    seen: int = 1
    tries: int = 0


@dataclass
class Judge:
    """The state of a run in one process. `exchanges` holds what the current check has sent so far."""

    client: Client
    dialect: Dialect
    oracles: list[Oracle] = field(default_factory=list)
    max_tokens: int | None = None
    memo: dict[str, Any] = field(default_factory=dict)
    exchanges: list[Exchange] = field(default_factory=list)
    violations: dict[str, Violation] = field(default_factory=dict)
    broken: dict[str, Outcome] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)
    applied: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    chat: Chat | None = None
    coverage: Coverage | None = None
    gone: str | None = None

    def __post_init__(self) -> None:
        self.client.observe = self.exchanges.append
        self._counted = 0
        self.covered: set[str] = set()
        self._looked: Counter[str] = Counter()
        self._unreported: Counter[str] = Counter()

    def run(self, function: Callable[[], Any], docstring: str, *, generated: bool) -> Outcome:
        """Run one check to its outcome. `generated` checks (hypothesis) confirm their own smallest example."""
        start = time.perf_counter()
        outcome = self._attempt(function, docstring)
        if outcome.verdict == "fail" and not generated:
            outcome = self._rerun(outcome, function, docstring)
        outcome.seconds = time.perf_counter() - start
        return outcome

    def _rerun(self, first: Outcome, function: Callable[[], Any], docstring: str) -> Outcome:
        """The failure of one of the next runs, or that there was none; a run from which nothing follows is made up for."""
        tries = sound = 0
        while sound < RERUNS and tries < MOST_RERUNS:
            self.memo.clear()
            outcome = self._attempt(function, docstring)
            if outcome.verdict == "not-run":
                break
            tries += 1
            sound += outcome.verdict == "pass"
            if outcome.verdict == "fail":
                if tries > 1:
                    outcome.reason = f"in 2 of {tries + 1} runs: {outcome.reason}"
                return outcome
        return _transient(first, 1, tries)

    def watch(self, function: Callable[[Chat], Any], oracle_id: str) -> Outcome:
        """The outcome of an oracle: what it found anywhere in this process, after making sure that it saw something."""
        start = time.perf_counter()
        if not self.applied[oracle_id] and self.chat is not None:
            outcome = self._attempt(lambda: function(self.chat), "")  # type: ignore[arg-type]
            self.inspect()
            if outcome.verdict == "not-run" and not self.gone and oracle_id in self.excluded:
                return self.found(oracle_id)  # it looked at all that came, and none was of its kind
            if not self.applied[oracle_id] and outcome.verdict != "pass":
                return Outcome(
                    "inconclusive" if outcome.verdict == "fail" else outcome.verdict,
                    f"nothing to look at: {outcome.reason}",
                )
        outcome = self.found(oracle_id)
        outcome.seconds = time.perf_counter() - start
        return outcome

    def found(self, oracle_id: str) -> Outcome:
        """The outcome of an oracle from what was seen so far."""
        if oracle_id in self.broken:
            return self.broken[oracle_id]
        violation = self.violations.get(oracle_id)
        if violation is not None:
            return self._concluded(violation)
        if self.applied[oracle_id]:
            return Outcome("pass")
        if oracle_id in self.excluded:
            return Outcome("not-applicable", self.excluded[oracle_id])
        return Outcome("inconclusive", "no answer of the kind that it looks at was seen")

    def _concluded(self, violation: Violation) -> Outcome:
        """A failure where it was confirmed or came often, else a transient."""
        found = violation.outcome
        if violation.confirmed:
            return found
        if violation.seen >= OFTEN:
            of = self.applied[violation.oracle]
            return replace(found, reason=f"now and then, in {violation.seen} of {of} answers: {found.reason}")
        return _transient(found, violation.seen, violation.tries)

    def inspect(self) -> None:
        """Let every oracle look at the exchanges that it has not seen yet."""
        while self._counted < len(self.exchanges):
            exchange = self.exchanges[self._counted]
            self._counted += 1
            self._spend(exchange)
            if self.coverage is not None and exchange.status is not None:
                self.covered |= self.coverage.see(asked(exchange))
            self._look(exchange)

    def harvest(self) -> dict[str, tuple[int, Outcome | None]]:
        """Per oracle that looked at something since the last harvest: how often, and its finding if it has one."""
        looked, self._looked = self._looked, Counter()
        ids = [*looked, *(i for i in self.broken if i not in looked)]
        bad = {*self.violations, *self.broken}
        return {i: (looked[i], self.found(i) if i in bad else None) for i in ids}

    def spent(self) -> dict[str, int]:
        """Requests and tokens since the last time this was asked."""
        spent, self._unreported = dict(self._unreported), Counter()
        return spent

    def next_item(self) -> None:
        """Forget the exchanges of the check that ended."""
        self.exchanges.clear()
        self._counted = 0

    def _attempt(self, function: Callable[[], Any], docstring: str) -> Outcome:
        if self.gone:
            return Outcome("not-run", self.gone)
        outcome = self._tried(function, docstring)
        self._knock()
        return Outcome("not-run", self.gone, evidence=outcome.evidence) if self.gone else outcome

    def _knock(self) -> None:
        """Notice a target that has gone for good: what it can't answer any more is not its fault row by row."""
        refused = next((e for e in self.exchanges if (e.error or "").startswith("connect")), None)
        if refused is not None and self.chat is not None and not accepts_connections(self.chat.target.url, PATIENCE):
            self.gone = f"the target no longer accepts connections since exchange {refused.id}"

    def _tried(self, function: Callable[[], Any], docstring: str) -> Outcome:
        try:
            self._within_tokens()
            function()
        except (Flaky, FlakyFailure) as error:
            return self._failed(
                Outcome("inconclusive", f"transient: a failing example did not fail again ({_first_line(error)})")
            )
        except Mismatch as error:
            evidence = [error.exchange.id] if error.exchange is not None else []
            return self._failed(Outcome("fail", _first_line(error), error.expected, error.observed, evidence))
        except AssertionError as error:
            return self._failed(Outcome("fail", _first_line(error), docstring, _first_line(error)))
        except Conclusion as error:
            return self._failed(Outcome(error.verdict, str(error)))
        except BudgetSpent as error:
            return Outcome("not-run", str(error))
        return Outcome("pass")

    def _failed(self, outcome: Outcome) -> Outcome:
        if not outcome.evidence:
            outcome.evidence = [e.id for e in self.exchanges[-EVIDENCE:]]
        return outcome

    def _within_tokens(self) -> None:
        spent = self.tokens["completion_tokens"]
        if self.max_tokens is not None and spent >= self.max_tokens:
            raise BudgetSpent(f"the cap of {self.max_tokens} completion tokens (--max-tokens) is spent")

    def _spend(self, exchange: Exchange) -> None:
        reply = read(exchange)
        counts = Counter(
            {name: _sane(reply.count(name)) for name in ("prompt_tokens", "completion_tokens")} if exchange.ok else {}
        )
        self.tokens.update(counts)
        self._unreported.update(counts + Counter(requests=1))

    def _look(self, exchange: Exchange) -> None:
        views = dict(self._views(exchange))
        for oracle in self.oracles:
            if oracle.kind in views and oracle.id not in self.broken:
                self._apply(oracle, views[oracle.kind], exchange)

    def _views(self, exchange: Exchange) -> Iterator[tuple[str, Any]]:
        yield "exchange", exchange
        if exchange.aborted or exchange.undefined or exchange.status is None:
            return
        if exchange.status >= 400:  # noqa: PLR2004 - the classes of refusal
            yield "refusal", exchange
        elif exchange.id in self.client.forbidden:
            return
        elif exchange.ok and exchange.request.method == "POST" and isinstance(asked(exchange).get("messages"), list):
            reply = read(exchange)
            yield "reply", reply
            if reply.streamed:
                yield "stream", reply
            elif asked(exchange).get("stream") is not True:  # else neither: what was to be a stream is no whole answer
                yield "answer", reply

    def _apply(self, oracle: Oracle, view: Any, exchange: Exchange) -> None:  # noqa: ANN401 - what the kind says
        outcome = self._opinion(oracle, view, exchange)
        if outcome.verdict == "not-applicable":
            self.excluded[oracle.id] = outcome.reason or ""
            return
        if outcome.verdict == "error":
            self.broken[oracle.id] = outcome
            return
        self.applied[oracle.id] += 1
        self._looked[oracle.id] += 1
        if outcome.verdict == "fail":
            self._note(oracle, outcome, exchange)

    def _opinion(self, oracle: Oracle, view: Any, exchange: Exchange) -> Outcome:  # noqa: ANN401
        """Pass, fail or error; not-applicable when the oracle says that this exchange is not for it."""
        try:
            oracle.call(view)
        except Mismatch as error:
            return Outcome("fail", _first_line(error), error.expected, error.observed, [exchange.id])
        except AssertionError as error:
            return Outcome("fail", _first_line(error), None, _first_line(error), [exchange.id])
        except Conclusion as conclusion:
            return Outcome("not-applicable", str(conclusion))
        except Exception as error:  # noqa: BLE001 - the suite survives any bytes and says that the fault is its own
            return Outcome(
                "error",
                f"the oracle {oracle.id} itself failed: {type(error).__name__}: {error}",
                evidence=[exchange.id],
            )
        return Outcome("pass")

    def _note(self, oracle: Oracle, outcome: Outcome, exchange: Exchange) -> None:
        violation = self.violations.get(oracle.id)
        if violation is None:
            violation = self.violations[oracle.id] = Violation(oracle.id, outcome)
        else:
            violation.seen += 1
        if not violation.confirmed and violation.tries < CONFIRMATIONS:
            violation.outcome = outcome
            repeated = self._again(oracle, exchange)
            violation.tries += repeated is not None
            violation.confirmed = repeated is True

    def _again(self, oracle: Oracle, exchange: Exchange) -> bool | None:
        """Whether the same request, sent again, shows the same finding; None when there is no budget to try."""
        try:
            repeated = self.client.send(exchange.request)
        except BudgetSpent:
            return False  # seen once and not confirmed: no reason to blame the target
        view = dict(self._views(repeated)).get(oracle.kind)
        opinion = self._opinion(oracle, view, repeated) if view is not None else None
        return opinion is not None and opinion.verdict == "fail"


def _sane(count: int | None) -> int:
    """A count of tokens as it enters the cost: what no request of ours can have cost is left to the rows of usage."""
    return count if count is not None and 0 <= count <= ABSURD else 0


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:3])[:600] if lines else type(error).__name__


def _transient(first: Outcome, seen: int, tries: int) -> Outcome:
    """What was seen and did not show again, or could not be tried again."""
    times = "once" if seen == 1 else f"{seen} times"
    again = (
        f"not on {tries} repetition{'s' if tries > 1 else ''}"
        if tries
        else "and the budget was spent before it could be repeated"
    )
    reason = f"transient: seen {times}, {again}: {first.reason}"
    return Outcome("inconclusive", reason, first.expected, first.observed, first.evidence)
