"""The application: endpoints, the one error renderer, middleware, and the life of it all.

Owns: composition. Must not: contain what is composed.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Scope

from gateway.api.generation import GENERATION, Generation, Shortcut
from gateway.api.openapi import TITLE
from gateway.api.pages import router
from gateway.discovery import Discovery
from gateway.middleware import Door, DoorRules, RequestIds
from gateway.parts import Live
from gateway.rendering import HANDLERS
from gateway.serving import Fronted

_log = logging.getLogger("weighbridge")
_OUR_HEADERS = (
    "x-request-id",
    "retry-after",  # by these two OpenAI's client decides whether to ask again, and when
    "x-should-retry",
    *(f"x-weighbridge-{what}" for what in ("model", "replica", "rule", "language", "task", "size")),
)


def build_app(
    live: Live, rules: DoorRules, beside: Callable[[], Coroutine[None, None, None]] | None = None
) -> ASGIApp:
    """Return the ASGI application; its lifespan runs the fleet, and `beside` for as long.

    What a request passes, outermost first: `RequestIds`, CORS where origins are allowed, `Door`,
    `Shortcut`, the endpoints.
    """
    return guarded(generation_of(live), living(live, beside), rules)


def living(live: Live, beside: Callable[[], Coroutine[None, None, None]] | None = None) -> FastAPI:
    """Return what answers the rest, with the lifespan of the gateway, and no door."""
    app = framework_of(live, _lifespan)
    app.state.beside = beside
    return app


def framework_of(
    live: Fronted, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None
) -> FastAPI:
    """Return what answers everything that is not asked often."""
    app = FastAPI(
        title=TITLE,
        lifespan=lifespan,
        # FastAPI's pages load scripts from elsewhere; ours is in `gateway.api.reference`.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # A redirect would name the scheme and the host that we see, not those of a proxy before us.
        redirect_slashes=False,
        exception_handlers=HANDLERS,
    )
    app.state.live = live
    app.include_router(router)
    for path, endpoint in generation_of(live).items():
        # It never gets a POST, but knows the path: another method is a 405.
        app.router.routes.append(Route(path, endpoint, methods=["POST"]))
    return app


def generation_of(live: Fronted) -> dict[str, ASGIApp]:
    """Return what answers the endpoints that ask a model, by their paths."""
    return {row.path: Generation(row, live) for row in GENERATION}


def guarded(quick: Mapping[str, ASGIApp], others: ASGIApp, rules: DoorRules) -> ASGIApp:
    """Return an application behind the door: POSTs to the paths of `quick`, and all others."""
    inner: ASGIApp = Door(Shortcut(quick, others), rules, _takes_body)
    if rules.origins:
        inner = CORSMiddleware(
            inner,
            allow_origins=sorted(rules.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=_OUR_HEADERS,
        )
    return RequestIds(inner)


def _takes_body(scope: Scope) -> bool:
    """Say whether a request with a body finds an endpoint here; else it gets a 404 or a 405."""
    if scope["method"] == "POST" and any(row.path == scope["path"] for row in GENERATION):
        return True
    return any(route.matches(scope)[0] is Match.FULL for route in router.routes)


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    live: Live = app.state.live
    gateway = live.gateway  # what is run and closed here lives on when the file changes
    discovery = Discovery(live, time.monotonic)
    await discovery.look()  # before the first request, who would find nobody
    tasks = [
        asyncio.create_task(gateway.carer.run(), name="fleet"),
        asyncio.create_task(discovery.run(), name="discovery"),
    ]
    if gateway.journal is not None:
        tasks.append(asyncio.create_task(gateway.journal.run(), name="journal"))
    if app.state.beside is not None:
        tasks.append(asyncio.create_task(app.state.beside(), name="reload"))
    for task in tasks:
        task.add_done_callback(_report)
    try:
        yield
    finally:
        await gateway.shadows.close()
        await gateway.uses.close()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        gateway.resident.close()
        gateway.client.close()


def _report(task: "asyncio.Task[None]") -> None:
    """Log what nobody expected: these tasks never end by themselves."""
    if not task.cancelled() and task.exception() is not None:
        _log.critical("the task '%s' has failed", task.get_name(), exc_info=task.exception())
