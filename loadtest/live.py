"""What locust's web UI shows of a run under way: a tab of rows, in the form its front end reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from loadtest.metrics import metrics, rates

if TYPE_CHECKING:
    from loadtest.metrics import Tally

__all__ = ["KEY", "TABLES", "TABS", "extended", "rows"]

KEY = "chat"
SHOWN = ("ttft_content", "ttft_first_byte", "itl", "itl_token", "tpot", "e2e", "longest_gap", "queue_delay")
COLUMNS = (
    ("name", "Figure"),
    ("unit", "Unit"),
    ("n", "n"),
    ("p50", "p50"),
    ("p90", "p90"),
    ("p99", "p99"),
    ("max", "max"),
)
TABS = [{"title": "Chat", "key": KEY}]
TABLES: list[dict[str, Any]] = [{"key": KEY, "structure": [{"key": key, "title": title} for key, title in COLUMNS]}]


def rows(tally: Tally) -> list[dict[str, Any]]:
    """Latencies in ms, rates, and the generator's own lateness; None is shown as an empty cell."""
    latencies = [m for m in metrics(tally) if m.metric in SHOWN]
    out = [
        {
            "name": m.metric,
            "unit": m.unit,
            "n": m.n,
            "p50": _short(m.p50),
            "p90": _short(m.p90),
            "p99": _short(m.p99),
            "max": _short(m.max),
        }
        for m in latencies
    ]
    out += [_single(r.metric, r.unit, r.value) for r in rates(tally)]
    for name in ("read", "send"):
        h = tally.histograms.get(f"lag_{name}")
        if h is not None and h.n:
            p50, p90, p99, most = (_short((h.quantile(q) or 0) / 1000) for q in (0.5, 0.9, 0.99, 1.0))
            out.append(
                {
                    "name": f"generator's {name} lag",
                    "unit": "ms",
                    "n": h.n,
                    "p50": p50,
                    "p90": p90,
                    "p99": p99,
                    "max": most,
                }
            )
    return [row | {"safeName": row["name"]} for row in out]


def extended(body: bytes, tally: Tally) -> bytes:
    """The answer of locust's /stats/requests with our table beside its own."""
    answer = json.loads(body)
    return json.dumps(
        {**answer, "extended_stats": [*answer.get("extended_stats", []), {"key": KEY, "data": rows(tally)}]}
    ).encode()


def _single(name: str, unit: str, value: float | None) -> dict[str, Any]:
    return {
        "name": name,
        "unit": unit,
        "n": "",
        "p50": "" if value is None else f"{value:.4g}",
        "p90": "",
        "p99": "",
        "max": "",
    }


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
