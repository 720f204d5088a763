"""From the command line's options to a Plan: whatever is wrong with the call is told here, before anything runs."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dialects
from loadtest import UsageError, scenarios, slo
from loadtest.plan import Plan
from loadtest.preflight import first_model, refuse_proxy

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["plan_of"]


def plan_of(asked: Namespace, host: str | None) -> Plan:
    """The plan that the options describe. Raises UsageError."""
    if not host:
        raise UsageError("--host: the target's URL is missing")
    dialect = _dialect(asked.dialect)
    scenario = scenarios.load(asked.scenario).paced(
        _number("--rate", asked.rate), _number("--run-time", asked.run_time)
    )
    terms = [o.text for o in (slo.read_file(asked.slo_file) if asked.slo_file else ())]
    texts = [asked.slo] if isinstance(asked.slo, str) else asked.slo  # the web UI's form sends one text
    terms += [o.text for o in (slo.parse(texts) if texts else ())]
    key = os.environ.get(asked.key_env)
    plan = Plan(
        url=host,
        dialect=dialect,
        scenario=scenario,
        model=asked.model or dialect.models.example,
        seed=asked.seed,
        closed=asked.closed_loop,
        requests=_whole("--requests", asked.requests),
        slo=tuple(terms),
        key=key,
        key_env=asked.key_env,
        insecure=asked.insecure,
    )
    refuse_proxy(plan.origin)
    if asked.model:
        return plan
    return replace(plan, model=first_model(host, dialect, key, insecure=asked.insecure))


def _number(name: str, value: Any) -> float | None:  # noqa: ANN401 - the web UI's form sends text
    if value in {None, ""}:
        return None
    try:
        number = float(value)
    except ValueError as error:
        raise UsageError(f"{name}: {value!r} is no number") from error
    if not 0 < number < float("inf"):
        raise UsageError(f"{name}: {value!r} must be above 0")
    return number


def _whole(name: str, value: Any) -> int | None:  # noqa: ANN401 - the web UI's form sends text
    if value in {None, ""}:
        return None
    try:
        return int(value)
    except ValueError as error:
        raise UsageError(f"{name}: {value!r} is no whole number") from error


def _dialect(name: str) -> dialects.Dialect:
    try:
        return dialects.load(name)
    except dialects.DialectError as error:
        raise UsageError(f"--dialect: {error}") from error
