"""Kinds of engine and how a replica of each is reached.

Owns: what the gateway must know of a replica before it can talk to it.
Must not: connect, start or stop anything; import `gateway`.
"""

from engines.kinds.address import ReplicaAddress

__all__ = ["ReplicaAddress"]
