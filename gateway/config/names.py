"""The names that a file gives to clients: models, aliases, `auto` and its variants.

Owns: what an alias leads to, and which variants there are.
Must not: complain; `gateway.config.checks` does.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from engines.kinds.section import several
from gateway.config.choosing import AnyOf, SplitOf
from gateway.config.conditions import NotClause, RouteSection, words_of
from gateway.config.document import Path
from gateway.config.schema import RoutingFile
from gateway.config.vocabulary import AUTO, ORDER_VARIANTS, TASK_VARIANTS

# Where names are made: who says that there is no such name leans on all of these.
VARIANT_PLACES: tuple[Path, ...] = (("routes", "*", "when", "variant"),)


def places_of_name(name: str) -> tuple[Path, ...]:
    """Return the places of a file at which a name may be made."""
    return (("models", name), ("aliases", name), ("models", "*", "aliases"))


@dataclass(frozen=True, slots=True)
class Trail:
    """Where a name leads: each name on the way, itself first.

    Of a `cycle` the steps are those of the circle, the first again at the end.
    """

    steps: tuple[str, ...]
    cycle: bool = False

    @property
    def end(self) -> str:
        """The name at which the way ends, which may be no name of the file."""
        return self.steps[-1]


def is_reserved(name: str) -> bool:
    """Say whether a name is `auto` or looks like one of its variants."""
    return name.partition(":")[0] == AUTO


def variants_of(file: RoutingFile) -> tuple[str, ...]:
    """Return the variants of `auto`: for sizes, for tasks, then those that rules name, in order.

    Words that rules rule out with `not:` make no variant.
    """
    clauses = [route.when.variant for route in file.routes if route.when is not None]
    named = [c for c in clauses if c is not None and not isinstance(c, NotClause)]
    words = (word for clause in named for word in words_of(clause) if word)
    return tuple(dict.fromkeys((*ORDER_VARIANTS, *TASK_VARIANTS, *words)))


def used_by(route: RouteSection) -> tuple[str, ...]:
    """Return the names in a rule's `use:`, as written."""
    use = route.use
    if isinstance(use, SplitOf):
        return tuple(use.split)
    return use.any if isinstance(use, AnyOf) else several(use)


def all_aliases(file: RoutingFile) -> dict[str, str]:
    """Return every alias and the name it stands for, those at the models and those of `aliases:`.

    A name that is a model's is no alias; of two targets of one alias the model's own list wins.
    """
    own = {alias: name for name, model in file.models.items() for alias in model.aliases}
    return {a: target for a, target in {**file.aliases, **own}.items() if a not in file.models}


def resolved_aliases(file: RoutingFile) -> dict[str, str]:
    """Return every alias and the model, `auto` or variant of it that it means in the end.

    Aliases that lead nowhere or in a circle are left out.
    """
    aliases = all_aliases(file)
    ends = {*file.models, AUTO, *(f"{AUTO}:{variant}" for variant in variants_of(file))}
    trails = {alias: follow(alias, aliases) for alias in aliases if not is_reserved(alias)}
    return {
        alias: trail.end for alias, trail in trails.items() if not trail.cycle and trail.end in ends
    }


def follow(name: str, aliases: Mapping[str, str]) -> Trail:
    """Follow a name over aliases to one that is none, or back to one that was passed."""
    steps = [name]
    while steps[-1] in aliases:
        target = aliases[steps[-1]]
        if target in steps:
            return Trail((*steps[steps.index(target) :], target), cycle=True)
        steps.append(target)
    return Trail(tuple(steps))
