"""One self-contained page for a load report: the verdict first, then charts drawn as SVG; no script, no network.

Takes the document that load.schema.json describes. A run whose certificate is INVALID says so before and beside its numbers.
"""

from __future__ import annotations

from html import escape
from math import floor, log10
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["render"]

Json = dict[str, Any]
Points = list[tuple[float, float]]
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 220, 58, 12, 12, 26
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
QUANTILES = (("p50", "50"), ("p90", "90"), ("p99", "99"), ("p999", "99.9"), ("max", "max"))
CURVES = ("ttft_content", "itl", "e2e", "longest_gap")
HEADLINES = ("ttft_content", "itl", "tpot", "e2e", "longest_gap")
STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--dim:#5d6b7d;--paper:#fff;--card:#f5f7fa;--line:#d7dde5;--good:#14733c;--bad:#b3261e;
--a:#1f5fbf;--b:#c2570c;--c:#14733c;--d:#7a3fb5}
@media(prefers-color-scheme:dark){:root{--ink:#e4e9f0;--dim:#93a1b3;--paper:#12161c;--card:#1b212a;--line:#303a47;--good:#5fd08a;
--bad:#ff8a80;--a:#7db0ff;--b:#ffab6b;--c:#5fd08a;--d:#c79bff}}
*{box-sizing:border-box}body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1080px;margin:0 auto;padding:24px}
h1{font-size:24px;margin:0 0 4px}h2{font-size:17px;margin:28px 0 8px}p{margin:4px 0}.dim{color:var(--dim)}
.verdict{border-left:6px solid var(--good);background:var(--card);padding:12px 16px;margin:16px 0;border-radius:4px}
.verdict.bad{border-color:var(--bad)}.verdict strong{font-size:18px;color:var(--good)}.verdict.bad strong{color:var(--bad)}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:10px}.card{background:var(--card);padding:10px 14px;border-radius:6px}
.card b{display:block;font-size:21px;font-variant-numeric:tabular-nums}.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:16px}
figure{margin:0;background:var(--card);border-radius:6px;padding:10px}figcaption{font-weight:600;margin-bottom:4px}svg{width:100%;height:auto;display:block}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{padding:4px 8px;border-bottom:1px solid var(--line);text-align:right}
th:first-child,td:first-child{text-align:left}.scroll{overflow-x:auto}.fail,.no-data,.bad-text{color:var(--bad);font-weight:600}.pass{color:var(--good)}
text{fill:var(--dim);font:13px system-ui,sans-serif}.grid{stroke:var(--line)}.key span{margin-right:14px}.key i{display:inline-block;width:14px;height:3px;margin-right:5px;vertical-align:middle}
@media print{body{max-width:none}figure,.card{break-inside:avoid}}
"""


def render(report: Json) -> str:
    """The page of a load report."""
    scenario = report["scenario"]
    title = f"{scenario['name']} against {report['target']['url']}"
    parts = (
        f"<h1>Load: {_text(title)}</h1>",
        f'<p class="dim">{_text(_subtitle(report))}</p>',
        _verdict(report),
        _cards(report),
        _objectives(report["slo"]),
        '<h2>Over time</h2><div class="charts">' + "".join(_over_time(report["timeline"])) + "</div>",
        "<h2>Percentiles</h2>" + _percentiles(report["metrics"]),
        "<h2>Every latency, in ms</h2>" + _table(report["metrics"]),
        _failures(report),
        "<h2>Rates and shares</h2>" + _rates(report["rates"]),
        "<h2>The generator's own lateness, in ms</h2>" + _lateness(report),
        "<h2>The run</h2>" + _facts(scenario),
    )
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{_text(title)}</title><style>{STYLE}</style>"
    )
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def _subtitle(report: Json) -> str:
    target, scenario = report["target"], report["scenario"]
    loop = f"{scenario.get('loop', '?')} loop, {scenario.get('workers', '?')} worker(s), stamps: {scenario.get('stamps', '?')}"
    return f"{target['dialect']} · {target['model']} · {report['started']} to {report['finished']} · {loop} · {report['tool']['name']} {report['tool']['version']}"


def _verdict(report: Json) -> str:
    certificate = report["certificate"]
    valid = certificate["verdict"] == "VALID"
    words = [] if report["complete"] else [f"Incomplete: {report['reason']}"]
    words += certificate["reasons"] if not valid else ["The generator was in time: these numbers are the target's."]
    lead = "Certificate VALID" if valid else "Certificate INVALID: these numbers are not the target's alone"
    items = "".join(f"<p>{_text(word)}</p>" for word in words)
    return f'<div class="verdict{"" if valid and report["complete"] else " bad"}"><strong>{lead}</strong>{items}</div>'


def _cards(report: Json) -> str:
    metrics = {row["metric"]: row for row in report["metrics"]}
    rates = {row["metric"]: row["value"] for row in report["rates"]}
    mark = "" if report["certificate"]["verdict"] == "VALID" else ' <span class="bad-text">INVALID</span>'
    cards = [
        (f"{name} p99", _number(metrics[name]["p99"]) + " ms")
        for name in HEADLINES
        if name in metrics and metrics[name]["n"]
    ]
    cards += [
        ("requests / s", _number(rates.get("requests_per_second"))),
        ("output tokens / s", _number(rates.get("output_tokens_per_second"))),
        ("failed", _percent(rates.get("error_rate"))),
        ("frozen", _percent(rates.get("freeze_share"))),
    ]
    return (
        '<div class="cards">'
        + "".join(f'<div class="card"><b>{_text(v)}</b>{_text(k)}{mark}</div>' for k, v in cards)
        + "</div>"
    )


def _objectives(rows: Sequence[Json]) -> str:
    if not rows:
        return ""
    body = "".join(
        f'<tr><td>{_text(row["text"])}</td><td>{_number(row["observed"])}</td><td class="{row["verdict"]}">{row["verdict"]}</td></tr>'
        for row in rows
    )
    return f"<h2>Objectives</h2><table><tr><th>objective</th><th>observed</th><th>verdict</th></tr>{body}</table>"


def _over_time(points: Sequence[Json]) -> Iterable[str]:
    yield _chart(
        "Time to first content", "ms", points, (("p50", "ttft_content_p50", "--a"), ("p99", "ttft_content_p99", "--b"))
    )
    yield _chart(
        "Requests a second: asked, sent, answered",
        "1/s",
        points,
        (
            ("asked", "planned_per_second", "--d"),
            ("sent", "sent_per_second", "--a"),
            ("answered", "ok_per_second", "--c"),
            ("failed", "failed_per_second", "--b"),
        ),
    )
    yield _chart(
        "Longest gap in a stream", "ms", points, (("p50", "longest_gap_p50", "--a"), ("p99", "longest_gap_p99", "--b"))
    )
    yield _chart("Output tokens a second", "1/s", points, (("tokens", "tokens_per_second", "--c"),))
    yield _chart("End to end", "ms", points, (("p50", "e2e_p50", "--a"), ("p99", "e2e_p99", "--b")))


def _chart(title: str, unit: str, points: Sequence[Json], series: Sequence[tuple[str, str, str]]) -> str:
    lines = [
        (name, colour, [(p["t"], p[key]) for p in points if p.get(key) is not None]) for name, key, colour in series
    ]
    lines = [line for line in lines if line[2]]
    caption = f"<figcaption>{_text(title)}, {unit}</figcaption>"
    if not lines:
        return f'<figure>{caption}<p class="dim">nothing was measured</p></figure>'
    last = max(max(x for x, _ in points_) for _, _, points_ in lines) or 1.0
    top = max(max(y for _, y in points_) for _, _, points_ in lines) or 1.0
    across: Callable[[float], float] = lambda x: LEFT + (WIDTH - LEFT - RIGHT) * x / last  # noqa: E731 - a scale
    step = _step(top)
    ceiling = step * -(-top // step)
    up: Callable[[float], float] = lambda y: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / ceiling  # noqa: E731 - a scale
    grid = "".join(_tick(up(i * step), _number(i * step)) for i in range(round(ceiling / step) + 1))
    axis = f'<text x="{LEFT}" y="{HEIGHT - 6}">0 s</text><text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{_number(last)} s</text>'
    drawn = "".join(_line([(across(x), up(y)) for x, y in points_], colour) for _, colour, points_ in lines)
    key = "".join(f'<span><i style="background:var({colour})"></i>{_text(name)}</span>' for name, colour, _ in lines)
    label = _text(
        f"{title}: "
        + ", ".join(f"{name} up to {_number(max(y for _, y in points_))} {unit}" for name, _, points_ in lines)
    )
    return f'<figure>{caption}<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{grid}{axis}{drawn}</svg><p class="key dim">{key}</p></figure>'


def _percentiles(metrics: Sequence[Json]) -> str:
    """Each latency's percentiles on a logarithmic axis: a long tail is a steep end."""
    rows = [row for row in metrics if row["metric"] in CURVES and row["n"]]
    values = [row[q] for row in rows for q, _ in QUANTILES if row[q]]
    if not values:
        return '<p class="dim">nothing was measured</p>'
    low, high = floor(log10(max(min(values), 0.01))), floor(log10(max(values))) + 1

    def up(y: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (log10(max(y, 10.0**low)) - low) / (high - low)

    across = [LEFT + 30 + i * (WIDTH - LEFT - RIGHT - 60) / (len(QUANTILES) - 1) for i in range(len(QUANTILES))]
    grid = "".join(_tick(up(10.0**power), _number(10.0**power)) for power in range(low, high + 1))
    axis = "".join(
        f'<text x="{x:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{name}</text>'
        for x, (_, name) in zip(across, QUANTILES, strict=True)
    )
    colours = ("--a", "--c", "--d", "--b")
    drawn = key = ""
    for row, colour in zip(rows, colours, strict=False):
        places = [(x, up(row[q])) for x, (q, _) in zip(across, QUANTILES, strict=True) if row[q] is not None]
        drawn += _line(places, colour) + "".join(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="var({colour})"/>' for x, y in places
        )
        key += f'<span><i style="background:var({colour})"></i>{_text(row["metric"])}</span>'
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="percentiles in ms, logarithmic">{grid}{axis}{drawn}</svg>'
        f'<p class="key dim">{key}</p></figure>'
    )


def _table(metrics: Sequence[Json]) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("metric", "n", "mean", "p50", "p90", "p99", "p99.9", "max"))
    body = "".join(
        f"<tr><td>{_text(row['metric'])}</td><td>{row['n']}</td>"
        + "".join(f"<td>{_number(row[key])}</td>" for key in ("mean", "p50", "p90", "p99", "p999", "max"))
        + "</tr>"
        for row in metrics
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _failures(report: Json) -> str:
    if not report["errors"]:
        return "<h2>Failures</h2><p>none</p>"
    said = report["scenario"].get("error_examples", {})
    body = "".join(
        f"<tr><td>{_text(row['class'])}</td><td>{row['count']}</td><td>{_text(said.get(row['class'], ''))}</td></tr>"
        for row in report["errors"]
    )
    return f"<h2>Failures</h2><table><tr><th>class</th><th>count</th><th>the first one said</th></tr>{body}</table>"


def _rates(rows: Sequence[Json]) -> str:
    body = "".join(
        f"<tr><td>{_text(row['metric'])}</td><td>{_number(row['value'])}</td><td>{_text(row['unit'])}</td></tr>"
        for row in rows
    )
    return f"<table><tr><th>rate</th><th>value</th><th>unit</th></tr>{body}</table>"


def _lateness(report: Json) -> str:
    body = "".join(
        f"<tr><td>{_text(name)}</td><td>{_number(value)}</td></tr>"
        for name, value in report["certificate"]["lag_ms"].items()
    )
    return f"<table><tr><th>figure</th><th>ms</th></tr>{body}</table>"


def _facts(scenario: Json) -> str:
    body = "".join(
        f"<tr><td>{_text(name)}</td><td>{_text(_shown(value))}</td></tr>"
        for name, value in scenario.items()
        if name != "error_examples"
    )
    return f'<div class="scroll"><table>{body}</table></div>'


def _line(places: Points, colour: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dot = (
        f'<circle cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="2" fill="var({colour})"/>'
        if len(places) == 1
        else ""
    )
    return f'<polyline points="{path}" fill="none" stroke="var({colour})" stroke-width="1.8"/>{dot}'


def _tick(y: float, label: str) -> str:
    return f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/><text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'


def _step(top: float) -> float:
    """A round step that gives three to six lines."""
    rough = top / 4
    power = 10.0 ** floor(log10(rough))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)


def _number(value: float | None) -> str:
    if value is None:
        return "–"  # noqa: RUF001 - an en dash is how a table shows absence
    if value and abs(value) < 1:
        return f"{value:.4g}"
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"  # noqa: RUF001 - an en dash is how a table shows absence


def _shown(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        return "; ".join(_shown(item) for item in value) or "none"
    return "not known" if value is None else str(value)


def _text(value: object) -> str:
    return escape(str(value))
