"""The site is built strict, asks no host for anything, and what its pages tell a reader to type exists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Pages that people wrote: their commands are read below. The reference is made by docs/hooks at each build.
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(p for p in (ROOT / "docs").rglob("*.md") if "requirements" not in p.parts),
]
MODULES = ("conformance", "loadtest", "reference_server", "reports")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# ---------------------------------------------------------------- the site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Asked(HTMLParser):
    """Collects every address that a browser fetches by itself when it shows the page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        if tag in {"script", "img", "iframe", "source", "video", "audio", "embed"}:
            self.addresses.append(facts.get("src") or "")
        if tag == "link" and facts.get("rel") not in {"canonical", "next", "prev", "alternate"}:
            self.addresses.append(facts.get("href") or "")


def test_a_page_of_the_site_asks_no_other_host(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    asked = Asked()
    for page in pages:
        asked.feed(page.read_text(encoding="utf-8"))

    assert len(pages) > 30
    assert any(address.endswith(".js") for address in asked.addresses)
    assert [a for a in sorted(set(asked.addresses)) if re.match(r"(https?:)?//", a)] == []


def test_a_style_of_the_site_asks_no_other_host(site: Path) -> None:
    styles = sorted(site.rglob("*.css"))
    fetched = {a for s in styles for a in re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", s.read_text("utf-8"))}

    assert styles
    assert [address for address in sorted(fetched) if re.match(r"(https?:)?//", address)] == []


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("reference/options.html", "--max-requests"),
        ("reference/options.html", "--write-baseline"),
        ("reference/options.html", "--closed-loop"),
        ("reference/profile.html", "requests_per_minute"),
        ("reference/profile.html", "structured_output"),
        ("reference/report.html", "schema_version"),
        ("reference/checks.html", "usage.sum"),
        ("reference/scenarios.html", "shared-prefix"),
        ("reference/faults.html", "usage-sum-wrong"),
        ("reference/verdicts.html", "inconclusive"),
        ("reference/dialects.html", "/v1/chat/completions"),
        ("contributing.html", "Add a dialect"),
    ],
)
def test_the_reference_is_made_from_the_code(site: Path, page: str, says: str) -> None:
    assert says in (site / page).read_text(encoding="utf-8")


def test_no_hook_and_no_source_is_published(site: Path) -> None:
    assert sorted(site.rglob("*.py")) == []


# ---------------------------------------------------------------- what readers type


def command_lines(page: Path) -> list[list[str]]:
    """The commands of a page: indented lines and inline code that begin with one of ours, without comments and pipes."""
    text = page.read_text(encoding="utf-8")
    prose = FENCED.sub(lambda m: m[2] if m[1] in {"sh", "console", "bash"} else "", text)
    prose = re.sub(r"\\\n\s*", "", prose)
    blocks = [line.strip() for line in prose.splitlines() if line.startswith("    ")]
    inline = [
        code for line in prose.splitlines() if not line.startswith("    ") for code in re.findall(r"`([^`\n]+)`", line)
    ]
    return [words for code in (*blocks, *inline) for part in split(code) if (words := ours(part))]


def split(code: str) -> list[str]:
    return re.split(r"\s*(?:&&|;)\s+", code.partition(" #")[0])


def ours(code: str) -> list[str] | None:
    """The words from the name of our command on, or None where it is none."""
    found = re.match(r"(?:[A-Z_]+=\S*\s+)*(?:\S*/)?(pytest|locust|python3?) (.*)", code)
    if not found:
        return None
    try:
        return [found[1], *shlex.split(found[2])]
    except ValueError:
        return None


def module_of(words: list[str]) -> str | None:
    return words[2] if words[0].startswith("python") and words[1:2] == ["-m"] and len(words) > 2 else None


TYPED = [(named(page), words) for page in PAGES for words in command_lines(page)]


@cache
def help_of(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def long_options(text: str) -> set[str]:
    return set(re.findall(r"--[a-z][a-z0-9-]*", text))


def locustfile_options() -> set[str]:
    """Locust's help does not name the options of a locustfile."""
    return set(re.findall(r'add\(\s*"(--[a-z-]+)"', (ROOT / "loadtest/options.py").read_text(encoding="utf-8")))


def known_options(words: list[str]) -> set[str] | None:
    """The options that the command's own help names; None for commands that are not ours."""
    if words[0] == "pytest":
        return long_options(help_of("pytest"))
    if words[0] == "locust":
        return long_options(help_of("locust")) | locustfile_options()
    module = module_of(words)
    if module is None or module.partition(".")[0] not in MODULES:
        return None
    if module in {"reports", "conformance"} and len(words) > 3 and re.fullmatch(r"[a-z]+", words[3]):
        return long_options(help_of(module, words[3]))
    return None if module == "loadtest" else long_options(help_of(module))


def used_options(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)}


def test_the_pages_show_enough_commands_for_these_tests_to_mean_something() -> None:
    assert len(TYPED) > 60
    assert {words[0] for _, words in TYPED} >= {"pytest", "locust", "python"}


@pytest.mark.parametrize("page", sorted({page for page, _ in TYPED}))
def test_an_option_that_a_page_shows_exists(page: str) -> None:
    wrong = []
    for name, words in TYPED:
        known = known_options(words) if name == page else None
        if known is not None:
            wrong += [(option, " ".join(words)) for option in sorted(used_options(words) - known)]

    assert wrong == []


@pytest.mark.parametrize("page", sorted({page for page, _ in TYPED}))
def test_a_module_that_a_page_runs_exists(page: str) -> None:
    asked = {module for name, words in TYPED if name == page and (module := module_of(words))}
    files = {m: ROOT / m.replace(".", "/") for m in asked if m.partition(".")[0] in {*MODULES, "tests"}}

    assert [
        m for m, p in sorted(files.items()) if not p.with_suffix(".py").is_file() and not (p / "__main__.py").is_file()
    ] == []


@pytest.mark.parametrize(
    ("page", "words"), [pytest.param(p, w, id=f"{p}:{' '.join(w)}") for p, w in TYPED if module_of(w) == "reports"]
)
def test_a_reports_command_that_a_page_shows_can_be_parsed(page: str, words: list[str]) -> None:
    from reports.__main__ import _parser

    arguments = [re.sub(r"^\[|\]$|\.\.\.$", "", word).partition("|")[0] for word in words[3:]]
    if arguments:
        assert _parser().parse_args(arguments), page


@pytest.mark.parametrize("page", [p for p in PAGES if "```toml" in p.read_text(encoding="utf-8")], ids=named)
def test_toml_that_a_page_shows_is_toml(page: Path) -> None:
    shown = [body for kind, body in FENCED.findall(page.read_text(encoding="utf-8")) if kind == "toml"]

    assert [sorted(tomllib.loads(text)) != [] for text in shown] == [True] * len(shown)


def test_an_option_that_does_not_exist_would_be_noticed() -> None:
    (words,) = [w for part in split("pytest --target embedded --no-such-option") if (w := ours(part))]

    assert used_options(words) - (known_options(words) or set()) == {"--no-such-option"}
