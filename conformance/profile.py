"""A target's profile (`--profile target.toml`): levers, capabilities that it does not claim, time-outs, budgets.

    [keys]            names of environment variables, never keys: no_credit, limited, forbidden, expired
    [models]          chat, vision, tools, unavailable, text_only, slow: model ids
    [limits]          requests_per_minute, context_tokens: what the target advertises
    [capabilities]    NAME = false: not offered ("tools", "structured_output", "n", "logprobs", ...); NAME = true: offered, for what few
                      targets have ("vision", "audio", "files", "custom_tools", "allowed_tools", "functions"; a vision model under [models] says the same)
    [timeouts]        connect, read, total: seconds
    [budget]          requests, tokens

Errors: `ProfileError` names the file, the field, the value and what is allowed.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.wire.client import Timeouts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Profile", "ProfileError", "load"]

RARE = ("vision", "audio", "files", "custom_tools", "allowed_tools", "functions")
CAPABILITIES = ("tools", "structured_output", "n", "logprobs", "tool_overrides", *RARE)
TABLES: dict[str, dict[str, type | tuple[type, ...]]] = {
    "keys": dict.fromkeys(("no_credit", "limited", "forbidden", "expired"), str),
    "models": dict.fromkeys(("chat", "vision", "tools", "unavailable", "text_only", "slow"), str),
    "limits": {"requests_per_minute": int, "context_tokens": int},
    "timeouts": dict.fromkeys(("connect", "read", "total"), (int, float)),
    "budget": {"requests": int, "tokens": int},
}


class ProfileError(ValueError):
    """The profile cannot be used: says which file and field, what stands there and what is allowed."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What the user says of the target. `keys` maps a lever to an environment variable's name."""

    keys: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    lacks: frozenset[str] = frozenset()
    claims: frozenset[str] = frozenset()
    timeouts: Timeouts = field(default_factory=Timeouts)
    budget: Mapping[str, int] = field(default_factory=dict)

    def offers(self, capability: str) -> bool | None:
        """Whether the target offers it: False where the profile says no, None where only the profile could say yes."""
        if capability in self.lacks:
            return False
        claimed = capability in self.claims or capability in self.models
        return True if claimed or capability not in RARE else None

    def key(self, lever: str) -> str | None:
        """The key of a lever, from the environment; None when the profile or the environment lacks it."""
        name = self.keys.get(lever)
        return os.environ.get(name) if name else None

    def source(self, key: str) -> str:
        """The environment variable that holds a lever's key; "" for a key that was made up."""
        return next((name for name in self.keys.values() if os.environ.get(name) == key), "")


def load(path: str | None, needs: Iterable[str] = ()) -> Profile:
    """The profile in that file, or an empty one. `needs` are capabilities that the dialect names beside the usual ones."""
    if path is None:
        return Profile()
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ProfileError(f"profile {path}: {error}") from error
    capabilities = data.pop("capabilities", {})
    _validate(path, data)
    allowed = [*CAPABILITIES, *sorted(set(needs) - set(CAPABILITIES))]
    for name, value in capabilities.items():
        if name not in allowed:
            raise ProfileError(f"profile {path}: capabilities.{name} is unknown: allowed are {', '.join(allowed)}")
        if not isinstance(value, bool):
            raise ProfileError(f"profile {path}: capabilities.{name}: {value!r} is not allowed, only true or false")
    return Profile(
        keys=data.get("keys", {}),
        models=data.get("models", {}),
        limits=data.get("limits", {}),
        lacks=frozenset(name for name, value in capabilities.items() if value is False),
        claims=frozenset(name for name, value in capabilities.items() if value is True),
        timeouts=Timeouts(**data.get("timeouts", {})),
        budget=data.get("budget", {}),
    )


def _validate(path: str, data: dict[str, Any]) -> None:
    for table, members in data.items():
        if table not in TABLES or not isinstance(members, dict):
            raise ProfileError(
                f"profile {path}: {table!r} is not a table of a profile: allowed are {', '.join([*TABLES, 'capabilities'])}"
            )
        for name, value in members.items():
            kind = TABLES[table].get(name)
            if kind is None:
                raise ProfileError(f"profile {path}: {table}.{name} is unknown: allowed are {', '.join(TABLES[table])}")
            if isinstance(value, bool) or not isinstance(value, kind):
                raise ProfileError(f"profile {path}: {table}.{name}: {value!r} is not allowed, only {_names(kind)}")


def _names(kind: type | tuple[type, ...]) -> str:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return " or ".join({"str": "a string", "int": "an integer", "float": "a number"}[k.__name__] for k in kinds)
