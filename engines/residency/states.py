"""Where a unit stands between the disk and its requests.

Owns: the states, the events, and which state follows from which.
Must not: know why anything happens.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Where a unit stands. What `occupies` counts against the budget.

    | state | means | occupies | left by |
    |---|---|---|---|
    | absent | its weights are not on this machine | no | pull -> pulling |
    | pulling | they are on their way | no | pulled -> stopped; broke -> failed |
    | stopped | on the disk | no | load -> loading; lost -> absent |
    | loading | its processes start | yes | loaded -> ready; broke, unload -> draining |
    | ready | takes requests | yes | unload -> draining; died -> loading |
    | draining | ends or dozes off | yes | ended -> stopped; slept -> sleeping; gave_up -> failed |
    | sleeping | gave its GPU memory up | yes | load -> loading; died, unload -> draining |
    | failed | did not load or come | no | load -> loading; pull -> pulling; lost -> absent |
    """

    ABSENT = "absent"
    PULLING = "pulling"
    STOPPED = "stopped"
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    SLEEPING = "sleeping"
    FAILED = "failed"

    @property
    def occupies(self) -> bool:
        """Whether its memory counts: also of what only begins, or has not quite ended."""
        return self in (State.LOADING, State.READY, State.DRAINING, State.SLEEPING)


class Event(StrEnum):
    """What happens to a unit."""

    PULL = "pull"
    PULLED = "pulled"
    LOAD = "load"
    LOADED = "loaded"
    BROKE = "broke"
    DIED = "died"
    UNLOAD = "unload"
    SLEPT = "slept"
    ENDED = "ended"
    GAVE_UP = "gave_up"
    LOST = "lost"


class WrongTurn(Exception):
    """An event that cannot happen in the state: a defect of the caller."""


_TURNS: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        (State.ABSENT, Event.PULL): State.PULLING,
        (State.PULLING, Event.PULLED): State.STOPPED,
        (State.PULLING, Event.BROKE): State.FAILED,
        (State.STOPPED, Event.LOAD): State.LOADING,
        (State.STOPPED, Event.LOST): State.ABSENT,
        (State.LOADING, Event.LOADED): State.READY,
        (State.LOADING, Event.BROKE): State.DRAINING,
        (State.LOADING, Event.UNLOAD): State.DRAINING,
        (State.READY, Event.UNLOAD): State.DRAINING,
        (State.READY, Event.DIED): State.LOADING,
        (State.DRAINING, Event.ENDED): State.STOPPED,
        (State.DRAINING, Event.SLEPT): State.SLEEPING,
        (State.DRAINING, Event.GAVE_UP): State.FAILED,
        (State.SLEEPING, Event.LOAD): State.LOADING,
        (State.SLEEPING, Event.DIED): State.DRAINING,
        (State.SLEEPING, Event.UNLOAD): State.DRAINING,
        (State.FAILED, Event.LOAD): State.LOADING,
        (State.FAILED, Event.PULL): State.PULLING,
        (State.FAILED, Event.LOST): State.ABSENT,
    }
)


def step(state: State, event: Event) -> State:
    """Return the state that follows.

    Raises:
        WrongTurn: the event cannot happen in this state.
    """
    following = _TURNS.get((state, event))
    if following is None:
        raise WrongTurn(f"{event} cannot happen to what is {state}")
    return following
