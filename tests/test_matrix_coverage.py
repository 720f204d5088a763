"""Every check is killed by a fault that declares it, or stands in a short table with the reason why none does."""

from __future__ import annotations

import dialects
from reference_server.faults import FAULTS, broken
from tests.server_process import NAMES

UNKILLED: dict[str, str] = {
    "clients.openai-node": "the matrix runs without Node",
    "sampling.seed-repeats": "a target that never repeats itself is not blamed for its seed",
}


def families(checks: frozenset[str]) -> set[str]:
    return {check.partition("[")[0] for check in checks}


def listed() -> set[str]:
    return families(frozenset(c for name in NAMES for row in dialects.load(name).requirements for c in row.checks))


def killed() -> set[str]:
    found = (broken(fault, dialects.load(name)) for name in NAMES for fault in FAULTS.all.values())
    return families(frozenset().union(*found))


def test_every_check_is_killed_by_a_fault_or_has_a_reason() -> None:
    assert sorted(listed() - killed()) == sorted(UNKILLED)
    assert all(UNKILLED.values())
