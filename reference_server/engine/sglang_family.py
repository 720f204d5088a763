"""The processes that SGLang has started, and whether one lives. SGLang watches its own children, but not theirs (dp_size=2)."""

from __future__ import annotations

from pathlib import Path

__all__ = ["is_alive", "workers"]

TITLE = b"sglang::"  # how a scheduler, a detokenizer or a controller calls itself
PROC = Path("/proc")


def workers(root: int) -> list[int]:
    """The descendants of a process that are SGLang's."""
    parents = {int(each.name): _state(int(each.name))[1] for each in PROC.iterdir() if each.name.isdigit()}
    found = [root]
    for process in found:  # grows while it is read
        found += [child for child, parent in parents.items() if parent == process]
    return [process for process in found[1:] if _title(process).startswith(TITLE)]


def is_alive(process: int) -> bool:
    """Whether a process exists and has not ended without anybody noticing."""
    return _state(process)[0] not in "ZX"


def _state(process: int) -> tuple[str, int]:
    """(state, parent); X for one that is gone."""
    try:
        fields = (PROC / str(process) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return "X", 0
    return fields[0], int(fields[1])


def _title(process: int) -> bytes:
    try:
        return (PROC / str(process) / "cmdline").read_bytes()
    except OSError:
        return b""
