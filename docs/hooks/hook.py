"""mkdocs hooks: pages made from code and dialects, pages that stand elsewhere in the repository, and links out of docs/.

Everything here is made anew by each build, so that no page of the reference can go stale.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT)]  # the pages describe this checkout, not what happens to be installed

import reference  # noqa: E402 - needs the path above

PAPERS = {"architecture.md": "ARCHITECTURE.md", "contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Patterns of the navigation become the pages that they match; pages that do not exist are left out."""
    config.nav = _expanded(config.nav, Path(config.docs_dir), _named(config.nav))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made, and those that stand at the top of the repository."""
    for name, text in reference.pages().items():
        files.append(File.generated(config, f"reference/{name}", content=text))
    for name, paper in PAPERS.items():
        files.append(File.generated(config, name, content=(ROOT / paper).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to files outside the site become their path in the repository; a path that does not exist is left to fail."""
    source = PAPERS.get(page.file.src_uri)
    folder = ROOT if source else (Path(config.docs_dir) / page.file.src_uri).parent

    def mended(link: re.Match[str]) -> str:
        bang, text, address = link.groups()
        path, hash_, anchor = address.partition("#")
        if not path or "://" in path or address.startswith("mailto:") or files.get_file_from_path(_near(page, path)):
            return link[0]
        target = Path(os.path.normpath(folder / path))
        uri = _of_site(target, Path(config.docs_dir))
        if uri and files.get_file_from_path(uri):
            return f"{bang}[{text}]({_relative(uri, page)}{hash_}{anchor})"
        if target.exists():
            where = target.relative_to(ROOT).as_posix()
            return f"`{where}`" if where in text else f"{text} (`{where}`)"
        return link[0]

    return LINK.sub(mended, markdown)


def _near(page: Page, path: str) -> str:
    return os.path.normpath(PurePosixPath(page.file.src_uri).parent / path)


def _of_site(target: Path, docs: Path) -> str | None:
    """The name that a file has as a page of the site, or None where it is none."""
    if target.is_relative_to(docs):
        return target.relative_to(docs).as_posix()
    papers = {ROOT / paper: name for name, paper in PAPERS.items()} | {ROOT / "README.md": "index.md"}
    return papers.get(target)


def _relative(uri: str, page: Page) -> str:
    return os.path.relpath(uri, PurePosixPath(page.file.src_uri).parent).replace(os.sep, "/")


def _named(entries: list[Any]) -> set[str]:
    """The pages that the navigation names one by one."""
    found: set[str] = set()
    for entry in entries:
        if isinstance(entry, dict):
            for inner in entry.values():
                found |= _named(inner if isinstance(inner, list) else [inner])
        elif "*" not in entry:
            found.add(entry)
    return found


def _expanded(entries: list[Any], docs: Path, named: set[str]) -> list[Any]:
    made = {f"reference/{name}" for name in reference.PAGES} | set(PAPERS)
    result: list[Any] = []
    for entry in entries:
        if isinstance(entry, dict):
            result += [{title: _expanded(inner, docs, named)} for title, inner in entry.items()]
        elif "*" in entry:
            result += sorted({p.relative_to(docs).as_posix() for p in docs.glob(entry)} - named)
        elif entry in made or (docs / entry).is_file():
            result.append(entry)
    return result
