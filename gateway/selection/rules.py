"""A rule of `routing.yaml`, read once; what it says by itself of a request that it matches.

Owns: the models that a rule names, by the names of models; its shares; who gets its copies.
Must not: know other rules, or what happens where none matches.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.config.choosing import SplitOf
from gateway.config.conditions import RouteSection
from gateway.config.names import used_by
from gateway.domain import Asked, ModelFacts
from gateway.selection.abilities import is_unable
from gateway.selection.candidates import Kept, Known, meeting
from gateway.selection.constraints import constraint_refusal
from gateway.selection.matching import Condition, Features, conditions_of, reason_of
from gateway.selection.splitting import drawn


@dataclass(frozen=True, slots=True)
class Rule:
    """A route whose aliases are resolved.

    `met` are those models of its `use:` that meet its `require:`; `shares` are those of a split.
    """

    route: RouteSection
    met: Kept
    shares: Mapping[str, float]
    shadow: str | None
    conditions: tuple[Condition, ...]
    names_variant: bool


def rule_of(
    route: RouteSection, aliases: Mapping[str, str], facts: Mapping[str, ModelFacts]
) -> Rule:
    """Return a route as a rule; `aliases` end at models."""
    shares = dict[str, float]()
    models = tuple(dict.fromkeys(aliases.get(name, name) for name in used_by(route)))
    for name, share in route.use.split.items() if isinstance(route.use, SplitOf) else ():
        shares[aliases.get(name, name)] = shares.get(aliases.get(name, name), 0.0) + share
    shadow = aliases.get(route.shadow.model, route.shadow.model) if route.shadow else None
    met = meeting(models, route.require, Known(facts, {}))
    names_variant = route.when is not None and route.when.variant is not None
    return Rule(route, met, shares, shadow, conditions_of(route.when), names_variant)


def matched(rule: Rule, features: Features) -> str:
    """Return the sentence that says why a rule decides."""
    return f"rule '{rule.route.name}' matched: {reason_of(rule.conditions, features)}"


def split(kept: Kept, rule: Rule, asked: Asked) -> Kept:
    """Put first whom the user or the conversation has drawn."""
    sticky = rule.route.use.sticky if isinstance(rule.route.use, SplitOf) else "none"
    by = {"user": asked.user if sticky == "user" else None, "conversation": asked.conversation}
    given = {name: key for name, key in by.items() if key and sticky != "none"}
    name, key = next(iter(given.items()), ("chance", repr(asked.chance)))
    shares = {model: rule.shares[model] for model in kept.names}
    order = drawn(shares, rule.route.name, f"{name}\0{key}")
    why = f"by their shares, drawn by the {name}: {', '.join(order)}"
    return Kept(order, (*kept.reasons, why))


def shadow_of(rule: Rule, kept: Kept, asked: Asked, known: Known) -> str | None:
    """Return who gets a copy: never who answers, nor whom the request itself would not have."""
    section, model = rule.route.shadow, rule.shadow
    if section is None or model is None or model == kept.names[0]:
        return None
    facts = known.facts_of(model)
    refused = is_unable(facts, asked.endpoint) or constraint_refusal(facts, asked.constraints)
    return None if refused or asked.chance * 100 >= section.percent else model
