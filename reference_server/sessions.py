"""Conversations and the completions in them, in SQLite; in memory unless a file is given."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Sessions", "StateError"]

_TABLES = """
CREATE TABLE IF NOT EXISTS session (id TEXT PRIMARY KEY, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS completion (
    id TEXT PRIMARY KEY, session TEXT NOT NULL REFERENCES session (id), model TEXT NOT NULL, text TEXT NOT NULL,
    created REAL NOT NULL
);
"""


class StateError(ValueError):
    """The state file cannot be used: says which and why."""


class Sessions:
    """The store. Every method is one short transaction."""

    def __init__(self, path: Path | None = None) -> None:
        try:
            self._base = sqlite3.connect(
                ":memory:" if path is None else path, isolation_level=None, check_same_thread=False
            )
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = NORMAL")
            self._base.executescript(_TABLES)
        except sqlite3.Error as error:
            raise StateError(f"state file {path}: {error}") from error

    def continued(self, session: str | None) -> str:
        """The id of this session, known or not; of a new one when none is given."""
        name = session or str(uuid4())
        self._base.execute("INSERT OR IGNORE INTO session VALUES (?, ?)", (name, time.time()))
        return name

    def keep(self, session: str, model: str, completions: Iterable[tuple[str, str]]) -> None:
        """Store the completions (id, text) of an answer."""
        rows = [(name, session, model, text, time.time()) for name, text in completions]
        self._base.executemany("INSERT OR REPLACE INTO completion VALUES (?, ?, ?, ?, ?)", rows)

    def of(self, session: str) -> list[dict[str, Any]]:
        """What was said in a session, oldest first."""
        query = "SELECT id, model, text FROM completion WHERE session = ? ORDER BY created, rowid"
        with closing(self._base.execute(query, (session,))) as rows:
            return [{"id": row[0], "model": row[1], "text": row[2]} for row in rows]

    def close(self) -> None:
        """Write everything and let go of the file."""
        self._base.close()
