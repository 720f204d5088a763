"""Reports for tests: small ones made by hand, and hypothesis strategies for any."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from reports.model import (
    LEVELS,
    TIERS,
    VERDICTS,
    Certificate,
    CheckResult,
    Cost,
    ErrorClass,
    ExchangeRecord,
    Frame,
    LoadReport,
    Metric,
    Rate,
    Report,
    RequirementResult,
    RowCheck,
    Slo,
    Target,
    Tool,
)

TIME = "2026-11-25T12:00:00Z"
LATER = "2026-11-25T12:01:30.250Z"
TOOL = Tool("chat-conformance", "0.1.0")
TARGET = Target("http://127.0.0.1:8000/v1", "openai", "tiny")
HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "]]></system-out><testcase name='forged'/>",
    "<!-- --> <![CDATA[ x ]]>",
    "\x1b[2J\x1b[31mFAIL\x1b[0m",
    "\x9b31m",
    "\r\nPASS  everything",
    "\n::error::forged",
    "\u202etxt.exe\u2066\u200f",
    "\u2028line\u2029separators",
    "\x00\x07\x08\x0b\x0c\x7f\ufeff\ufffe\uffff",
    "\ud83d lone \udfff",
    "| a | b |\n|---|---|\n# heading",
    "![x](http://127.0.0.1:1/x.png) [y](javascript:alert(1)) <http://127.0.0.1:1/>",
    "`code` ``more`` ```fence",
    "**bold** _it_ ~~gone~~ @somebody #1 &amp; &lt;b&gt;",
    "{{ 7*7 }} {% include 'x' %} ${x} {0}",
    "[red]rich[/red] [link=http://127.0.0.1]x[/link] :smile:",
    "http://127.0.0.1:1/ www.example.com a@example.com",
)
texts = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(codec=None, exclude_categories=()), max_size=20))
names = texts.filter(lambda text: text != "")


def row(name: str = "OAI-01", verdict: str = "pass", level: str = "MUST", **facts: Any) -> RequirementResult:  # noqa: ANN401 - any field
    """A seed row that blocks when it is a MUST."""
    given: dict[str, Any] = {
        "tier": "seed",
        "chapter": "chat",
        "says": "The answer has an id.",
        "place": "openai.yaml L10-12",
    }
    given |= {"blocking": level == "MUST", "checks": (RowCheck("chat.field[id]", verdict),)}
    return RequirementResult(id=name, level=level, verdict=verdict, **(given | facts))


def exchange(name: str = "x1", status: int | None = 200, body: bytes = b'{"id":"c1"}', **facts: Any) -> ExchangeRecord:  # noqa: ANN401 - any field
    """One answered POST, its body in one frame."""
    given: dict[str, Any] = {
        "check": "chat.field[id]",
        "method": "POST",
        "url": "http://127.0.0.1:8000/v1/chat/completions",
        "request_headers": (("Authorization", "Bearer ***"), ("Content-Type", "application/json")),
        "request_body": '{"model":"tiny"}',
        "response_headers": (("content-type", "application/json"),),
        "frames": (Frame.of(0.05, body),),
        "started": TIME,
        "seconds": 0.06,
        "curl": "curl -s http://127.0.0.1:8000/v1/chat/completions -H \"Authorization: Bearer $CHAT_API_KEY\" -d '{}'",
    }
    return ExchangeRecord(id=name, status=status, **(given | facts))


def report(*rows: RequirementResult, **facts: Any) -> Report:  # noqa: ANN401 - any field
    """A complete run with these rows."""
    given: dict[str, Any] = {
        "complete": True,
        "reason": None,
        "seed": 7,
        "depth": "full",
        "level": "must",
        "tiers": TIERS,
    }
    given |= {"tool": TOOL, "target": TARGET, "started": TIME, "finished": LATER, "cost": Cost(3, 20, 30)}
    return Report(requirements=rows, **(given | {"command": "pytest --target http://127.0.0.1:8000/v1"} | facts))


def load_report(**facts: Any) -> LoadReport:  # noqa: ANN401 - any field
    """A valid load run that met its one objective."""
    given: dict[str, Any] = {
        "tool": TOOL,
        "target": TARGET,
        "scenario": {"name": "chat", "rate": 10},
        "started": TIME,
        "finished": LATER,
        "complete": True,
        "reason": None,
        "metrics": (Metric("ttft_content", "ms", "lower", 900, 51.2, 50.1, 52.0, 60.5, 61.0, 61.5),),
        "rates": (Rate("requests_per_second", "1/s", "higher", 9.98), Rate("error_rate", "%", "lower", 0.0)),
        "certificate": Certificate("VALID", (), {"p99": 0.16}),
        "slo": (Slo("ttft_content_p99<500ms", "ttft_content", 500.0, 60.5, "pass"),),
    }
    return LoadReport(**(given | facts))


def with_secret(secret: str) -> Report:
    """A report of a target that echoes the key everywhere, also cut over two frames."""
    half = len(secret) // 2
    frames = (Frame.of(0.1, f"data: {secret[:half]}".encode()), Frame.of(0.2, f"{secret[half:]}\n\n".encode()))
    told = f"the key {secret} came back"
    leaky = exchange(
        url=f"http://127.0.0.1:8000/v1/chat/completions?key={secret}",
        request_headers=(("Authorization", f"Bearer {secret}"), ("X-Api-Key", secret)),
        request_body=f'{{"user":"{secret}"}}',
        response_headers=(("x-echo", secret), ("set-cookie", f"k={secret}")),
        frames=frames,
        curl=f"curl -H 'Authorization: Bearer {secret}'",
        error=told,
    )
    failed = row(verdict="fail", observed=told, expected=told, reason=told, says=told, place=told, evidence=("x1",))
    return report(failed, exchanges=(leaky,), command=f"pytest --key {secret}", target=replace(TARGET, url=leaky.url))


def reports() -> st.SearchStrategy[Report]:
    """Any report that keeps to the schema, of a target that writes whatever it likes."""
    return st.builds(
        _report,
        rows=st.lists(_rows(), max_size=8),
        exchanges=st.lists(_exchanges(), max_size=3),
        reason=st.none() | names,
        level=st.sampled_from(("must", "should")),
        target=st.builds(Target, url=texts, dialect=texts, model=st.none() | texts),
        command=texts,
    )


def load_reports() -> st.SearchStrategy[LoadReport]:
    """Any load report that keeps to the schema."""
    return st.builds(
        load_report,
        scenario=st.builds(lambda name: {"name": name}, names),
        metrics=st.lists(_metrics(), max_size=3).map(tuple),
        rates=st.lists(st.builds(Rate, names, texts, _better(), _figures()), max_size=3).map(tuple),
        errors=st.lists(st.builds(ErrorClass, names, st.integers(0, 9)), max_size=3).map(tuple),
        certificate=st.builds(
            Certificate, st.sampled_from(("VALID", "INVALID")), st.lists(texts, max_size=2).map(tuple)
        ),
        slo=st.lists(
            st.builds(Slo, names, names, st.floats(0, 9), _figures(), st.sampled_from(("pass", "fail", "no-data"))),
            max_size=3,
        ).map(tuple),
    )


def _report(rows: list[RequirementResult], exchanges: list[ExchangeRecord], reason: str | None, **facts: Any) -> Report:  # noqa: ANN401 - any field
    named = tuple(replace(one, id=f"{one.id}{n}") for n, one in enumerate(rows))
    sent = tuple(replace(one, id=f"x{n}") for n, one in enumerate(exchanges))
    return report(*named, exchanges=sent, complete=reason is None, reason=reason, **facts)


def _rows() -> st.SearchStrategy[RequirementResult]:
    return st.builds(
        RequirementResult,
        id=texts,
        level=st.sampled_from(LEVELS),
        tier=st.sampled_from(TIERS),
        chapter=names,
        says=texts,
        place=texts,
        verdict=st.sampled_from(VERDICTS),
        blocking=st.booleans(),
        reason=st.none() | texts,
        checks=st.lists(st.builds(RowCheck, names, st.sampled_from(VERDICTS), st.none() | texts), max_size=2).map(
            tuple
        ),
        expected=st.none() | texts,
        observed=st.none() | texts,
        evidence=st.lists(st.sampled_from(("x0", "x1", "x2", "x9")), max_size=3).map(tuple),
    )


def _exchanges() -> st.SearchStrategy[ExchangeRecord]:
    headers = st.lists(st.tuples(texts, texts), max_size=2).map(tuple)
    frames = st.lists(st.builds(Frame.of, st.floats(0, 10), st.binary(max_size=30) | texts.map(_bytes)), max_size=4)
    return st.builds(
        exchange,
        status=st.none() | st.sampled_from((200, 404, 500)),
        check=texts,
        method=texts,
        url=texts,
        request_headers=headers,
        request_body=texts,
        response_headers=headers,
        frames=frames.map(tuple),
        error=st.none() | texts,
        curl=texts,
    )


def _metrics() -> st.SearchStrategy[Metric]:
    measured = st.builds(Metric, names, texts, _better(), st.integers(1, 9), *([st.floats(0, 1e6)] * 6))
    return measured | st.builds(Metric, names, texts, _better(), st.just(0))


def _better() -> st.SearchStrategy[str]:
    return st.sampled_from(("lower", "higher"))


def _figures() -> st.SearchStrategy[float | None]:
    return st.none() | st.floats(0, 1e6)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def check(name: str, seconds: float) -> CheckResult:
    """A check that passed."""
    return CheckResult(name, "pass", None, seconds)
