"""What the peers' scripts share: the same request, the same figures, the same line of JSON at the end."""

from __future__ import annotations

import json
import os

URL = os.environ["TARGET"]
STREAMS = int(os.environ["STREAMS"])
REQUESTS = int(os.environ["REQUESTS"])
BODY = {"model": "mock", "messages": [{"role": "user", "content": "Hello"}], "stream": True, "max_tokens": 64}
HEADERS = {"Authorization": "Bearer k", "Content-Type": "application/json"}
PATH = "/v1/chat/completions"
first: list[float] = []
gaps: list[float] = []


def rank(values: list[float], share: float) -> float:
    """A percentile in ms."""
    values = sorted(values)
    return values[min(int(len(values) * share), len(values) - 1)] * 1000 if values else -1.0


class Stream:
    """Stamps the chunks of one stream as its user code sees them."""

    def __init__(self, started: float) -> None:
        self.started = started
        self.last: float | None = None

    def content(self, at: float) -> None:
        """A chunk with content came."""
        if self.last is None:
            first.append(at - self.started)
        else:
            gaps.append(at - self.last)
        self.last = at


def say() -> None:
    """Print the figures; the first wave (connections, imports) is left out of the first-token times."""
    warm = first[STREAMS:] or first
    figures = {
        "ttft_p50": rank(warm, 0.5),
        "ttft_p99": rank(warm, 0.99),
        "itl_p50": rank(gaps, 0.5),
        "itl_p99": rank(gaps, 0.99),
    }
    print(json.dumps(figures), flush=True)
