"""Every check is killed by a fault that declares it, or stands in a short table with the reason why none does."""

from __future__ import annotations

import dialects
from reference_server.faults import FAULTS, broken
from tests.server_process import NAMES

NO_PLACE = "the server has no place at which an alteration would reach it"
MEMORY = "the fault would remember earlier requests, and its red set hangs on their order"
UNKILLED: dict[str, str] = {
    "auth.key-not-echoed": NO_PLACE,
    "chat.default-max-tokens": "no engine here writes more than the documented default by itself",
    "chat.timeout-enforced": "the embedded engine is quicker than the shortest time that can be asked for",
    "clients.openai-node": "the matrix runs without Node",
    "sampling.seed-repeats": "a target that never repeats itself is not blamed for its seed",
    "service.alive-after-errors": MEMORY,
    "service.allow-listed": NO_PLACE,
    "service.body-complete": NO_PLACE,
    "service.disconnect-survives": MEMORY,
    "service.health": NO_PLACE,
    "service.paths-agree": NO_PLACE,
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
