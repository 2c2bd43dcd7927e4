"""The states of a managed replica.

Owns: their names and meaning. Must not: change them; `engines.process.replica` does.
"""

from dataclasses import dataclass
from enum import StrEnum


class ReplicaState(StrEnum):
    """Where a child stands.

    | state | left by |
    |---|---|
    | starting | healthy -> ready; exit or too slow -> backing_off; exit 2, crashes -> failed |
    | ready | exit or deaf -> backing_off; cancellation -> draining |
    | backing_off | the pause ends -> starting; cancellation -> stopped |
    | draining | exit or killed -> stopped |
    | failed | nothing: another start would fail alike |
    | stopped | nothing |
    """

    STARTING = "starting"
    READY = "ready"
    BACKING_OFF = "backing_off"
    DRAINING = "draining"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """A replica at one moment; `reason` is for people and names no folder.

    `pid` is None while there is no process.
    """

    state: ReplicaState
    reason: str = ""
    restarts: int = 0
    pid: int | None = None
