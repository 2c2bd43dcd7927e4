"""Which of a rule's models may serve, and in what order.

Owns: the filters (`require:`, abilities, images), the order (preference, load, size, availability),
the words that say who was left out or put behind.
Must not: know rules, names or aliases.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from engines.kinds.section import several
from gateway.config.conditions import RangeClause, RequireSection
from gateway.domain import (
    MODEL_CLASSES,
    Constraint,
    Endpoint,
    ModelFacts,
    ModelScore,
    ModelStatus,
    Weighed,
    Why,
)
from gateway.selection.abilities import able_ones, why_unable
from gateway.selection.constraints import constraint_refusal
from gateway.selection.licences import licence_refusal

_UNKNOWN = ModelFacts()
_IDLE = ModelStatus()


class Kept(msgspec.Struct, frozen=True):
    """Names that stay, in order, and a sentence about each that does not stay or moved.

    `scores` are those that made the order, where scores did.
    """

    names: tuple[str, ...]
    reasons: tuple[Why, ...] = ()
    scores: tuple[ModelScore, ...] = ()


class Known(msgspec.Struct, frozen=True):
    """What is known of the models: their families' facts and how they are doing now."""

    facts: Mapping[str, ModelFacts]
    status: Mapping[str, ModelStatus]

    def facts_of(self, name: str) -> ModelFacts:
        """Return the model's facts, all unknown when there are none."""
        return self.facts.get(name, _UNKNOWN)

    def status_of(self, name: str) -> ModelStatus:
        """Return the model's status; one that nobody reported on counts as available and idle."""
        return self.status.get(name, _IDLE)


def meeting(names: Sequence[str], require: RequireSection | None, known: Known) -> Kept:
    """Keep the models that meet a rule's `require:`; an unknown fact does not meet it."""
    if require is None:
        return Kept(tuple(names))
    return _keep(names, lambda name: _refusal(known.facts_of(name), require))


def allowed(names: Sequence[str], constraints: Sequence[Constraint], known: Known) -> Kept:
    """Keep the models that meet the request's own constraints."""
    if not constraints:
        return Kept(tuple(names))
    return _keep(names, lambda name: constraint_refusal(known.facts_of(name), constraints))


def able(names: Sequence[str], endpoint: Endpoint, weighed: Weighed | None, known: Known) -> Kept:
    """Keep the models that can do what the request needs.

    Of those that suit the endpoint, for images those that see, and for tools those that are not
    known to call none, where there are any; else all, and the model says what it cannot do.
    """
    may = able_ones(names, endpoint, known.facts)
    kept = Kept(may)
    if len(may) < len(names):
        kept = _keep(names, lambda name: None if name in may else why_unable(endpoint))
    if weighed is not None and weighed.images:
        kept = _rather(kept, lambda name: bool(known.facts_of(name).vision), "read images")
    if weighed is not None and weighed.tools:
        kept = _rather(kept, lambda name: known.facts_of(name).tools is not False, "call tools")
    return kept


def _rather(kept: Kept, can: Callable[[str], bool], what: str) -> Kept:
    """Keep those who can, where there are any."""
    if not any(can(name) for name in kept.names):
        return Kept(kept.names, (*kept.reasons, f"no model here is known to {what}"))
    found = _keep(kept.names, lambda name: None if can(name) else f"it does not {what}")
    return Kept(found.names, (*kept.reasons, *found.reasons))


def by_variant(names: Sequence[str], variant: str, known: Known) -> Kept:
    """Order for `auto:small`, `auto:fast` and so on; models of unknown size come last.

    Among equals the order given stays.
    """

    def near(name: str) -> tuple[int, int]:
        model_class = known.facts_of(name).model_class
        if model_class is None:
            return (len(MODEL_CLASSES), 0)
        rank = MODEL_CLASSES.index(model_class)
        return (abs(rank - MODEL_CLASSES.index(variant)), rank)

    def fast(name: str) -> tuple[bool, int, float]:
        facts, load = known.facts_of(name), load_of(known.status_of(name))
        return (load >= 1, facts.active_parameters or facts.parameters or _HUGE, load)

    orders: dict[str, tuple[Callable[[str], tuple[float, ...]], str]] = {
        "fast": (fast, "fewest active parameters first, full models last"),
        "best": (lambda name: (-(known.facts_of(name).parameters or 0),), "most parameters first"),
    }
    key, how = orders.get(variant, (near, f"models of the class {variant} first, then the nearest"))
    order = tuple(sorted(names, key=key))
    return Kept(order, (f"auto:{variant} puts the {how}: {', '.join(order)}",))


def available_first(names: Sequence[str], known: Known) -> Kept:
    """Put models that are down behind all others."""
    down = [name for name in names if not known.status_of(name).available]
    if not down:
        return Kept(tuple(names))
    reasons = (
        f"{name} comes last: {known.status_of(name).reason or 'it is down'}" for name in down
    )
    return Kept(tuple(sorted(names, key=down.__contains__)), tuple(reasons))


_HUGE = 1 << 62


def load_of(status: ModelStatus) -> float:
    """Return requests over capacity; without a known capacity any request makes it busier."""
    if status.capacity:
        return status.in_flight / status.capacity
    return status.in_flight / (status.in_flight + 1)


def _keep(names: Sequence[str], refuse: Callable[[str], str | None]) -> Kept:
    refusals = {name: refuse(name) for name in names}
    return Kept(
        tuple(name for name in names if refusals[name] is None),
        tuple(f"{name} is left out: {why}" for name, why in refusals.items() if why is not None),
    )


def _refusal(facts: ModelFacts, require: RequireSection) -> str | None:
    families = several(require.family) if require.family is not None else ()
    if families and (facts.family or "").lower() not in {family.lower() for family in families}:
        return f"its family is {facts.family or 'unknown'}, not {' or '.join(families)}"
    if require.parameters is not None:
        why = _outside(facts.parameters, require.parameters)
        if why is not None:
            return why
    if require.model_class is not None and facts.model_class not in require.model_class:
        wanted = " or ".join(require.model_class)
        return f"its class is {facts.model_class or 'unknown'}, not {wanted}"
    if require.context is not None and (facts.context_tokens or 0) < require.context:
        return f"its context is {facts.context_tokens or 'unknown'}, less than {require.context}"
    if require.licence is not None:
        return licence_refusal(facts.licence, require.licence)
    return None


def _outside(parameters: int | None, bounds: RangeClause) -> str | None:
    if parameters is None:
        return "its number of parameters is unknown"
    if bounds.min is not None and parameters < bounds.min:
        return f"its {parameters:,} parameters are fewer than {bounds.min:,}"
    if bounds.max is not None and parameters > bounds.max:
        return f"its {parameters:,} parameters are more than {bounds.max:,}"
    return None
