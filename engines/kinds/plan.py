"""From what the file says of a model to the replicas that an engine offers for it.

Owns: the plain values between configuration and a running fleet.
Must not: start, connect or look at anything.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engines.kinds.address import ReplicaAddress
from engines.kinds.deadlines import Deadlines
from engines.kinds.lookup import Found, Lookup
from engines.weights import Pooling


@dataclass(frozen=True, slots=True)
class AdapterOrder:
    """What the file says of a LoRA adapter that is served beside its model."""

    name: str
    weights: str
    scale: float


@dataclass(frozen=True, slots=True)
class ModelOrder:
    """What the file says of one model, for one of its engines to plan with.

    `base` is the folder at which relative `weights` start. None means: the file does not say.
    `devices` are the GPUs that each replica was given, where the file leaves that open.
    """

    name: str
    engine: str
    base: Path
    weights: str | None = None
    mmproj: str | None = None
    upstream_model: str | None = None
    replicas: int = 1
    context: int | None = None
    parallel: int | None = None
    threads: int | None = None
    embeddings: bool | None = None
    pooling: Pooling | None = None
    adapters: tuple[AdapterOrder, ...] = ()
    catalogue: str | None = None
    devices: tuple[tuple[int, ...], ...] = ()

    def gpus(self, index: int, own: tuple[int | str, ...] | None) -> tuple[int | str, ...] | None:
        """Return the GPUs that a replica sees, None for all: the engine's `own`, or those given."""
        return self.devices[index] if own is None and index < len(self.devices) else own


@dataclass(frozen=True, slots=True)
class Room:
    """What the machine lends: a private folder for sockets and threads for one replica.

    Replicas of two `generation`s share no socket: one may still end where the next begins. `found`
    is what names in DNS stand for.
    """

    runtime_folder: Path
    threads: int = 1
    generation: int = 0
    found: Mapping[Lookup, Found] = field(default_factory=dict)

    def socket_path(self, order: ModelOrder, index: int) -> Path:
        """Return the socket of a replica: the same each time, and short, as its path must be."""
        names = "\0".join((order.engine, order.name, str(self.generation)))
        short = hashlib.blake2s(names.encode(), digest_size=6).hexdigest()
        return self.runtime_folder / f"{short}.{index}"


@dataclass(frozen=True, slots=True)
class Launch:
    """How a child process is started and ended.

    `environment` is added to the gateway's own, less the variables whose values are `secrets`.
    `measurable`: its memory is that of its children, not of a container elsewhere.
    """

    argv: tuple[str, ...]
    socket_path: Path | None
    start_timeout_s: float
    drain_timeout_s: float
    environment: tuple[tuple[str, str], ...] = ()
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    measurable: bool = True


@dataclass(frozen=True, slots=True)
class Absent:
    """Weights that lie on a hub or behind a URL and not here, and what their engine takes."""

    weights: str
    format: Literal["gguf", "safetensors"]


@dataclass(frozen=True, slots=True)
class ReplicaPlan:
    """One replica of one model: where it listens, how it is looked after, how patient to be.

    `upstream_model` is the name that the engine knows the model by; it knows `adapters`, which it
    serves beside the model, by their own. `health_path` and `metrics_path` are whole paths at the
    address, as is `tokenize_path`; under `uses_path` a worker of ours tells what came of a request.
    `capacity` is how many requests run at once, None where nobody knows. `exact_seams`: it goes on
    with a begun answer from exactly that text. A stream that breaks may wait for it for
    `continue_wait_s`, or 0 where it is to end. Without a `launch` it runs elsewhere. A request's
    `priority` is for the gateway alone, unless the engine `takes_priority` too. With a `problem` it
    can never serve, and this says why; `absent` are weights that have not been pulled yet.
    `warm_up` is a system prompt that it reads after each start, before its first request. One that
    `sleeps` can give its GPU memory up and stay.
    """

    model: str
    engine: str
    replica: str
    address: ReplicaAddress
    upstream_model: str
    health_path: str
    health_interval_s: float
    metrics_path: str | None = None
    tokenize_path: str | None = None
    uses_path: str | None = None
    deadlines: Deadlines = field(default_factory=Deadlines)
    capacity: int | None = None
    launch: Launch | None = None
    problem: str | None = None
    absent: Absent | None = None
    adapters: tuple[str, ...] = ()
    exact_seams: bool = False
    continue_wait_s: float = 0
    takes_priority: bool = False
    warm_up: str | None = None
    sleeps: bool = False

    @property
    def served(self) -> tuple[str, ...]:
        """The names that clients ask for: the model's and its adapters'."""
        return (self.model, *self.adapters)

    def upstream_name(self, name: str) -> str:
        """Return what the engine calls one of those that are served."""
        return self.upstream_model if name == self.model else name
