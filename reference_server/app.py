"""The application: every dialect under its name, the chosen one also at the root, and the control plane when asked for."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

import dialects
from reference_server import control
from reference_server.alterations import Alterations
from reference_server.catalog import Catalog
from reference_server.chat import Chat
from reference_server.errors import ApiError, refuse
from reference_server.journal import Visit
from reference_server.serving import RawAnswer

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from dialects import Dialect
    from reference_server.context import Context

__all__ = ["application"]

log = logging.getLogger("reference_server")
HEALTH = ("/health", "/v1/health")


def application(context: Context, root: str = "openai", *, with_control: bool = False) -> ASGIApp:
    """The whole server as an ASGI application; `root` names the dialect that is served without a prefix."""
    services = {name: _service(dialects.load(name), context) for name in dialects.known()}
    mounts: list[BaseRoute] = [Mount(f"/{name}", app=service) for name, service in services.items()]
    if with_control:
        mounts.insert(0, Mount("/__ref__", routes=control.routes(context)))
    return _Reception(Starlette(routes=[*mounts, Mount("/", app=services[root])]), context)


def _service(dialect: Dialect, context: Context) -> Starlette:
    """One dialect: its documented paths, and refusals in its own words for everything else."""
    catalog = Catalog(dialect, context.engine.models)
    chat = Chat(dialect, catalog, context)
    routes = [Route(path, chat.__call__, methods=["POST"]) for path in dialect.paths.chat]
    routes += [
        Route(path, partial(_models, chat), methods=["GET"]) for path in _variants(dialect, dialect.paths.models)
    ]
    routes += [Route(path, partial(_model, chat), methods=["GET"]) for path in _variants(dialect, _retrieve(dialect))]
    routes += [
        Route(path, partial(_health, context), methods=["GET"])
        for path in dict.fromkeys((dialect.paths.health or HEALTH[0], *HEALTH))
    ]
    refused = partial(_refused, dialect, context)
    handlers: dict[Any, Any] = dict.fromkeys((ApiError, HTTPException, ConnectionError), refused)
    service = Starlette(routes=routes, exception_handlers={**handlers, Exception: refused})
    service.router.redirect_slashes = False
    return service


def _variants(dialect: Dialect, path: str | None) -> tuple[str, ...]:
    """A path, and the same without /v1 where the dialect serves chat that way too."""
    if path is None:
        return ()
    bare = path.removeprefix("/v1")
    return tuple(dict.fromkeys((path, bare))) if "/chat/completions" in dialect.paths.chat else (path,)


def _retrieve(dialect: Dialect) -> str | None:
    path = dialect.paths.model
    return path.replace("{model}", "{model:path}") if path else None


async def _models(chat: Chat, request: Request) -> Response:
    chat.admit(request, request.scope["visit"])
    return JSONResponse(chat.context.alterations.apply("models", chat.catalog.listed()))


async def _model(chat: Chat, request: Request) -> Response:
    chat.admit(request, request.scope["visit"])
    return JSONResponse(chat.context.alterations.apply("models", chat.catalog.one(request.path_params["model"])))


async def _health(context: Context, _: Request) -> Response:
    context.engine.check()
    return JSONResponse(context.alterations.apply("health", {"status": "ok"}))


async def _refused(dialect: Dialect, context: Context, request: Request, error: Exception) -> Response:
    """Any failure in the dialect's words; what is our own fault says nothing about its inside."""
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    known = error if isinstance(error, ApiError) else _as_api_error(request, error)
    request.scope["visit"].cause = known.cause
    refusal = context.alterations.apply("refusal", refuse(dialect, known), known)
    return Response(refusal.encode(), refusal.status, {**refusal.headers, **headers})


def _as_api_error(request: Request, error: Exception) -> ApiError:
    path = request.scope["visit"].path
    if isinstance(error, HTTPException) and error.status_code == 405:  # noqa: PLR2004 - the status is its own name
        return ApiError("method_not_allowed", f"{request.method} is not allowed on {path}")
    if isinstance(error, HTTPException):
        return ApiError("unknown_path", f"There is nothing at {path}")
    log.error("%s %s failed", request.method, path, exc_info=error)
    return ApiError("internal", "Internal error; it has been logged")


class _Reception:
    """Meets every request: writes it into the journal and puts the request id and the limits on its answer."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        visit = scope["visit"] = Visit(scope["method"], scope["path"])
        alterations = self._context.alterations
        if scope["path"].startswith("/__ref__"):
            alterations = Alterations()  # what steers the server stays sound
        else:
            self._context.journal.add(visit)
        raw = RawAnswer(send, scope) if alterations.any("bytes") else None

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
                added = {"x-request-id": visit.id, **visit.headers}
                pairs = [*message["headers"], *((k.lower().encode(), v.encode()) for k, v in added.items())]
                message["headers"] = alterations.apply("headers", pairs, scope)
            await (send if raw is None else raw.take)(message)

        await self._app(scope, receive, marked)
        if raw is not None:
            raw.write(lambda answer: alterations.apply("bytes", answer, scope))
