"""The endpoints that tell about the gateway itself.

Owns: `/v1/models`, `/health`, `/ready`, `/metrics`, `/docs`, `/openapi.json`, and
`/v1/route`, which tells where a request would go; and by which models are loaded by hand.
Must not: be on the path of a generation; describe itself (`gateway.api.openapi` does).
"""

import asyncio

import msgspec
from fastapi import APIRouter, Request, Response

from engines.asgi import BodyTooLong, ClientGone, read_body
from gateway.api.models import (
    Health,
    Readiness,
    list_models,
    named_model,
    one_model,
    readiness,
)
from gateway.api.openapi import openapi_json
from gateway.api.reference import reference_page
from gateway.errors import BodyTooLarge
from gateway.explanation import read_request
from gateway.fleet.prefixes import beginnings_of
from gateway.observe.exposition import exposed
from gateway.parts import Gateway, Live
from gateway.serving import Front

router = APIRouter(include_in_schema=False)

# The page is one file: it loads nothing, and runs nothing.
_PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}


def _live(request: Request) -> Live:
    live: Live = request.app.state.live
    return live


def _gateway(request: Request) -> Gateway:
    return _live(request).gateway


def _json(told: msgspec.Struct, status: int = 200) -> Response:
    return Response(msgspec.json.encode(told), status, media_type="application/json")


@router.get("/v1/models")
async def models(request: Request) -> Response:
    """Return what a client may ask for, with family, context, licence, languages and state."""
    return _json(list_models(_gateway(request)))


@router.get("/v1/models/{name:path}")
async def model(request: Request, name: str) -> Response:
    """Return one row of the list."""
    return _json(one_model(_gateway(request), name))


@router.post("/v1/models/{name:path}/load")
async def load(request: Request, name: str) -> Response:
    """Load a model as a request for it would, and return its row when it is in memory."""
    gateway = _gateway(request)
    await gateway.by_hand.load(named_model(gateway, name))
    return _json(one_model(_gateway(request), name))


@router.post("/v1/models/{name:path}/unload")
async def unload(request: Request, name: str) -> Response:
    """Have a model leave memory when its requests have ended, and return its row then."""
    gateway = _gateway(request)
    await gateway.by_hand.unload(named_model(gateway, name))
    return _json(one_model(_gateway(request), name))


@router.head("/health")
@router.get("/health")
async def health() -> Response:
    """Answer 200 as long as the process answers at all."""
    return _json(Health())


@router.head("/ready")
@router.get("/ready")
async def ready(request: Request) -> Response:
    """Answer 200 when at least one model serves, else 503; details only for those with the key."""
    told = readiness(_live(request))
    status = 200 if told.status == "ready" else 503
    trusted = request.scope["weighbridge.trusted"]
    return _json(told if trusted else Readiness(status=told.status), status)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Return everything in Prometheus's text format, the engines' own figures included."""
    gateway = _gateway(request)
    await gateway.carer.fetch_figures()
    text = bytearray()
    for family in exposed(gateway.metrics.registry):
        text += family
        await asyncio.sleep(0)  # hundreds of models are megabytes: streams go on between two names
    return Response(bytes(text), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.post("/v1/route")
async def route(request: Request) -> Response:
    """Return where a request would go now, and why, without sending it."""
    gateway: Front = request.app.state.live.gateway
    limit_bytes = gateway.config.file.gateway.body_limit_bytes
    try:
        body = await read_body(request.scope, request.receive, limit_bytes)
    except ClientGone:
        return Response()
    except BodyTooLong:
        raise BodyTooLarge.beyond(limit_bytes) from None
    endpoint, asked = read_request(body)
    explained = gateway.explainer.explain(
        endpoint,
        asked,
        headers=tuple(request.scope["headers"]),
        status=gateway.fleet.status(),
        seen=gateway.prefixes.seen(beginnings_of(asked)),
    )
    return _json(explained.whole())


@router.get("/openapi.json")
async def openapi() -> Response:
    """Return the description of this API; it is the same wherever the product runs."""
    return Response(openapi_json(), media_type="application/json")


@router.get("/docs")
async def docs() -> Response:
    """Return the same description as a page for people."""
    return Response(reference_page(), media_type="text/html; charset=utf-8", headers=_PAGE_HEADERS)
