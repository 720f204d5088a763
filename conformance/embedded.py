"""The embedded target: the reference server in a child process, with fresh keys and every lever that its profile knows."""

from __future__ import annotations

import dataclasses
import os
import secrets
from typing import TYPE_CHECKING

from conformance.options import KEY_ENV
from conformance.profile import Profile
from conformance.target import Embedded, Target

if TYPE_CHECKING:
    from conformance.options import Options

__all__ = ["Embedded", "profiled", "start"]

LEVERS = ("no_credit", "limited", "forbidden", "expired")
PER_WINDOW = 5  # what the server gives its limited key
CONTEXT = 32_768


NAMES = {lever: f"{KEY_ENV}_{lever.upper()}" for lever in LEVERS}


def start(options: Options) -> tuple[Embedded, Options, Target]:
    """(server, options with the embedded profile, target). The keys live in the environment, as everybody's do."""
    keys = {name: f"embedded-{secrets.token_hex(16)}" for name in (KEY_ENV, *NAMES.values())}
    os.environ.update(keys)
    os.environ[options.key_env] = keys[KEY_ENV]
    server = Embedded(options.dialect)
    options = profiled(options)
    return (
        server,
        options,
        Target(
            server.url, options.profile.models.get("chat", options.dialect.models.example), options.key, options.key_env
        ),
    )


def profiled(options: Options) -> Options:
    """The options with the embedded server's profile, unless the user gave one."""
    if options.profile != Profile():
        return options
    model = options.model or options.dialect.models.example
    own = {"unavailable": "unavailable-model", "slow": "slow-model", "text_only": "text-only-model"}
    models = {"chat": model, "vision": model, "tools": model, **own}
    limits = {"requests_per_minute": PER_WINDOW, "context_tokens": CONTEXT}
    return dataclasses.replace(
        options,
        profile=Profile(
            keys=NAMES, models=models, limits=limits, claims=frozenset({"allowed_tools", "custom_tools", "functions"})
        ),
    )
