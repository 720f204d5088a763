"""What can be done to a message as a whole: its bytes, its status, its headers, its length, its connection."""

from __future__ import annotations

import gzip
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.mutants.message import Answer

__all__ = ["BYTES", "HTTP"]

HTML = b"<html><body><h1>It works</h1></body></html>"


def _body(change: Callable[[bytes], bytes]) -> Callable[[Answer], Answer]:
    def act(answer: Answer) -> Answer:
        body = change(answer.body)
        return answer if body == answer.body else replace(answer, body=body)

    return act


def _header(name: str, value: str | None) -> Callable[[Answer], Answer]:
    def act(answer: Answer) -> Answer:
        kept = tuple((k, v) for k, v in answer.headers if k.lower() != name)
        return replace(answer, headers=kept if value is None else (*kept, (name, value)))

    return act


def _status(status: int, reason: str = "Whatever") -> Callable[[Answer], Answer]:
    return lambda answer: answer if answer.status == status else replace(answer, status=status, reason=reason)


BYTES: dict[str, Callable[[Answer], Answer]] = {
    "no-body": _body(lambda _: b""),
    "only-space": _body(lambda _: b" \n"),
    "html": _body(lambda _: HTML),
    "plain-words": _body(lambda _: b"Internal error"),
    "json-null": _body(lambda _: b"null"),
    "json-list": _body(lambda body: b"[" + body + b"]"),
    "json-string": _body(lambda _: b'"hello"'),
    "json-empty-object": _body(lambda _: b"{}"),
    "last-byte-lost": _body(lambda body: body[:-1]),
    "first-byte-lost": _body(lambda body: body[1:]),
    "first-half": _body(lambda body: body[: len(body) // 2]),
    "second-half": _body(lambda body: body[len(body) // 2 :]),
    "twice": _body(lambda body: body + body),
    "words-after": _body(lambda body: body + b" and more"),
    "words-before": _body(lambda body: b"Here you are: " + body),
    "byte-order-mark": _body(lambda body: b"\xef\xbb\xbf" + body),
    "nul-after": _body(lambda body: body + b"\0"),
    "stray-byte": _body(lambda body: body.replace(b'"', b'"\xff', 1)),
    "latin-1": _body(lambda body: body.replace(b'":"', '":"\xe9'.encode("latin-1"), 1)),
    "utf-16": _body(lambda body: body.decode("utf-8", "replace").encode("utf-16")),
    "single-quotes": _body(lambda body: body.replace(b'"', b"'")),
    "trailing-comma": _body(lambda body: body[:-1] + b",}" if body.endswith(b"}") else body),
    "comment": _body(lambda body: body.replace(b"{", b"{/* ok */", 1)),
    "nan": _body(lambda body: body.replace(b"{", b'{"score":NaN,', 1)),
    "infinity": _body(lambda body: body.replace(b"{", b'{"score":-Infinity,', 1)),
    "half-surrogate": _body(lambda body: body.replace(b"{", b'{"note":"\\ud83d",', 1)),
    "raw-line-feed": _body(lambda body: body.replace(b"{", b'{"note":"a\nb",', 1)),
    "leading-zero": _body(lambda body: body.replace(b"{", b'{"count":007,', 1)),
    "deep": _body(lambda body: body.replace(b"{", b'{"deep":' + b"[" * 5000 + b"]" * 5000 + b",", 1)),
    "huge-number": _body(lambda body: body.replace(b"{", b'{"count":' + b"9" * 5000 + b",", 1)),
    "huge-exponent": _body(lambda body: body.replace(b"{", b'{"count":1e999999,', 1)),
    "colon-lost": _body(lambda body: body.replace(b'":', b'"', 1)),
    "brace-lost": _body(lambda body: body.replace(b"}", b"", 1)),
}
HTTP: dict[str, Callable[[Answer], Answer]] = {
    **{
        f"status-{status}": _status(status)
        for status in (
            200,
            201,
            202,
            203,
            206,
            207,
            299,
            302,
            303,
            307,
            400,
            401,
            402,
            403,
            404,
            405,
            409,
            418,
            422,
            429,
        )
    },
    **{f"status-{status}": _status(status) for status in (499, 500, 501, 502, 503, 504, 599)},
    "no-content": lambda answer: replace(answer, status=204, reason="No Content", body=b"", length=""),
    "status-999": _status(999),
    "status-0": _status(0),
    "no-content-type": _header("content-type", None),
    **{
        f"content-type-{kind.replace('/', '-')}": _header("content-type", kind)
        for kind in (
            "text/plain",
            "text/html",
            "application/octet-stream",
            "application/json",
            "text/event-stream",
            "nonsense",
        )
    },
    "content-type-twice": lambda answer: replace(answer, headers=(*answer.headers, ("content-type", "text/html"))),
    "length-too-long": lambda answer: replace(answer, length=str(len(answer.body) + 10)),
    "length-too-short": lambda answer: replace(answer, length=str(max(1, len(answer.body) - 5))),
    "length-negative": lambda answer: replace(answer, length="-5"),
    "length-words": lambda answer: replace(answer, length="many"),
    "length-twice": lambda answer: replace(answer, raw_headers=(b"content-length: 3",), close=True),
    "length-nought": lambda answer: replace(answer, length="0"),
    "no-length": lambda answer: replace(answer, length="", headers=(*answer.headers, ("connection", "close"))),
    "not-chunked": lambda answer: replace(answer, length="", raw_headers=(b"transfer-encoding: chunked",), close=True),
    "bad-chunk": lambda answer: replace(
        answer, length="", raw_headers=(b"transfer-encoding: chunked",), body=b"zz\r\n" + answer.body, close=True
    ),
    "unfinished-chunks": lambda answer: replace(
        answer,
        length="",
        raw_headers=(b"transfer-encoding: chunked",),
        body=f"{len(answer.body):x}\r\n".encode() + answer.body + b"\r\n",
        close=True,
    ),
    "closed-in-body": lambda answer: replace(answer, cut=len(answer.body) // 2),
    "closed-before-body": lambda answer: replace(answer, cut=0),
    "closed-after": lambda answer: replace(answer, close=True, headers=(*answer.headers, ("connection", "close"))),
    "bytes-after": lambda answer: replace(answer, late=b"garbage", close=True),
    "continue-first": lambda answer: replace(answer, early=b"HTTP/1.1 100 Continue\r\n\r\n"),
    "hints-first": lambda answer: replace(answer, early=b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"),
    "garbage-first": lambda answer: replace(answer, early=b"garbage\r\n", close=True),
    "old-version": lambda answer: replace(answer, version="HTTP/1.0", close=True),
    "odd-version": lambda answer: replace(answer, version="HTTP/9.9", close=True),
    "no-version": lambda answer: replace(answer, version="ICY", close=True),
    "line-without-colon": lambda answer: replace(answer, raw_headers=(b"no colon here",), close=True),
    "header-with-nul": lambda answer: replace(answer, raw_headers=(b"x-a: b\0c",), close=True),
    "header-not-latin": lambda answer: replace(answer, raw_headers=("x-a: \u263a".encode(),)),
    "header-folded": lambda answer: replace(answer, raw_headers=(b"x-a: b\r\n  c",)),
    "many-headers": lambda answer: replace(answer, raw_headers=tuple(f"x-{n}: {n}".encode() for n in range(100))),
    "huge-header": lambda answer: replace(answer, raw_headers=(b"x-a: " + b"y" * 200_000,), close=True),
    "claims-gzip": _header("content-encoding", "gzip"),
    "really-gzip": lambda answer: replace(
        answer, body=gzip.compress(answer.body), headers=(*answer.headers, ("content-encoding", "gzip"))
    ),
    "claims-brotli": _header("content-encoding", "br"),
    "no-date": _header("date", None),
    "redirect-elsewhere": lambda answer: replace(
        answer, status=307, reason="Temporary Redirect", headers=(*answer.headers, ("location", "http://127.0.0.2:9/"))
    ),
    "redirect-to-itself": lambda answer: replace(
        answer, status=308, reason="Permanent Redirect", headers=(*answer.headers, ("location", ""))
    ),
    "set-cookie": lambda answer: replace(answer, headers=(*answer.headers, ("set-cookie", "a=b; Path=/"))),
}
