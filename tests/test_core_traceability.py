"""From a sentence of a document to the verdict on it, and back: every row has checks that exist, or a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.catalogue import checks, page, summary
from conformance.registry import split
from dialects import known, load

PAGES = Path(__file__).parents[1] / "docs" / "requirements"


@pytest.mark.parametrize("name", known())
def test_every_row_is_decided_by_checks_that_exist_or_says_why_nothing_can(name: str) -> None:
    existing = checks()
    lost = [
        (row.id, check_id)
        for row in load(name).requirements
        for check_id in row.checks
        if split(check_id)[0] not in existing
    ]
    assert lost == []
    assert [row.id for row in load(name).requirements if not row.checks and not row.unobservable] == []


def test_every_check_is_listed_by_a_row_of_some_dialect() -> None:
    listed = {split(check_id)[0] for name in known() for row in load(name).requirements for check_id in row.checks}
    assert sorted(set(checks()) - listed) == []


@pytest.mark.parametrize("name", known())
def test_the_page_in_the_documentation_is_the_generated_one(name: str) -> None:
    written = PAGES / f"{name}.md"
    if not PAGES.is_dir():
        pytest.skip("no checkout: the pages are not part of the wheel")
    assert written.read_text(encoding="utf-8") == page(load(name)), (
        "python -m conformance requirements --write docs/requirements"
    )


def test_the_table_of_all_dialects_is_the_generated_one() -> None:
    if not PAGES.is_dir():
        pytest.skip("no checkout: the pages are not part of the wheel")
    written = (PAGES / "README.md").read_text(encoding="utf-8")
    assert written == summary(map(load, known())), "python -m conformance requirements --write docs/requirements"


def test_every_check_says_in_one_sentence_what_is_expected() -> None:
    assert [entry.id for entry in checks().values() if not entry.says.endswith(".")] == []
