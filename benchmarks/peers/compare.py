"""When a tester has found a fault: what it says of the broken server is worse than what it says of the correct one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.peers.testers import Said

__all__ = ["failing", "found", "unstable"]

GOOD = frozenset({"pass", "passed", "ok"})
NOTHING = frozenset(
    {"skip", "skipped", "inconclusive", "untested", "not-applicable", "not-run", "unknown", "not_applicable"}
)


def found(now: Said, before: Sequence[Said], *, strict: bool = False) -> list[str]:
    """The tests that are worse than in every run before; `exit code` and `no end` among them where those are.

    A test is worse when it had always passed and does not pass now, be it failed, warned of, skipped or gone; or when it
    fails and never did. `strict`, which is for this suite, counts failed tests alone: neither what it could not decide nor
    an exit code that says so.
    """
    bad = {name for name, word in now.tests.items() if _failed(word, strict=strict)}
    known = {name for said in before for name, word in said.tests.items() if _failed(word, strict=strict)}
    always = {name for name in before[0].tests if all(said.tests.get(name) in GOOD for said in before)}
    lost = set() if strict else {name for name in always if now.tests.get(name) not in GOOD}
    return sorted((bad - known) | lost | set(_ended(now, before, strict=strict)))


def _failed(word: str, *, strict: bool) -> bool:
    return word == "fail" if strict else word not in GOOD | NOTHING


def _ended(now: Said, before: Sequence[Said], *, strict: bool) -> list[str]:
    if strict:
        return []
    if now.code is None:
        return [] if any(said.code is None for said in before) else ["no end"]
    return ["exit code"] if all(said.code is not None and said.code < now.code for said in before) else []


def failing(before: Sequence[Said]) -> list[str]:
    """The tests that do not pass on the correct server in at least one run: each is a false alarm."""
    return sorted({name for said in before for name, word in said.tests.items() if word not in GOOD | NOTHING})


def unstable(before: Sequence[Said]) -> list[str]:
    """The tests that said different things in runs on the same correct server."""
    names = {name for said in before for name in said.tests}
    return sorted(name for name in names if len({said.tests.get(name) for said in before}) > 1)
