"""Child processes: started, watched, started again, ended.

Owns: the life of one child and its states.
Must not: know what the child is; import `gateway`.
"""

from engines.process.replica import ManagedReplica, child_environment, kill_group
from engines.process.state import ReplicaState, ReplicaStatus

__all__ = [
    "ManagedReplica",
    "ReplicaState",
    "ReplicaStatus",
    "child_environment",
    "kill_group",
]
