"""The fleet: every replica of every model, how it is doing, who holds it.

Owns: conditions, in-flight counts, leases, the tasks that look after replicas.
Must not: know what a request says, choose between models (`gateway.selection` does), relay.
"""

from gateway.fleet.fleet import Fleet
from gateway.fleet.replica import Condition, Lease, Replica, ReplicaView

__all__ = ["Condition", "Fleet", "Lease", "Replica", "ReplicaView"]
