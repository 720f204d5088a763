"""One request before the run: is anybody there, is the key good, which model is it. It is not measured.

CannotJudge (RuntimeError)     the target cannot be measured; the sentence says what it did instead
"""

from __future__ import annotations

import http.client
import json
import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.request import getproxies_environment, proxy_bypass

from loadtest import UsageError
from loadtest.body import headers, message_body, origin, request_bytes
from loadtest.prompts import Prompt

if TYPE_CHECKING:
    from dialects import Dialect
    from loadtest.body import Origin
    from loadtest.plan import Plan

__all__ = ["CannotJudge", "check", "first_model", "refuse_proxy"]

TIMEOUT_S = 10.0
ANSWER_S = 120.0
HINTS = {
    401: "the key was refused",
    403: "the key may not do this",
    404: "no such path or model",
    429: "the rate limit is already reached",
}


class CannotJudge(RuntimeError):
    """The target does not answer the way a load test needs."""


def refuse_proxy(to: Origin) -> None:
    """Raise UsageError when the environment sends this host through a proxy: its time would be taken for the server's."""
    proxies = getproxies_environment()
    scheme = "https" if to.tls else "http"
    proxy = proxies.get(scheme) or proxies.get("all")
    if proxy and to.host not in {"localhost", "127.0.0.1", "::1"} and not proxy_bypass(to.host):
        raise UsageError(
            f"the environment sends {to.host} through a proxy ({scheme}_proxy): its time would be measured as the server's; "
            f"unset it, or add {to.host} to no_proxy"
        )


def first_model(url: str, dialect: Dialect, key: str | None, *, insecure: bool) -> str:
    """The first model that the target lists, or the document's example where there is no list. Raises CannotJudge."""
    if dialect.paths.models is None:
        return dialect.models.example
    to = origin(url, dialect)
    path = to.path.removesuffix(dialect.paths.chat[0]) + dialect.paths.models
    auth = {"authorization": f"Bearer {key}"} if key else {}
    status, body = _exchange(to, "GET", path, None, {"host": to.host_header, **auth}, TIMEOUT_S, insecure=insecure)
    if status != HTTPStatus.OK:
        return dialect.models.example
    try:
        return str(json.loads(body)["data"][0]["id"])
    except (ValueError, LookupError, TypeError):
        return dialect.models.example


def check(plan: Plan) -> None:
    """Ask once, shortly. Raises CannotJudge unless a 200 comes back."""
    to, key = plan.origin, headers(plan.dialect, plan.key, plan.key_env)
    asked = Prompt(0, (("user", "Say hi"),), 4, stream=False)
    data = request_bytes(to, message_body(asked, plan.dialect, plan.model), key)
    head, _, body = data.partition(b"\r\n\r\n")
    sent = dict(line.split(": ", 1) for line in head.decode("ascii").split("\r\n")[1:])
    status, answer = _exchange(to, "POST", to.path, body, sent, ANSWER_S, insecure=plan.insecure)
    if status // 100 not in {1, 2}:  # an interim answer is one: what follows it is for those who measure
        said = answer[:200].decode("utf-8", "replace").strip()
        hint = HINTS.get(status, "it does not answer a plain request")
        raise CannotJudge(f"{plan.url}: the first request got status {status}: {hint}: {said}")


def _exchange(
    to: Origin, method: str, path: str, body: bytes | None, sent: dict[str, str], timeout: float, *, insecure: bool
) -> tuple[int, bytes]:
    where = f"{to.host}:{to.port}"
    context = ssl._create_unverified_context() if insecure else ssl.create_default_context()  # noqa: S323, SLF001 - asked for by --insecure
    connection = (
        http.client.HTTPSConnection(to.host, to.port, timeout=TIMEOUT_S, context=context)
        if to.tls
        else http.client.HTTPConnection(to.host, to.port, timeout=TIMEOUT_S)
    )
    try:
        connection.connect()
        connection.sock.settimeout(timeout)
        connection.request(method, path, body, sent)
        response = connection.getresponse()
        return response.status, response.read()
    except ssl.SSLError as error:
        raise CannotJudge(f"{where}: TLS failed: {error.reason or error}") from error
    except TimeoutError as error:
        raise CannotJudge(f"{where}: no answer in time") from error
    except OSError as error:
        raise CannotJudge(f"{where}: cannot be reached: {error.strerror or error}") from error
    except http.client.IncompleteRead as error:
        raise CannotJudge(f"{where}: the connection was closed inside the answer to the first request") from error
    except http.client.HTTPException as error:
        raise CannotJudge(f"{where}: the answer is no HTTP: {error!r}") from error
    finally:
        connection.close()
