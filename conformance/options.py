"""The command line of a run: what may be said, and one frozen record of what was said.

Errors: pytest.UsageError (exit code 4) names the option, the value and what is allowed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from conformance.profile import Profile, ProfileError
from conformance.profile import load as load_profile
from conformance.schema import needs
from dialects import Dialect, DialectError, known
from dialects import load as load_dialect

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEPTHS", "KEY_ENV", "Depth", "Options", "add", "read"]

KEY_ENV = "CHAT_API_KEY"
TIERS = ("seed", "extended", "common")


@dataclass(frozen=True, slots=True)
class Depth:
    """How much a run may spend: hypothesis examples a check, requests, completion tokens (None: no cap).

    `patience`: seconds that a check may wait for a limit to be lifted.
    """

    examples: int
    requests: int | None
    tokens: int | None
    patience: float = 0.0


DEPTHS = {"smoke": Depth(1, 40, 3000), "full": Depth(6, 600, None), "deep": Depth(60, None, None, patience=65.0)}


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for."""

    target: str
    dialect: Dialect
    model: str | None
    profile: Profile
    tiers: tuple[str, ...]
    gating: tuple[str, ...]
    level: str
    report: str
    baseline: str | None
    depth: str
    max_requests: int | None
    max_tokens: int | None
    key_env: str
    seed: int

    @property
    def key(self) -> str | None:
        """The key, from the environment only."""
        return os.environ.get(self.key_env) or None

    @property
    def blocking_levels(self) -> tuple[str, ...]:
        """The levels whose failure makes the exit code 1."""
        return ("MUST", "SHOULD") if self.level == "should" else ("MUST",)


def add(parser: pytest.Parser) -> None:
    """Declare the options of a run."""
    group = parser.getgroup("conformance", "judge a chat-completions endpoint")
    group.addoption(
        "--target", metavar="URL", help="base URL of the endpoint to judge, or 'embedded' for the reference server"
    )
    group.addoption(
        "--dialect",
        default="openai",
        metavar="NAME|PATH",
        help=f"whose document decides: {', '.join(known())}, or a folder",
    )
    group.addoption("--model", metavar="NAME", help="model to ask for (default: the first one that the target lists)")
    group.addoption(
        "--profile", metavar="FILE", help="TOML file with levers, capabilities, time-outs and budgets of the target"
    )
    group.addoption(
        "--tier",
        action="append",
        choices=TIERS,
        help="judge and gate on these tiers only (default: all, of which 'extended' never blocks)",
    )
    group.addoption(
        "--level",
        default="must",
        choices=("must", "should"),
        help="which failed requirements fail the run (default: must)",
    )
    group.addoption(
        "--report", default="conformance-report", metavar="DIR", help="where report.json, .html, .md and junit.xml go"
    )
    group.addoption("--baseline", metavar="FILE", help="known failures that are excused, with reasons")
    group.addoption(
        "--depth",
        default="full",
        choices=tuple(DEPTHS),
        help="smoke: at most 40 requests; full: at most 600; deep: as many as --max-requests",
    )
    group.addoption("--max-requests", type=int, metavar="N", help="cap on requests")
    group.addoption("--max-tokens", type=int, metavar="N", help="cap on completion tokens")
    group.addoption(
        "--key-env",
        default=KEY_ENV,
        metavar="NAME",
        help=f"environment variable that holds the key (default: {KEY_ENV})",
    )


def read(config: pytest.Config, seed: int) -> Options:
    """What was said, checked. Raises pytest.UsageError."""
    get = config.getoption
    try:
        dialect = load_dialect(get("dialect"))
        profile = load_profile(get("profile"), needs(dialect.schemas["request"]))
    except (DialectError, ProfileError) as error:
        raise pytest.UsageError(str(error)) from error
    key_env = get("key_env")
    if key_env != KEY_ENV and not os.environ.get(key_env):
        raise pytest.UsageError(f"--key-env {key_env}: that environment variable is not set")
    depth = DEPTHS[get("depth")]
    return Options(
        target=get("target"),
        dialect=dialect,
        model=get("model") or profile.models.get("chat"),
        profile=profile,
        tiers=tuple(get("tier") or TIERS),
        gating=tuple(get("tier") or ("seed", "common")),
        level=get("level"),
        report=get("report"),
        baseline=get("baseline"),
        depth=get("depth"),
        max_requests=_cap("--max-requests", get("max_requests"), profile.budget, "requests", depth.requests),
        max_tokens=_cap("--max-tokens", get("max_tokens"), profile.budget, "tokens", depth.tokens),
        key_env=key_env,
        seed=seed,
    )


def _cap(option: str, given: int | None, budget: Mapping[str, int], name: str, default: int | None) -> int | None:
    if given is not None and given < 1:
        raise pytest.UsageError(f"{option} {given}: allowed are whole numbers from 1")
    return given if given is not None else budget.get(name, default)
