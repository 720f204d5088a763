"""API keys and what each may do. Values are kept as hashes; they are never logged or sent back.

Kinds: valid; no_credit (spent); limited (few requests in its window); forbidden (may not use this model); expired.

Without a configuration file five demonstration keys work, `sk-conformance-KIND` with a dash for the underscore. Where
CHAT_API_KEY is set, its value is the valid key instead; CHAT_API_KEY_LIMITED and so on replace the others.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from reference_server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from dialects import Dialect

__all__ = ["ANONYMOUS", "ConfigError", "Key", "KeyRing", "credential"]

KINDS = ("valid", "no_credit", "limited", "forbidden", "expired")
PLENTY = 1_000_000
PLENTY_OF_TOKENS = 1_000_000_000
MINUTE = 60.0
FEW, BRIEFLY = 5, 10.0  # the built-in limited key: five requests in ten seconds


class ConfigError(ValueError):
    """The configuration cannot be used: says which entry, what stands there and what is allowed."""


@dataclass(frozen=True, slots=True)
class Key:
    """What a key may do: `requests` and `tokens` in any `window` of that many seconds."""

    label: str
    kind: str = "valid"
    requests: int = PLENTY
    tokens: int = PLENTY_OF_TOKENS
    window: float = MINUTE


ANONYMOUS = Key("anonymous")
REFUSED = {
    "no_credit": "Insufficient credits: add credits to this account to go on",
    "forbidden": "This key may not use this model",
}


class KeyRing:
    """The keys that a server knows."""

    def __init__(self, keys: Iterable[tuple[str, Key]]) -> None:
        self._keys = {_digest(value): key for value, key in keys}

    @classmethod
    def built_in(cls, environment: Mapping[str, str] = os.environ) -> KeyRing:
        """The demonstration keys, or those of the environment."""
        return cls((_built_in_value(kind, environment), _built_in(kind)) for kind in KINDS)

    @classmethod
    def read(cls, path: Path, environment: Mapping[str, str] = os.environ) -> KeyRing:
        """The `[[key]]` entries of a TOML file: value (or env, a variable's name), kind, requests, tokens, window."""
        try:
            entries = tomllib.loads(path.read_text(encoding="utf-8")).get("key", [])
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: {error}") from error
        return cls(_entry(path, number, entry, environment) for number, entry in enumerate(entries, 1))

    def admit(self, value: str) -> Key:
        """The key with this value. Raises ApiError(bad_key | no_credit | forbidden)."""
        key = self._keys.get(_digest(value))
        if key is None:
            raise ApiError("bad_key", "Invalid API key")
        if key.kind == "expired":
            raise ApiError("bad_key", "This API key has expired")
        if key.kind in REFUSED:
            raise ApiError(key.kind, REFUSED[key.kind])
        return key


def credential(dialect: Dialect, headers: Mapping[str, str]) -> str | None:
    """The key that a request carries; None when it may come without. Raises ApiError(no_key)."""
    if dialect.auth.scheme == "none":
        return None
    other = next((headers[name] for name in dialect.auth.headers if headers.get(name)), None)
    scheme, _, value = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    if other or (not scheme and not dialect.auth.required):
        return other
    raise ApiError("no_key", "Missing API key: send the header Authorization: Bearer KEY")


def _digest(value: str) -> bytes:
    return sha256(value.encode("utf-8", "surrogateescape")).digest()


def _built_in_value(kind: str, environment: Mapping[str, str]) -> str:
    name = "CHAT_API_KEY" if kind == "valid" else f"CHAT_API_KEY_{kind.upper()}"
    return environment.get(name) or f"sk-conformance-{kind.replace('_', '-')}"


def _built_in(kind: str) -> Key:
    return Key(kind, kind, requests=FEW, window=BRIEFLY) if kind == "limited" else Key(kind, kind)


def _entry(path: Path, number: int, entry: dict[str, object], environment: Mapping[str, str]) -> tuple[str, Key]:
    where = f"{path}: key {number}"
    value = entry.get("value") or environment.get(str(entry.get("env", "")))
    if not isinstance(value, str):
        raise ConfigError(f"{where}: needs a value, or env with the name of a variable that is set")
    kind = entry.get("kind", "valid")
    if kind not in KINDS:
        raise ConfigError(f"{where}: kind is {kind!r}; allowed are {', '.join(KINDS)}")
    numbers = {name: entry[name] for name in ("requests", "tokens", "window") if name in entry}
    for name, amount in numbers.items():
        if not isinstance(amount, (int, float)) or isinstance(amount, bool) or amount <= 0:
            raise ConfigError(f"{where}: {name} is {amount!r}; allowed are numbers above 0")
    return value, Key(f"key {number}", str(kind), **numbers)  # type: ignore[arg-type]  # checked just above
