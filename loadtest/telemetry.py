"""OpenTelemetry metrics of each request under the gen_ai names, beside what locust itself exports with --otel.

Histograms, in the units that the semantic conventions give: gen_ai.client.operation.duration (s), gen_ai.client.token.usage
({token}), gen_ai.server.time_to_first_token (s) and gen_ai.server.time_per_output_token (s). The last two are what a client
sees of them: network included. Without the OpenTelemetry API installed nothing is recorded.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadtest.plan import Plan
    from loadtest.sample import Sample

__all__ = ["Telemetry"]

SECONDS = (
    "gen_ai.client.operation.duration",
    "gen_ai.server.time_to_first_token",
    "gen_ai.server.time_per_output_token",
)


class Telemetry:
    """Records Samples; `provider` is a MeterProvider, by default the one that is set up globally."""

    def __init__(self, plan: Plan, provider: Any = None) -> None:  # noqa: ANN401 - OpenTelemetry is optional
        self._always = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": plan.dialect.id,
            "gen_ai.request.model": plan.model,
            "server.address": plan.origin.host,
            "server.port": plan.origin.port,
        }
        self._histograms = _histograms(provider) if find_spec("opentelemetry") else {}

    def record(self, sample: Sample) -> None:
        """Record one request; a failure has its class as error.type and no token figures."""
        if not self._histograms:
            return
        attributes = self._always | ({} if sample.ok else {"error.type": sample.outcome})
        values = {
            "gen_ai.client.operation.duration": sample.e2e_ms,
            "gen_ai.server.time_to_first_token": sample.ttft_ms["content"],
            "gen_ai.server.time_per_output_token": sample.tpot_ms,
        }
        for name, value in values.items():
            if value is not None:
                self._histograms[name].record(value / 1000, attributes)
        if sample.ok:
            usage = self._histograms["gen_ai.client.token.usage"]
            usage.record(sample.tokens, attributes | {"gen_ai.token.type": "output"})
            if sample.prompt_tokens is not None:
                usage.record(sample.prompt_tokens, attributes | {"gen_ai.token.type": "input"})


def _histograms(provider: Any) -> dict[str, Any]:  # noqa: ANN401 - OpenTelemetry is optional
    from opentelemetry import metrics

    meter = metrics.get_meter("chat-conformance.load", meter_provider=provider)
    made = {name: meter.create_histogram(name, unit="s") for name in SECONDS}
    return made | {"gen_ai.client.token.usage": meter.create_histogram("gen_ai.client.token.usage", unit="{token}")}
