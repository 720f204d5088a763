"""The control plane under /__ref__/: what was seen, what was counted, refusals to order, faults to switch on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reference_server import faults, vary
from reference_server.alterations import Alterations
from reference_server.context import Demand
from reference_server.errors import ApiError
from reference_server.strict_json import read_object
from reference_server.witness import Witness

if TYPE_CHECKING:
    from starlette.requests import Request

    from reference_server.context import Context

__all__ = ["routes"]

USAGE = (
    'give {"cause": CAUSE, "times": N, "path": PATH}, {"names": [FAULT, ...]}, {"vary": [VARIATION, ...]}'
    ' or {"watch": true}'
)


def routes(context: Context) -> list[Route]:
    """The control plane's routes."""
    table = {"requests": _requests, "stats": _stats, "sessions/{session}": _session, "met": _met}
    reading = [Route(f"/{path}", partial(act, context), methods=["GET"]) for path, act in table.items()]
    writing = [("faults", _faults), ("reset", _reset)]
    return [*reading, *(Route(f"/{path}", partial(act, context), methods=["POST"]) for path, act in writing)]


async def _requests(context: Context, _: Request) -> Response:
    return JSONResponse({"requests": context.journal.visits()})


async def _stats(context: Context, _: Request) -> Response:
    names = ("requests", "generations", "finished", "abandoned")
    counted = {name: context.journal.counters[name] for name in names}
    return JSONResponse({**counted, "engine": await context.engine.load()})


async def _session(context: Context, request: Request) -> Response:
    return JSONResponse({"completions": context.sessions.of(request.path_params["session"])})


async def _met(context: Context, _: Request) -> Response:
    """The faults that would have changed an answer since this was last asked, after `watch`."""
    alterations = context.alterations
    return JSONResponse({"met": alterations.take() if isinstance(alterations, Witness) else []})


async def _faults(context: Context, request: Request) -> Response:
    try:
        _change(context, read_object(await request.body()))
    except (ApiError, KeyError, TypeError, ValueError) as error:
        return JSONResponse({"error": f"{str(error)[:200]}; {USAGE}"}, 400)
    return JSONResponse({"faults": [a.name for a in context.alterations.chosen], "demands": len(context.demands)})


def _change(context: Context, wish: dict[str, Any]) -> None:
    if "cause" in wish:
        context.demands.append(Demand(str(wish["cause"]), int(wish.get("times", 1)), wish.get("path")))
        return
    if wish.get("watch"):
        context.alterations = Witness(faults.FAULTS.all.values())
        return
    chosen = [faults.FAULTS.all[name] for name in wish.get("names", ())]
    context.alterations = Alterations([*chosen, *(vary.VARIATIONS.all[name] for name in wish.get("vary", ()))])


async def _reset(context: Context, _: Request) -> Response:
    context.journal.clear()
    context.demands.clear()
    context.alterations = Alterations()
    return JSONResponse({"ok": True})
