"""The OpenAPI document: what every path takes and answers, from the types that do it.

Owns: the description of the product's API, the same wherever it runs.
Must not: know a configuration: anybody who reaches the gateway may read this.
"""

import functools
import json
from importlib.metadata import version
from typing import Any

import msgspec

from engines.protocol.errors import ErrorBody
from gateway.api.described import ANY, ASKED, GENERATING, PAGES, Page
from gateway.api.examples import EXAMPLES
from gateway.api.generation import GENERATION, GenerationRow
from gateway.errors import ApiError
from gateway.explanation import Explained, Prompt

TITLE = "Weighbridge"
SUMMARY = "One endpoint in front of many open-weight models."
_DESCRIPTION = (
    "OpenAI's API for every model behind this gateway. `model` is a model's name, an alias, `auto` "
    "or a variant of it (`auto:small`, `auto:large`, `auto:fast`); without it, `auto`. Fields that "
    "are not described here are passed on. Constraints on the model are given in headers or in "
    "`metadata`: `x-weighbridge-licence` or `weighbridge_licence`, and likewise `family`, "
    "`max-parameters` (`max_parameters`) and `min-context` (`min_context`). The place in the queue "
    "follows `x-weighbridge-priority`, else `priority` (lower is earlier), else `service_tier`. "
    "If the gateway has a key, send it as `Authorization: Bearer KEY`."
)
_REF = "#/components/schemas/{name}"
_OURS = {
    "x-weighbridge-model": "The model that answered.",
    "x-weighbridge-replica": "Its engine and replica.",
    "x-weighbridge-rule": "The rule that decided, or `name` or `alias`.",
    "x-weighbridge-language": "The language of the answer, where rules decided.",
    "x-weighbridge-task": "The task, where rules decided.",
    "x-weighbridge-size": "The size of the request, where rules decided.",
}


@functools.cache
def openapi_document() -> dict[str, Any]:
    """Return the whole document."""
    answers = [row.answer for row in GENERATION]
    events = [row.event for row in GENERATION if row.event is not None]
    told = [page.answer for page in PAGES if not isinstance(page.answer, str)]
    bodies = [*(row.body for row in GENERATION), Prompt]
    types = [*bodies, *answers, *events, *told, Explained, ErrorBody]
    _, schemas = msgspec.json.schema_components(dict.fromkeys(types), ref_template=_REF)
    paths = {row.path: {"post": _generation(row)} for row in GENERATION}
    paths["/v1/route"] = {"post": _route()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "summary": SUMMARY,
            "description": _DESCRIPTION,
            "version": version("weighbridge"),
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "tags": [
            {"name": "generation", "description": "Ask a model for something."},
            {"name": "gateway", "description": "Ask the gateway about itself."},
        ],
        "security": [{"key": []}, {}],
        "paths": paths | {page.path: {page.method: _page(page)} for page in PAGES},
        "components": {
            "schemas": schemas,
            "headers": _headers(),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The gateway's key, where it has one.",
                }
            },
        },
    }


@functools.cache
def openapi_json() -> bytes:
    """Return the document as JSON bytes."""
    return json.dumps(openapi_document(), ensure_ascii=False).encode()


def _generation(row: GenerationRow) -> dict[str, Any]:
    content = _json(row.answer)
    description = "The answer."
    if row.event is not None:
        content["text/event-stream"] = {"schema": _ref(row.event)}
        description = (
            "The answer. With `stream: true` an event stream: each event's data is one such "
            "object, the last is `[DONE]` (of responses `response.completed`, `.incomplete` or "
            "`.failed`); what fails in between is an event with an `error`."
        )
    return {
        "tags": ["generation"],
        "summary": row.summary,
        "operationId": row.operation or row.endpoint.value,
        "requestBody": _body(row.path, _ref(row.body)),
        "responses": {
            "200": {
                "description": description,
                "headers": {name: _header(name) for name in ("x-request-id", *_OURS)},
                "content": content,
            },
            **_errors(GENERATING),
        },
    }


def _route() -> dict[str, Any]:
    bodies = [_ref(Prompt), *(_ref(row.body) for row in GENERATION if not row.operation)]
    return {
        "tags": ["gateway"],
        "summary": "Where a request would go now, and why; nothing is sent.",
        "operationId": "route",
        "requestBody": _body("/v1/route", {"anyOf": bodies}),
        "responses": {
            "200": {
                "description": "The decision and its reasons.",
                "headers": {"x-request-id": _header("x-request-id")},
                "content": _json(Explained),
            },
            **_errors((*ASKED, *ANY)),
        },
    }


def _body(path: str, schema: dict[str, Any]) -> dict[str, Any]:
    examples = {name: {"summary": name, "value": value} for name, value in EXAMPLES[path].items()}
    content = {"application/json": {"schema": schema, "examples": examples}}
    return {"required": True, "content": content}


def _page(page: Page) -> dict[str, Any]:
    if isinstance(page.answer, str):
        schema = {"type": "object"} if page.answer == "application/json" else {"type": "string"}
        content: dict[str, Any] = {page.answer: {"schema": schema}}
    else:
        content = _json(page.answer)
    operation: dict[str, Any] = {
        "tags": ["gateway"],
        "summary": page.summary,
        "operationId": page.operation,
        "responses": {
            "200": {
                "description": "The answer.",
                "headers": {"x-request-id": _header("x-request-id")},
                "content": content,
            },
            **{
                str(status): {"description": text, "content": content}
                for status, text in page.other_statuses
            },
            **_errors(page.errors),
        },
    }
    if page.method == "post":
        nothing = {"schema": {"type": "object"}, "examples": {"nothing": {"value": {}}}}
        operation["requestBody"] = {"required": False, "content": {"application/json": nothing}}
    if not page.keyed:
        operation["security"] = [{}, {"key": []}]  # `/ready` tells more to those who have it
    if "{name}" in page.path:
        operation["parameters"] = [
            {
                "name": "name",
                "in": "path",
                "required": True,
                "description": "A model, an alias, `auto` or a variant of it; slashes are allowed.",
                "schema": {"type": "string"},
            }
        ]
    return operation


def _errors(errors: tuple[type[ApiError], ...]) -> dict[str, Any]:
    """Return a response for each status, in order, with the words of each class that has it."""
    told: dict[int, list[str]] = {}
    for error in errors:
        first = (error.__doc__ or "").partition("\n")[0]
        told.setdefault(error.status, []).append(first.rpartition(":")[0] + ".")
    return {
        str(status): {"description": " ".join(texts), "content": _json(ErrorBody)}
        for status, texts in sorted(told.items())
    }


def _headers() -> dict[str, Any]:
    texts = {"x-request-id": "Finds the request's line in the log."} | _OURS
    return {
        name: {"description": text, "schema": {"type": "string"}} for name, text in texts.items()
    }


def _header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def _json(kind: type[Any]) -> dict[str, Any]:
    return {"application/json": {"schema": _ref(kind)}}


def _ref(kind: type[Any]) -> dict[str, str]:
    return {"$ref": _REF.format(name=kind.__name__)}
