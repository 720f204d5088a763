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

__all__ = ["Embedded", "start"]

LEVERS = ("no_credit", "limited", "forbidden", "expired")
PER_WINDOW = 5  # what the server gives its limited key
CONTEXT = 32_768


def start(options: Options) -> tuple[Embedded, Options, Target]:
    """(server, options with the embedded profile, target). The keys live in the environment, as everybody's do."""
    names = {lever: f"{KEY_ENV}_{lever.upper()}" for lever in LEVERS}
    keys = {name: f"embedded-{secrets.token_hex(16)}" for name in (KEY_ENV, *names.values())}
    os.environ.update(keys)
    os.environ[options.key_env] = keys[KEY_ENV]
    server = Embedded(options.dialect)
    model = options.model or options.dialect.models.example
    profile = options.profile if options.profile != Profile() else _profile(names, model)
    options = dataclasses.replace(options, profile=profile)
    return server, options, Target(server.url, model, options.key, options.key_env)


def _profile(names: dict[str, str], model: str) -> Profile:
    models = {"chat": model, "vision": model, "tools": model, "unavailable": "unavailable-model"}
    return Profile(keys=names, models=models, limits={"requests_per_minute": PER_WINDOW, "context_tokens": CONTEXT})
