"""The endpoints that tell about the gateway itself.

Owns: `/v1/models`, `/health`, `/ready`, `/metrics`.
Must not: be on the path of a generation.
"""

from typing import Any

from fastapi import APIRouter, Request, Response

from gateway.api.models import list_models, one_model, readiness
from gateway.parts import Gateway

router = APIRouter()


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


@router.get("/v1/models", tags=["models"], summary="List models, aliases and auto.")
async def models(request: Request) -> dict[str, Any]:
    """Return what a client may ask for, with family, context, licence, languages and state."""
    return list_models(_gateway(request))


@router.get("/v1/models/{name:path}", tags=["models"], summary="One model.")
async def model(request: Request, name: str) -> dict[str, Any]:
    """Return one row of the list."""
    return one_model(_gateway(request), name)


@router.head("/health", include_in_schema=False)
@router.get("/health", tags=["operation"], summary="Whether the process lives.")
async def health() -> dict[str, str]:
    """Answer 200 as long as the process answers at all."""
    return {"status": "ok"}


@router.head("/ready", include_in_schema=False)
@router.get("/ready", tags=["operation"], summary="Whether any model can serve, and each state.")
async def ready(request: Request, response: Response) -> dict[str, Any]:
    """Answer 200 when at least one model serves, else 503; details only for those with the key."""
    told = readiness(_gateway(request))
    if told["status"] != "ready":
        response.status_code = 503
    return told if request.scope["weighbridge.trusted"] else {"status": told["status"]}


@router.get("/metrics", tags=["operation"], summary="Prometheus metrics.")
async def metrics(request: Request) -> Response:
    """Return everything in Prometheus's text format, the engines' own figures included."""
    gateway = _gateway(request)
    await gateway.carer.fetch_figures()
    return Response(
        gateway.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8"
    )
