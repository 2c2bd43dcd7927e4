"""What the OpenAPI document says beyond types: errors, and the pages about the gateway.

Owns: which errors a path may answer with; the table of pages.
Must not: know how the document is written.
"""

from dataclasses import dataclass

import msgspec

from gateway.api.models import Health, ModelList, ModelRow, Readiness
from gateway.errors import (
    ApiError,
    BodyTooLarge,
    CapabilityMissing,
    ConstraintsUnmet,
    ContextLengthExceeded,
    EngineFailed,
    EngineTimeout,
    Forbidden,
    GatewayStopping,
    HeadTooLarge,
    InternalError,
    InvalidRequest,
    ModelBusy,
    ModelNotFound,
    NoModelAvailable,
    NotAuthenticated,
    NotOnDemand,
    RateLimited,
    RequestTimeout,
    UnsupportedMediaType,
)

_REFUSED_AT_THE_DOOR = (NotAuthenticated, Forbidden)
_SLOW_OR_LARGE = (HeadTooLarge, RequestTimeout)
ANY = (*_REFUSED_AT_THE_DOOR, *_SLOW_OR_LARGE, InternalError)
ASKED = (
    InvalidRequest,
    ContextLengthExceeded,
    CapabilityMissing,
    ConstraintsUnmet,
    ModelNotFound,
    BodyTooLarge,
    UnsupportedMediaType,
)
GENERATING = (
    *ASKED,
    *ANY,
    RateLimited,
    EngineFailed,
    NoModelAvailable,
    ModelBusy,
    GatewayStopping,
    EngineTimeout,
)
_OPEN = (Forbidden, *_SLOW_OR_LARGE, InternalError)


@dataclass(frozen=True, slots=True)
class Page:
    """A path that tells about the gateway: an answer of a type, or text of a media type."""

    path: str
    operation: str
    summary: str
    answer: type[msgspec.Struct] | str
    errors: tuple[type[ApiError], ...]
    keyed: bool = True
    other_statuses: tuple[tuple[int, str], ...] = ()
    method: str = "get"


_BY_HAND = (InvalidRequest, *ANY, ModelNotFound, NotOnDemand, UnsupportedMediaType)
PAGES = (
    Page("/v1/models", "models", "List models, aliases and auto.", ModelList, ANY),
    Page("/v1/models/{name}", "model", "One model.", ModelRow, (*ANY, ModelNotFound)),
    Page(
        "/v1/models/{name}/load",
        "load",
        "Load a model, as a request for it would; answers when it is loaded.",
        ModelRow,
        (*_BY_HAND, NoModelAvailable, ModelBusy),
        method="post",
    ),
    Page(
        "/v1/models/{name}/unload",
        "unload",
        "Unload a model when its running requests have ended; answers when it is done.",
        ModelRow,
        _BY_HAND,
        method="post",
    ),
    Page("/health", "health", "Whether the process lives.", Health, _OPEN, keyed=False),
    Page(
        "/ready",
        "ready",
        "Whether any model can serve; with the key also the file's and each model's state.",
        Readiness,
        _OPEN,
        keyed=False,
        other_statuses=((503, "No model can serve."),),
    ),
    Page("/metrics", "metrics", "Prometheus metrics.", "text/plain", ANY),
    Page("/docs", "docs", "This description as a page.", "text/html", _OPEN, keyed=False),
    Page("/openapi.json", "openapi", "This description.", "application/json", _OPEN, keyed=False),
)
