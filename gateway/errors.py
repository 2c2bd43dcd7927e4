"""Every error that the gateway can answer with, one class per cause.

Owns: HTTP status, OpenAI's `type` and `code`, whose fault it was, and the words.
Must not: render or log; `gateway.rendering` has the one renderer.

    ApiError
    +-- InvalidRequest 400 ......... client: the body is wrong
    |   +-- ContextLengthExceeded .. client: prompt and answer do not fit
    |   +-- CapabilityMissing ...... client: the model cannot do this
    |   +-- ConstraintsUnmet ....... client: it demands what no model here has
    |   +-- RefusedMidway .......... client: the engine found out in the middle of its answer
    +-- NotAuthenticated 401 ....... client: no key, or a wrong one
    +-- Forbidden 403 .............. client: foreign Host or Origin
    +-- NotFound 404
    |   +-- ModelNotFound .......... client: nobody configured this name
    +-- MethodNotAllowed 405
    +-- RequestTimeout 408 ......... client: it sent too slowly
    +-- NotOnDemand 409 ............ client: the model does not come and go
    +-- BodyTooLarge 413
    +-- UnsupportedMediaType 415
    +-- HeadTooLarge 431 ........... client: the path and the headers
    +-- RateLimited 429 ............ engine: it has no room
    +-- InternalError 500 .......... gateway: a defect of ours
    +-- EngineFailed 502 ........... engine: died, or answered nonsense
    |   +-- ContinuationImpossible . engine: it broke, and no other can go on exactly
    +-- NoModelAvailable 503 ....... engine: nothing that may serve is up
    +-- EngineEnding 503 ........... engine: it was told to end, and takes nothing new
    +-- ModelBusy 503 .............. gateway: no place at the model, nor in its queue
    +-- TooManyConnections 503 ..... gateway: as many as it takes are open
    +-- GatewayStopping 503 ........ gateway: it ends, another one may serve
    +-- EngineTimeout 504 .......... engine: too slow
"""

from engines.protocol.errors import (
    ApiError,
    ContextLengthExceeded,
    Forbidden,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    UnsupportedMediaType,
)

__all__ = [
    "ApiError",
    "BodyTooLarge",
    "CapabilityMissing",
    "ConstraintsUnmet",
    "ContextLengthExceeded",
    "ContinuationImpossible",
    "EngineEnding",
    "EngineFailed",
    "EngineTimeout",
    "Forbidden",
    "GatewayStopping",
    "HeadTooLarge",
    "InternalError",
    "InvalidRequest",
    "MethodNotAllowed",
    "ModelBusy",
    "ModelNotFound",
    "NoModelAvailable",
    "NotAuthenticated",
    "NotFound",
    "NotOnDemand",
    "RateLimited",
    "RefusedMidway",
    "RequestTimeout",
    "TooManyConnections",
    "UnsupportedMediaType",
]


class CapabilityMissing(InvalidRequest):
    """The model is there but cannot do what is asked: 400."""

    default_code = "unsupported_capability"


class ConstraintsUnmet(InvalidRequest):
    """No model meets the constraints of the request: 400."""

    default_code = "no_model_meets_constraints"


class RefusedMidway(InvalidRequest):
    """What an answer must keep to turned out to be impossible behind its first words: 400."""


class NotAuthenticated(ApiError):
    """No key, or a wrong one: 401."""

    status = 401
    type = "invalid_request_error"
    default_code = "invalid_api_key"
    fault = "client"


class ModelNotFound(NotFound):
    """Nobody configured a model of this name: 404 `model_not_found`."""

    default_code = "model_not_found"

    def __init__(self, name: str, suggestions: tuple[str, ...] = ()) -> None:
        """Say which name was asked for and which ones would do; `what` is that alone."""
        shown = name if len(name) <= 80 else name[:77] + "..."
        hint = f" Did you mean {' or '.join(map(repr, suggestions))}?" if suggestions else ""
        self.what = f"The model {shown!r} is not served here.{hint}"
        super().__init__(f"{self.what} GET /v1/models lists what is.", param="model")


class RequestTimeout(ApiError):
    """The client has begun a request and did not send the rest of it in time: 408."""

    status = 408
    type = "invalid_request_error"
    default_code = "request_timeout"
    fault = "client"


class NotOnDemand(ApiError):
    """The model cannot be loaded or unloaded by hand: 409."""

    status = 409
    type = "invalid_request_error"
    default_code = "not_on_demand"
    fault = "client"


class BodyTooLarge(ApiError):
    """The body is beyond the configured limit: 413."""

    status = 413
    type = "invalid_request_error"
    default_code = "body_too_large"
    fault = "client"

    @classmethod
    def beyond(cls, limit_bytes: int) -> "BodyTooLarge":
        """Say what the limit is, and which key raises it."""
        return cls(
            f"The body is larger than {limit_bytes} bytes. Send less, or raise "
            "gateway.body_limit_bytes in routing.yaml."
        )


class HeadTooLarge(ApiError):
    """The path and the headers together are beyond what the gateway reads: 431."""

    status = 431
    type = "invalid_request_error"
    default_code = "headers_too_large"
    fault = "client"


class RateLimited(ApiError):
    """The engine takes no more requests now: 429."""

    status = 429
    type = "rate_limit_error"
    default_code = "rate_limited"
    fault = "engine"


class InternalError(ApiError):
    """A defect of the gateway: 500, with nothing of its inside."""

    status = 500
    default_code = "internal_error"


class EngineFailed(ApiError):
    """The engine died under the request or answered what nobody can read: 502."""

    status = 502
    default_code = "engine_error"
    fault = "engine"


class ContinuationImpossible(EngineFailed):
    """An engine broke in the middle of its answer, and no other can go on with it exactly: 502."""

    default_code = "continuation_impossible"


class NoModelAvailable(ApiError):
    """Every model that may serve the request is down: 503."""

    status = 503
    default_code = "model_unavailable"
    fault = "engine"


class EngineEnding(ApiError):
    """The engine was told to end: what runs goes on, nothing new begins: 503."""

    status = 503
    default_code = "engine_ending"
    fault = "engine"


class ModelBusy(ApiError):
    """As many requests as the model may have run, and there is no place to wait in time: 503."""

    status = 503
    default_code = "model_busy"


class TooManyConnections(ApiError):
    """As many connections as the gateway takes are open: 503."""

    status = 503
    default_code = "too_many_connections"


class GatewayStopping(ApiError):
    """The gateway was told to end, and the drain time is over: 503."""

    status = 503
    default_code = "gateway_stopping"

    def __init__(self) -> None:
        """Say so; there is nothing else to say."""
        super().__init__("The gateway is shutting down. Try again.")


class EngineTimeout(ApiError):
    """The engine gave no answer, or no more of it, in time: 504."""

    status = 504
    default_code = "engine_timeout"
    fault = "engine"
