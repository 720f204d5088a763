"""The baseline: known failures, each excused by id with a reason and a date.

[[excuse]]
id = "OAI-12"
reason = "llama.cpp answers unknown models with its only model"
since = 2026-11-25
link = "https://..."        # optional
until = 2027-03-01          # optional: from this day on the excuse no longer holds

BaselineError (ValueError)      names the file, the field, the value and what is allowed
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.model import LoadReport, Report

if TYPE_CHECKING:
    from collections.abc import Iterable

REQUIRED = ("id", "reason", "since")
OPTIONAL = ("link", "until")
TODO = "TODO: say why this is known and accepted"


class BaselineError(ValueError):
    """A baseline cannot be used; the sentence names file, field, value and what is allowed."""


@dataclass(frozen=True, slots=True)
class Excuse:
    """A known failure: the row's id, why it is accepted, since when, where it is tracked, and when that ends."""

    id: str
    reason: str
    since: date
    link: str | None = None
    until: date | None = None

    def expired(self, today: date) -> bool:
        """Whether the excuse no longer holds on that day."""
        return self.until is not None and today >= self.until


@dataclass(frozen=True, slots=True)
class Baseline:
    """The excuses of one file, in its order."""

    excuses: tuple[Excuse, ...] = ()

    def get(self, row: str) -> Excuse | None:
        """The excuse for that row, if there is one."""
        return next((excuse for excuse in self.excuses if excuse.id == row), None)


def load_baseline(path: str | Path) -> Baseline:
    """The baseline in that TOML file. Raises BaselineError."""
    where = Path(path)
    try:
        data = tomllib.loads(where.read_text(encoding="utf-8"))
    except OSError as error:
        raise BaselineError(f"{where}: unreadable: {error.strerror or error}") from error
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise BaselineError(f"{where}: not TOML: {error}") from error
    unknown = sorted(set(data) - {"excuse"})
    if unknown:
        raise BaselineError(f"{where}: {unknown[0]}: unknown table or key; allowed is [[excuse]] only")
    rows = data.get("excuse", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BaselineError(f"{where}: excuse: found {_value(rows)}, expected tables written [[excuse]]")
    return Baseline(_unique([_excuse(row, f"{where}: excuse {n}") for n, row in enumerate(rows, 1)], where))


def written(report: Report | LoadReport, failing: Iterable[str], today: date) -> str:
    """The text of a baseline that excuses these rows as of that day; every reason is left for a person to write."""
    head = f"# Known failures of {_comment(report.target.url)} in dialect {_comment(report.target.dialect)}.\n"
    note = "# Each excuse needs a reason that a reader accepts; one that is no longer needed turns the gate red.\n"
    return head + note + "".join(_table(row, _observed(report, row), today) for row in failing)


def _table(row: str, observed: str, today: date) -> str:
    comment = f"# {observed}\n" if observed else ""
    return f"\n{comment}[[excuse]]\nid = {_quoted(row)}\nreason = {_quoted(TODO)}\nsince = {today.isoformat()}\n"


def _observed(report: Report | LoadReport, row: str) -> str:
    if isinstance(report, LoadReport):
        return ""
    found = next((r for r in report.requirements if r.id == row), None)
    return _comment(f"{found.says} Came: {found.observed or found.reason or 'no more is known'}")[:240] if found else ""


def _comment(text: str) -> str:
    """Text for a TOML comment, in which control characters are not allowed."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _quoted(text: str) -> str:
    """A TOML basic string; JSON's escapes are a part of TOML's, but for DEL and lone surrogates."""
    return json.dumps(text.encode("utf-8", "replace").decode(), ensure_ascii=False).replace("\x7f", "\\u007f")


def _excuse(row: dict[str, Any], where: str) -> Excuse:
    missing = [name for name in REQUIRED if name not in row]
    if missing:
        raise BaselineError(f"{where}: {missing[0]} is missing; required are {', '.join(REQUIRED)}")
    unknown = sorted(set(row) - {*REQUIRED, *OPTIONAL})
    if unknown:
        raise BaselineError(f"{where}: {unknown[0]}: unknown field; allowed are {', '.join((*REQUIRED, *OPTIONAL))}")
    for name in ("id", "reason", "link"):
        if name in row and not (isinstance(row[name], str) and row[name].strip()):
            raise BaselineError(f"{where}: {name}: found {_value(row[name])}, expected a text that is not empty")
    return Excuse(
        row["id"],
        row["reason"],
        _day(row, "since", where),
        row.get("link"),
        _day(row, "until", where) if "until" in row else None,
    )


def _day(row: dict[str, Any], name: str, where: str) -> date:
    value = row[name]
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise BaselineError(f"{where}: {name}: found {_value(value)}, expected a date such as 2026-11-25") from None


def _unique(excuses: list[Excuse], where: Path) -> tuple[Excuse, ...]:
    seen: set[str] = set()
    for excuse in excuses:
        if excuse.id in seen:
            raise BaselineError(f"{where}: id {excuse.id!r} is excused twice")
        seen.add(excuse.id)
    return tuple(excuses)


def _value(value: object) -> str:
    return repr(value)[:80]
