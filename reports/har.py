"""HAR 1.2: the exchanges for any tool that opens browser archives; every entry names the check that made it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from reports import clean
from reports.model import ExchangeRecord, LoadReport, Report, ReportError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reports.baseline import Baseline

Json = dict[str, Any]


def har(report: Report | LoadReport, baseline: Baseline | None = None, level: str | None = None) -> str:
    """The archive as JSON text; raises ReportError for a load report, which records no exchanges."""
    del baseline, level
    if isinstance(report, LoadReport):
        raise ReportError("har: a load report has no exchanges, only samples")
    creator = {"name": clean.one_line(report.tool.name), "version": clean.one_line(report.tool.version)}
    log = {"version": "1.2", "creator": creator, "entries": [_entry(one) for one in report.exchanges]}
    return json.dumps({"log": log}, indent=1) + "\n"


def _entry(one: ExchangeRecord) -> Json:
    first = one.frames[0].t * 1000 if one.frames else one.seconds * 1000
    whole = max(one.seconds * 1000, first)
    return {
        "startedDateTime": one.started,
        "time": whole,
        "request": _request(one),
        "response": _response(one),
        "cache": {},
        "timings": {"send": 0, "wait": max(0, first), "receive": whole - max(0, first)},
        "comment": clean.one_line(f"{one.id} {one.check}"),
    }


def _request(one: ExchangeRecord) -> Json:
    body = one.sent
    post = {"postData": {"mimeType": _media_type(one.request_headers), "text": _text(body)}} if body else {}
    query = parse_qsl(one.url.partition("#")[0].partition("?")[2], keep_blank_values=True)
    return {
        "method": clean.one_line(one.method),
        "url": clean.one_line(one.url),
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(one.request_headers),
        "queryString": _pairs(query),
        "headersSize": -1,
        "bodySize": len(body),
        **post,
    }


def _response(one: ExchangeRecord) -> Json:
    comment = {"comment": clean.one_line(one.error)} if one.error else {}
    location = next((value for name, value in one.response_headers if name.lower() == "location"), "")
    return {
        "status": one.status or 0,
        "statusText": "",
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _pairs(one.response_headers),
        "content": {"size": len(one.body), "mimeType": _media_type(one.response_headers), **_content(one.body)},
        "redirectURL": clean.one_line(location),
        "headersSize": -1,
        "bodySize": len(one.body),
        **comment,
    }


def _content(body: bytes) -> Json:
    try:
        return {"text": body.decode("utf-8")}
    except UnicodeDecodeError:
        return {"text": base64.b64encode(body).decode("ascii"), "encoding": "base64"}


def _text(body: bytes) -> str:
    return body.decode("utf-8", "backslashreplace")


def _media_type(headers: Iterable[tuple[str, str]]) -> str:
    return clean.one_line(next((value for name, value in headers if name.lower() == "content-type"), ""))


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[Json]:
    return [{"name": clean.one_line(name), "value": clean.one_line(value)} for name, value in pairs]
