"""What the file says of units: which models they are, and how each is to be treated.

Owns: plain values between the configuration and `gateway.fleet.resident`.
Must not: load, wait or decide anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from engines.residency import Rules, Unit


@dataclass(frozen=True, slots=True)
class Residence:
    """One unit: the models of ours that are loaded together, each with the adapters beside it.

    `at_start`: it is loaded when the gateway starts, where there is room. `mark` names what its
    processes are, the same for the same weights and settings: how long a load took is remembered
    under it.
    """

    unit: Unit
    models: tuple[str, ...]
    at_start: bool = True
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Residing:
    """All units of a file, and the rules. Without units everything is loaded all the time.

    `most_waiting` is how many requests may wait for the load of a model, where it is not 1,024.
    """

    rules: Rules = field(default_factory=Rules)
    residences: tuple[Residence, ...] = ()
    wait_s: float = 600.0
    heartbeat_after_s: float = 5.0
    most_waiting: Mapping[str, int] = field(default_factory=dict)
