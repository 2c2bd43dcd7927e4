"""The OpenAPI document: FastAPI's own, plus the endpoints that are plain ASGI.

Owns: how a row of `GENERATION` is described.
Must not: describe what a row does not say.
"""

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from engines.protocol.errors import ErrorBody
from gateway.api.generation import GENERATION, GenerationRow

_REF = "#/components/schemas/{name}"


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Return the whole document; FastAPI asks once and keeps it."""
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    types = [row.body for row in GENERATION]
    _, schemas = msgspec.json.schema_components([*types, ErrorBody], ref_template=_REF)
    document.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
    for row in GENERATION:
        document["paths"][row.path] = {"post": _operation(row)}
    return document


def _operation(row: GenerationRow) -> dict[str, Any]:
    return {
        "tags": ["models"],
        "summary": row.summary,
        "operationId": row.endpoint.value,
        "requestBody": {"required": True, "content": _json(row.body.__name__)},
        "responses": {
            "200": {
                "description": "The answer; an event stream when `stream` is true.",
                "content": {"application/json": {}, "text/event-stream": {}},
            },
            "default": {"description": "An error.", "content": _json("ErrorBody")},
        },
    }


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": _REF.format(name=schema)}}}
