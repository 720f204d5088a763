"""Where requests go, and the one sentence that the user reads when nothing can be judged there."""

from __future__ import annotations

import functools
import http.server
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import dialects
from conformance.target import Embedded, Target, TargetError, _reached, base_url, resolve
from conformance.wire.client import Timeouts
from conformance.wire.exchange import Exchange, Request
from tests.loopback import Loopback, Received, as_json, closed_port, response

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dialects import Dialect

OPENAI = dialects.load("openai")
DRIA = dialects.load("dria")
KEY = "sk-a-secret-of-this-test"
TIMEOUTS = Timeouts(connect=20.0, read=30.0, total=40.0)  # the machine may be busy


# ---------------------------------------------------------------- URLs


@pytest.mark.parametrize(
    ("base", "path", "expected"),
    [
        ("http://h", "/v1/chat/completions", "http://h/v1/chat/completions"),
        ("http://h/", "/v1/chat/completions", "http://h/v1/chat/completions"),
        ("http://h/v1", "/v1/chat/completions", "http://h/v1/chat/completions"),
        ("http://h/v1/", "/v1/chat/completions", "http://h/v1/chat/completions"),
        ("http://h/v1/chat", "/v1/chat/completions", "http://h/v1/chat/completions"),
        ("http://h/v1/chat/completions", "/v1/chat/completions", "http://h/v1/chat/completions"),
        ("http://h/v1/chat/completions", "/v1/models", "http://h/v1/chat/completions/v1/models"),
        ("http://h/proxy/openai/v1", "/v1/models", "http://h/proxy/openai/v1/models"),
        ("http://h/dos_ai", "/v1/chat/completions", "http://h/dos_ai/v1/chat/completions"),
        ("http://h/v2", "/v1/chat/completions", "http://h/v2/v1/chat/completions"),
        ("http://h/av1", "/v1/chat/completions", "http://h/av1/v1/chat/completions"),
        ("http://h/v1/v1", "/v1/models", "http://h/v1/v1/models"),
        ("http://h/chat", "/chat/completions", "http://h/chat/completions"),
        ("https://h:8443/v1", "/v1/models", "https://h:8443/v1/models"),
        ("http://[::1]:8000/v1", "/v1/models", "http://[::1]:8000/v1/models"),
    ],
)
def test_a_base_that_ends_in_the_first_segments_of_a_path_means_the_same(base: str, path: str, expected: str) -> None:
    assert Target(base_url(base), "m").at(path) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://h/", "http://h"),
        ("http://h/v1//", "http://h/v1"),
        ("HTTP://Host/v1", "http://Host/v1"),
    ],
)
def test_a_base_url_is_without_slash_at_its_end(given: str, expected: str) -> None:
    assert base_url(given) == expected


@pytest.mark.parametrize("given", [f"https://h/v1?key={KEY}", f"https://h/v1#{KEY}"])
def test_a_query_is_refused_and_not_shown_as_it_may_hold_a_key(given: str) -> None:
    with pytest.raises(TargetError, match="query") as refused:
        base_url(given)

    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    "given", ["", "localhost:8000", "127.0.0.1", "ftp://h", "http://", "http:///v1", "embeded", "//h", "file:///x"]
)
def test_what_is_no_http_url_is_told_with_what_is_allowed(given: str) -> None:
    with pytest.raises(TargetError, match="is no http:// or https:// URL with a host") as caught:
        base_url(given)

    assert repr(given) in str(caught.value)


@pytest.mark.parametrize("given", ["http://h:port", "http://h:99999", "http://[::1", "http://[x]/v1"])
def test_a_url_with_a_broken_host_or_port_is_one_sentence_too(given: str) -> None:
    with pytest.raises(TargetError, match="--target"):
        base_url(given)


def test_a_key_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(TargetError, match="by the environment only") as caught:
        base_url(f"https://user:{KEY}@h/v1")

    assert KEY not in str(caught.value)


def test_an_authority_that_is_not_trusted_is_told_with_what_to_do() -> None:
    error = "connect: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate"
    unread = Exchange("x1", Request("POST", "https://h/x", ()), 0.0, 0.1, None, (), (), error=error)
    with pytest.raises(TargetError, match="SSL_CERT_FILE"):
        _reached(unread, Target("https://h", "m"))


@pytest.mark.parametrize("key", [f"{KEY}\r", f"{KEY}\n", "caf\u00e9-and-a-long-rest", "\u20ac" * 12])
def test_a_key_that_no_header_can_carry_is_told_without_it(key: str) -> None:
    sentence = refusal("http://127.0.0.1:1", key=key)

    assert sentence.startswith("the key in CHAT_API_KEY holds a line end or a character outside ASCII")
    assert key not in sentence


def test_a_request_is_json_with_the_key_and_a_get_has_no_content_type() -> None:
    target = Target("http://h", "m", KEY)
    names = dict(target.request("/v1/models", b"", method="GET").headers)

    assert dict(target.request("/x", b"{}").headers)["content-type"] == "application/json"
    assert names["authorization"] == f"Bearer {KEY}"
    assert "content-type" not in names
    assert "authorization" not in dict(Target("http://h", "m").request("/x", b"{}").headers)


# ---------------------------------------------------------------- resolving


def judged(
    url: str, dialect: Dialect = OPENAI, model: str | None = "m", key: str | None = None, timeouts: Timeouts = TIMEOUTS
) -> Target:
    return resolve(url, dialect, model, key, "CHAT_API_KEY", timeouts)


def refusal(*arguments: Any, **options: Any) -> str:  # noqa: ANN401 - passed on
    """The sentence with which resolving ends; one line without the key."""
    with pytest.raises(TargetError) as caught:
        judged(*arguments, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert KEY not in sentence
    return sentence


def working(request: Received) -> bytes:
    if request.path == "/v1/models":
        return as_json({"object": "list", "data": [{"id": "first"}, {"id": "second"}]})
    return as_json({"choices": []})


def guarded(request: Received) -> bytes:
    given = request.header("authorization")
    return working(request) if given == f"Bearer {KEY}" else as_json({"error": f"no {given}"}, 401)


def test_a_target_that_answers_is_resolved_with_its_first_model() -> None:
    with Loopback(working) as server:
        target = judged(server.url, model=None)

    assert (target.url, target.model) == (server.url, "first")
    assert [(r.method, r.path) for r in server.received] == [("GET", "/v1/models"), ("POST", "/v1/chat/completions")]


def test_a_model_that_was_given_needs_no_list() -> None:
    with Loopback(working) as server:
        target = judged(server.url, model="mine")

    assert target.model == "mine"
    assert [(r.method, r.path) for r in server.received] == [("POST", "/v1/chat/completions")]


@pytest.mark.parametrize("status", [400, 404, 422, 429, 500, 503])
def test_a_target_that_refuses_the_first_request_in_json_is_judged_all_the_same(status: int) -> None:
    with Loopback(lambda _: as_json({"error": {"message": "no"}}, status)) as server:
        assert judged(server.url).url == server.url


def test_a_closed_port() -> None:
    url = f"http://127.0.0.1:{closed_port()}"

    assert refusal(url) == f"no answer from {url}: connect: [Errno 111] Connection refused"


def test_a_name_that_nobody_knows() -> None:
    assert refusal("http://no-such-host.invalid").startswith("no answer from http://no-such-host.invalid: connect: ")


def test_a_server_that_accepts_and_never_answers_costs_the_time_out_and_no_more() -> None:
    with Loopback(lambda _: ()) as server:
        server.handler = server.silence
        start = time.monotonic()
        sentence = refusal(server.url, timeouts=Timeouts(1.0, 0.3, 1.0))
        seconds = time.monotonic() - start

    assert sentence.startswith(f"no answer from {server.url}: timeout: ")
    assert seconds < 10


def test_a_server_that_hangs_up() -> None:
    with Loopback(lambda _: b"") as server:
        assert refusal(server.url).startswith(f"no answer from {server.url}: closed: ")


def test_a_server_that_speaks_something_else() -> None:
    with Loopback(lambda _: b"SSH-2.0-OpenSSH_9.2\r\n") as server:
        assert refusal(server.url).startswith(f"no answer from {server.url}: ")


@contextmanager
def file_server(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_a_file_server(tmp_path: Path) -> None:
    with file_server(tmp_path) as url:
        sentence = refusal(url)

    assert sentence.startswith(
        f"no chat-completions endpoint at {url}/v1/chat/completions: POST is answered 501 text/html"
    )
    assert sentence.endswith("; is the base URL right?")


def test_a_file_server_without_a_model(tmp_path: Path) -> None:
    with file_server(tmp_path) as url:
        sentence = refusal(url, model=None)

    assert sentence.startswith(f"{url}/v1/models lists no model (404 text/html")
    assert sentence.endswith("): give one with --model NAME")


def test_a_website_that_answers_every_path_with_a_page() -> None:
    with Loopback(lambda _: response("<html>Welcome</html>", content_type="text/html")) as server:
        sentence = refusal(server.url)

    assert sentence.startswith(
        f"no chat-completions endpoint at {server.url}/v1/chat/completions: POST is answered 200 text/html"
    )


@pytest.mark.parametrize("status", [401, 403])
def test_a_target_that_wants_a_key(status: int) -> None:
    with Loopback(lambda _: as_json({"error": "who are you?"}, status)) as server:
        sentence = refusal(server.url)

    assert sentence.startswith(
        f"{server.url}/v1/chat/completions wants a key: set the environment variable CHAT_API_KEY ("
    )


def test_a_target_that_refuses_the_key_and_echoes_it() -> None:
    with Loopback(lambda _: as_json({"error": f"bad key {KEY}"}, 401)) as server:
        sentence = refusal(server.url, key=KEY)

    assert sentence.startswith(
        f"{server.url}/v1/chat/completions refuses the key in CHAT_API_KEY: 401 application/json: "
    )


def test_a_target_that_takes_the_key_is_resolved() -> None:
    with Loopback(guarded) as server:
        assert judged(server.url, model=None, key=KEY).model == "first"


@pytest.mark.parametrize("model", [None, "m"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_another_host_is_told_and_the_key_stays(model: str | None, status: int) -> None:
    with Loopback(working) as other, Loopback(lambda r: response("", status, location=other.url + r.path)) as server:
        sentence = refusal(server.url, model=model, key=KEY)

    assert other.received == []
    assert f"({status}) to {other.url}/v1/" in sentence
    assert sentence.endswith("not followed, so that the key stays here; give the final URL")


@pytest.mark.parametrize("location", [f"http://127.0.0.1:1/?key={KEY}", "http://[::1", "\x1b[31mred"])
def test_an_odd_redirect_is_one_clean_sentence(location: str) -> None:
    with Loopback(lambda _: response("", 307, location=location)) as server:
        sentence = refusal(server.url, key=KEY)

    assert "is redirected (307) to " in sentence
    assert sentence.isprintable()


def test_a_dialect_without_a_list_of_models_wants_a_model() -> None:
    silent = replace(DRIA, paths=replace(DRIA.paths, models=None))
    sentence = refusal("http://127.0.0.1:1", dialect=silent, model=None)

    assert sentence == "dialect dria documents no list of models: give one with --model NAME"


@pytest.mark.parametrize(
    "models", [[], {}, {"data": []}, {"data": [{}]}, {"data": [{"id": 5}]}, {"data": "x"}, "x", None]
)
def test_a_list_of_models_without_one_wants_a_model(models: object) -> None:
    with Loopback(lambda _: as_json(models)) as server:
        sentence = refusal(server.url, model=None)

    assert sentence.startswith(f"{server.url}/v1/models lists no model (200 application/json: ")
    assert sentence.endswith("): give one with --model NAME")


def test_what_a_server_says_is_short_and_without_control_characters_in_the_sentence() -> None:
    with Loopback(lambda _: response("\x1b[31mred\x07\u202e " + "x" * 10_000, 404)) as server:
        sentence = refusal(server.url)

    assert sentence.isprintable()
    assert len(sentence) < 400


# ---------------------------------------------------------------- the embedded server


def test_the_embedded_server_answers_until_it_is_stopped() -> None:
    server = Embedded(DRIA)
    try:
        target = judged(server.url, dialect=DRIA, model=DRIA.models.example, key=None)
    except TargetError as error:
        assert "wants a key" in str(error)  # noqa: PT017 - which of the two is the server's business
    else:
        assert target.url == server.url
    finally:
        server.stop()

    assert refusal(server.url, dialect=DRIA).startswith(f"no answer from {server.url}: connect: ")
