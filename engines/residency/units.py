"""What the planner is told of units, and what it answers.

Owns: these values. Must not: decide.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from engines.residency.states import State


@dataclass(frozen=True, slots=True)
class Rules:
    """`budget` is bytes by device; a device that is not in it has no limit.

    Once a request has waited for `swap_bound_s`, no younger one is admitted to what is in its way.
    """

    budget: Mapping[str, int] = field(default_factory=dict)
    swap_bound_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Unit:
    """A model, or several that live together: loaded and unloaded as one.

    `needs` is bytes by device. It stays for `min_resident_s` after a load, unless a request in
    whose way it is has waited for the bound; idle for `keep_alive_s` it leaves (None: it stays
    until its room is needed). It is never in memory together with one that it `excludes`. What is
    `pinned` never leaves. `measured`: the needs go by what its processes took before. One that can
    sleep takes `asleep` then, by device; None: it cannot.
    """

    name: str
    needs: Mapping[str, int] = field(default_factory=dict)
    pinned: bool = False
    keep_alive_s: float | None = None
    min_resident_s: float = 0.0
    excludes: frozenset[str] = frozenset()
    measured: bool = False
    asleep: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a unit is doing at one moment.

    It is in its state since `since_s`. `running` requests have been admitted and are not over;
    `waiting` says since when each of the others waits, the oldest first. `load_s` is how long a
    load takes, as far as anybody knows. What has failed is not loaded before `rests_until_s`.
    `wanted`: to be loaded where there is room although nobody asks. `held`: the last plan held it.
    `absent`: its weights have to be pulled first. `drowsy`: what drains will sleep, not end;
    `dormant`: it ends out of its sleep.
    """

    state: State = State.STOPPED
    since_s: float = 0.0
    last_used_s: float = 0.0
    running: int = 0
    waiting: tuple[float, ...] = ()
    load_s: float = 30.0
    rests_until_s: float = -math.inf
    wanted: bool = False
    held: bool = False
    absent: bool = False
    drowsy: bool = False
    dormant: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done now, and when to look again at the latest, if nothing happens before.

    `load` also means to wake; what is to `sleep` gives its memory up but for what it keeps. To a
    unit that is on `hold` only those are admitted who have waited since before the time given.
    """

    load: tuple[str, ...] = ()
    unload: tuple[str, ...] = ()
    sleep: tuple[str, ...] = ()
    pull: tuple[str, ...] = ()
    hold: Mapping[str, float] = field(default_factory=dict)
    look_at_s: float = math.inf
