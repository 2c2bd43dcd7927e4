"""The worker's HTTP: OpenAI's endpoints, tokens, health, metrics.

Owns: the table of endpoints, what a worker tells of itself, the end of a request whose client has
gone.
Must not: evaluate, or know what a prompt means.
"""

from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from engines.asgi import BodyTooLong, ClientGone, Departure, read_body
from engines.llamacpp.answering import (
    EMBEDDING,
    RERANK,
    SCORE,
    Answer,
    Asked,
    chat,
    completion,
    detokenize,
    reading,
    tokenize,
)
from engines.llamacpp.beginnings import Draining
from engines.llamacpp.model import Model
from engines.llamacpp.reading import Reader
from engines.llamacpp.scrape import exposition
from engines.llamacpp.sending import json_response
from engines.llamacpp.work import EngineFailure, Worker
from engines.protocol.errors import ApiError, InvalidRequest, MethodNotAllowed, NotFound

_MAX_BODY_BYTES = 64 * 1024 * 1024


class _Endpoint:
    """A POST endpoint as plain ASGI: body, cancellation, errors."""

    def __init__(self, worker: Worker, answer: Answer) -> None:
        self._worker = worker
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, unless the client goes away first."""
        use = self._worker.uses.open(scope)
        try:
            async with self._worker.beginnings.one() as begun:
                body = await read_body(scope, receive, _MAX_BODY_BYTES)
                if self._worker.draining:
                    raise Draining("This engine is shutting down.")
                with Departure(scope, receive):
                    await self._answer(self._worker, Asked(body, send, use, begun))
        except ClientGone:
            return
        except BodyTooLong:
            raise InvalidRequest("The body is too large.", code="body_too_large") from None
        finally:
            use.close()


def build_app(worker: Worker) -> Starlette:
    """Return the worker's application."""
    posts: dict[str, Answer] = {
        "/v1/chat/completions": chat,
        "/v1/completions": completion,
        "/v1/embeddings": reading(EMBEDDING, Reader.embed),
        "/v1/rerank": reading(RERANK, Reader.rerank),
        "/v1/score": reading(SCORE, Reader.score),
        "/tokenize": tokenize,
        "/detokenize": detokenize,
    }
    gets = {
        "/v1/models": _models,
        "/v1/models/{name:path}": _model,
        "/health": _health,
        "/metrics": _metrics,
        "/uses/{name}": _use,
    }
    routes = [Route(path, _Endpoint(worker, f), methods=["POST"]) for path, f in posts.items()]
    routes += [Route(path, partial(f, worker), methods=["GET"]) for path, f in gets.items()]
    errors = dict.fromkeys((ApiError, HTTPException, Exception), _error)
    return Starlette(routes=routes, exception_handlers=errors)


async def _models(worker: Worker, _request: Request) -> Response:
    rows = [_row(worker, name) for name in worker.model.names]
    return json_response({"object": "list", "data": rows})


async def _model(worker: Worker, request: Request) -> Response:
    return json_response(_row(worker, worker.model.served(request.path_params["name"])))


def _row(worker: Worker, name: str) -> dict[str, Any]:
    model = worker.model
    return {
        "id": name,
        "object": "model",
        "created": worker.created_s,
        "owned_by": "weighbridge",
        # As vLLM tells of an adapter.
        "parent": None if name == model.name else model.name,
        "max_model_len": model.context,
        "capabilities": _capabilities(model, name),
        "devices": model.devices.names,
        "gpu_layers": model.devices.gpu_layers,
        "tells_uses": True,
    }


def _capabilities(model: Model, name: str) -> list[str]:
    """Return what a name can be asked for; an adapter changes what is generated alone."""
    abilities, whole = model.abilities, name == model.name
    able = {
        "generation": abilities.generates,
        "embeddings": abilities.embeds and whole,
        "reranking": abilities.reranks and whole,
        "vision": model.sight is not None,
    }
    return [what for what, is_able in able.items() if is_able]


async def _health(worker: Worker, _request: Request) -> Response:
    if worker.draining:
        return json_response({"status": "draining"}, 503)
    return json_response({"status": "ready"})


async def _use(worker: Worker, request: Request) -> Response:
    told = await worker.uses.told(request.path_params["name"].encode())
    return Response(told, media_type="application/json")


async def _metrics(worker: Worker, _request: Request) -> Response:
    return Response(exposition(worker.batcher.counts), media_type="text/plain; version=0.0.4")


async def _error(request: Request, error: Exception) -> Response:
    headers: dict[str, str] = {}
    if isinstance(error, HTTPException):
        headers.update(error.headers or {})  # Allow, on a 405
        there = error.status_code == MethodNotAllowed.status
        error = (
            MethodNotAllowed(f"{request.method} is not allowed here.")
            if there
            else NotFound("There is no such endpoint.")
        )
    if not isinstance(error, ApiError):  # it is raised again, and so logged
        error = EngineFailure(f"The engine failed: {type(error).__name__}; its log says more.")
    if error.retry_after_s is not None:
        headers["retry-after"] = f"{error.retry_after_s:.0f}"
    return Response(error.body(), error.status, headers, media_type="application/json")
