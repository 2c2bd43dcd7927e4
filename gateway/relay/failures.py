"""What a failed exchange means: whose fault it was, and whether another engine may be asked.

Owns: the table. Must not: ask anybody.

| what happened | before the client got a byte | after |
|---|---|---|
| no connection | another; a child may be waited for: nothing was sent | |
| it is ending, and took nothing new | another; a child may be waited for | |
| the engine died | another, or it when it is back; what kills two may kill all | the same |
| we have no file left to open | the client gets a 503 | the end |
| 429, 5xx, or our key, URL or model name refused | another | |
| any other 4xx | the client gets it | |
| silence beyond a deadline | 504: it has cost enough time | another, or it when it is back |
| the total deadline | 504 | the end |
| an error or nonsense in the stream | another | another |
| a client's fault, told in the stream | the client gets it | the same |
"""

from dataclasses import dataclass

from gateway.domain import Outcome
from gateway.errors import (
    ApiError,
    ContinuationImpossible,
    EngineEnding,
    EngineFailed,
    EngineTimeout,
    RateLimited,
    RefusedMidway,
    TooManyConnections,
)
from gateway.relay.client import ConnectTimeout, NoFileLeft, Unreachable
from gateway.relay.connection import ConnectionLost
from gateway.relay.watch import DeadlinePassed, TotalPassed

# What an exchange may raise; anything else is a defect.
FAILURES = (Unreachable, ConnectionLost, DeadlinePassed, ApiError)

_UNREACHED = "The engine cannot be reached, and no other that may serve this request is up."
_NO_FILE = "The gateway has as many files open as the system lets it. Try again later."
_GONE = "The engine went away before the end of its answer."


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed exchange.

    `error` is what the client is told where nobody else can help. `final`: nobody else is asked.
    `unreached`: nothing was sent. `died`: the engine, or its stream, ended. `back`: the replica may
    serve the request yet, once it has been started again. `blamed`: the replica did it.
    """

    error: ApiError
    outcome: Outcome
    reason: str
    final: bool = False
    unreached: bool = False
    died: bool = False
    back: bool = False
    blamed: bool = True
    ends: bool = False


def failure_of(error: Exception, *, begun: bool) -> Failure:
    """Read what an exchange raised; `begun` says whether the client has got a byte."""
    said = str(error)
    match error:
        case Unreachable():
            failure = _unreached(error)
        case EngineEnding():
            failure = Failure(
                error, Outcome.UNAVAILABLE, said, unreached=True, back=True, ends=True
            )
        case ConnectionLost():
            gone = EngineFailed(_GONE)
            failure = Failure(gone, Outcome.ENGINE_ERROR, said, died=True, back=True)
        case DeadlinePassed():
            failure = _late(error, begun=begun)
        case ApiError(fault="client") if begun and not isinstance(error, RefusedMidway):
            gone = ContinuationImpossible(f"The engine that was to go on refused: {said}")
            failure = Failure(gone, Outcome.ENGINE_ERROR, said, final=True, blamed=False)
        case ApiError(fault="client"):
            failure = Failure(error, Outcome.CLIENT_ERROR, said, final=True, blamed=False)
        case RateLimited():
            failure = Failure(error, Outcome.OVERLOADED, said)
        case EngineTimeout():
            failure = Failure(error, Outcome.ENGINE_ERROR, said, final=not begun, blamed=False)
        case ApiError():
            failure = Failure(error, Outcome.ENGINE_ERROR, said, died=begun)
        case _:
            raise error
    return failure


def _unreached(error: Unreachable) -> Failure:
    if isinstance(error, NoFileLeft):
        full = TooManyConnections(_NO_FILE)
        return Failure(full, Outcome.UNAVAILABLE, str(error), final=True, blamed=False)
    gone, why = EngineFailed(_UNREACHED), f"cannot connect: {error}"
    return Failure(gone, Outcome.UNAVAILABLE, why, unreached=True, back=True)


def _late(error: DeadlinePassed, *, begun: bool) -> Failure:
    told = EngineTimeout(
        f"The engine gave {error}. Ask for less, or raise the model's {error.key} in routing.yaml."
    )
    if isinstance(error, ConnectTimeout):
        return Failure(told, Outcome.TIMEOUT, str(error), unreached=True)
    if isinstance(error, TotalPassed):
        return Failure(told, Outcome.TIMEOUT, str(error), final=True, blamed=False)
    return Failure(told, Outcome.TIMEOUT, str(error), final=not begun, died=True, back=begun)
