"""What `dialects.load` says when it cannot."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import dialects
from dialects import DialectError

NAMES = dialects.known()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(dialects.load("dos_ai").folder, tmp_path / "mine"))


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def refusal(folder: Path | str) -> str:
    with pytest.raises(DialectError) as caught:
        dialects.load(folder)
    return str(caught.value)


def test_a_folder_of_ones_own_loads_by_its_path(copy: Path) -> None:
    assert dialects.load(str(copy)).requirements == dialects.load("dos_ai").requirements


@pytest.mark.parametrize(
    ("name", "formats"),
    [("dos_ai", {"json_object", "json_schema"}), ("dria", {"json_schema", "json_object"}), ("solidrust", set())],
)
def test_the_formats_are_read_from_every_branch_of_the_schema(name: str, formats: set[str]) -> None:
    assert set(dialects.load(name).formats()) == formats


def test_samples_that_deviate_are_told_apart() -> None:
    dria = dialects.load("dria")

    assert dict(dria.deviations()) == {"stream-as-printed.txt": "framing"}
    assert [name for name, _ in dria.samples("stream")] == ["stream-basic.txt"]


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    said = refusal("no_such_vendor")

    assert "'no_such_vendor'" in said
    assert ", ".join(NAMES) in said


@pytest.mark.parametrize("lost", ["requirements.toml", "request.schema.json", "error.schema.json"])
def test_a_missing_file_is_named(copy: Path, lost: str) -> None:
    (copy / lost).unlink()

    assert str(copy / lost) in refusal(copy)


def test_a_folder_without_facts_is_no_dialect(tmp_path: Path) -> None:
    assert str(tmp_path) in refusal(tmp_path)


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("dialect.toml", 'scheme = "bearer"', 'scheme = "digest"', ["auth.scheme", "'digest'", "'bearer'"]),
        ("dialect.toml", 'usage = "always"', 'usage = "often"', ["stream.usage", "'often'", "'always'"]),
        ("dialect.toml", "{ status = [402]", "{ status = [99]", ["no_credit.status", "99", "200"]),
        ("dialect.toml", "no_credit = {", "no_money = {", ["errors.cause", "'no_money'", "'no_credit'"]),
        ("dialect.toml", 'title = "DOS AI"', 'name = "DOS AI"', ["'name'"]),
        ("requirements.toml", 'id = "DOS-01"', 'id = "DOS-1"', ["requirement[0].id", "'DOS-1'"]),
        ("requirements.toml", 'id = "DOS-03b"', 'id = "DOS-03"', ["'DOS-03'", "twice"]),
        ("requirements.toml", 'checks = ["chat.id-prefix"]', "", ["requirement["]),
    ],
)
def test_a_bad_value_is_named_with_its_file_and_field(
    copy: Path, file: str, old: str, new: str, says: list[str]
) -> None:
    change(copy / file, old, new)
    said = refusal(copy)

    assert [part for part in [str(copy / file), *says] if part not in said] == []


def test_a_file_that_is_no_toml_is_named(copy: Path) -> None:
    (copy / "dialect.toml").write_text("id = \n", encoding="utf-8")

    assert str(copy / "dialect.toml") in refusal(copy)


@pytest.mark.parametrize("text", ["{", '{"type": "text"}'])
def test_a_file_that_is_no_schema_is_named(copy: Path, text: str) -> None:
    (copy / "chunk.schema.json").write_text(text, encoding="utf-8")

    assert str(copy / "chunk.schema.json") in refusal(copy)
