"""Kinds of engine: what the file says of each, and how a replica of it is run or reached.

A new kind is one file here and one name in `EngineSection`.

Owns: the registry of kinds; what the gateway must know of a replica before it can talk to it.
Must not: connect, start or stop anything; import `gateway`.
"""

from typing import Annotated, TypeAlias

from pydantic import Field

from engines.kinds.address import ReplicaAddress
from engines.kinds.deadlines import Deadlines
from engines.kinds.llamacpp import LlamacppEngine
from engines.kinds.plan import Absent, AdapterOrder, Launch, ModelOrder, ReplicaPlan, Room
from engines.kinds.remote import RemoteEngine
from engines.kinds.vllm import VllmEngine

EngineSection: TypeAlias = Annotated[
    LlamacppEngine | VllmEngine | RemoteEngine, Field(discriminator="kind")
]

__all__ = [
    "Absent",
    "AdapterOrder",
    "Deadlines",
    "EngineSection",
    "Launch",
    "LlamacppEngine",
    "ModelOrder",
    "RemoteEngine",
    "ReplicaAddress",
    "ReplicaPlan",
    "Room",
    "VllmEngine",
]
