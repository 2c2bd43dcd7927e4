"""What one configuration comes to before anything runs.

Owns: the decisions that can be made on any thread: replicas, who is loaded, who may serve what.
Must not: start anything, or hold what lives on when the file changes (`gateway.parts` does).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engines.kinds import ReplicaPlan, Room
from engines.kinds.lookup import Found, Lookup
from gateway.config.loading import LoadedConfig, Placing
from gateway.deciding import Decider, decider_of
from gateway.domain import ModelFacts
from gateway.fleet.difference import moulds_of
from gateway.fleet.residence import Residing
from gateway.placing import placed
from gateway.planning import plans_in, plans_of
from gateway.residing import residing_of
from gateway.selection import Selector


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What one file comes to before anything runs; it may be made on any thread.

    `moulds` tell whether a replica that runs is one of those that the file asks for.
    """

    config: LoadedConfig
    facts: Mapping[str, ModelFacts]
    selector: Selector
    decider: Decider
    plans: tuple[ReplicaPlan, ...]
    residing: Residing
    moulds: Mapping[str, ReplicaPlan]


def blueprint_of(
    config: LoadedConfig,
    facts: Mapping[str, ModelFacts],
    *,
    runtime_folder: Path,
    cores: int,
    generation: int = 0,
    found: Mapping[Lookup, Found] | None = None,
    cache: Path | None = None,
    before: Placing | None = None,
) -> Blueprint:
    """Decide what a file asks for.

    `runtime_folder` holds the engines' sockets; `cores` are shared out among managed replicas;
    every file that a gateway serves is another `generation`; `found` is what names in DNS stand
    for. What was learnt lies in `cache`. `before` are the GPUs that those have who run.
    """
    config = placed(config, before)
    file, places = config.file, found or {}
    selector = Selector(file, facts)
    plans = tuple(plans_of(config, runtime_folder, cores, generation, places))
    return Blueprint(
        config=config,
        facts=facts,
        selector=selector,
        decider=decider_of(file, facts, selector),
        plans=plans,
        residing=residing_of(config, plans, runtime_folder, cache),
        moulds=moulds_of(plans_in(config, Room(runtime_folder, found=places))),
    )
