"""From what a client asked for to the models that may serve it, in order.

Owns: what a name means (model, alias, `auto`), the order of rules, what happens where none matched.
Must not: do I/O or keep state; the same arguments give the same choice.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from gateway.config.choosing import AnyOf, SplitOf
from gateway.config.conditions import RouteSection
from gateway.config.names import resolved_aliases, used_by, variants_of
from gateway.config.schema import RoutingFile
from gateway.config.vocabulary import AUTO, ORDER_VARIANTS
from gateway.domain import (
    Asked,
    Choice,
    Endpoint,
    ModelFacts,
    ModelScore,
    ModelStatus,
    Reason,
    Weighed,
    Why,
)
from gateway.errors import CapabilityMissing, ConstraintsUnmet, ModelNotFound
from gateway.selection.abilities import is_unable, refusal
from gateway.selection.candidates import (
    Kept,
    Known,
    able,
    allowed,
    available_first,
    by_variant,
    meeting,
)
from gateway.selection.constraints import constraint_refusal
from gateway.selection.fitting import Room
from gateway.selection.matching import (
    Condition,
    Features,
    Verdict,
    conditions_of,
    features_of,
    matches,
    reason_of,
    verdict,
)
from gateway.selection.scores import Scores
from gateway.selection.splitting import drawn

_TOLD = 8  # models of which an error tells why they are left out


class Meaning(msgspec.Struct, frozen=True):
    """What an asked name means: one model, or `auto` with a variant ("" for plain `auto`).

    `rule` is `name` or `alias` for a model, "" for `auto`.
    """

    model: str | None
    variant: str
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Rule:
    """A route, read once.

    `models` are those of its `use:`, aliases resolved, as in `shares`; `met` those of them that
    meet its `require:`.
    """

    route: RouteSection
    models: tuple[str, ...]
    met: Kept
    shares: Mapping[str, float]
    shadow: str | None
    conditions: tuple[Condition, ...]
    names_variant: bool


class Selector:
    """Chooses models by the rules of one `routing.yaml`. Immutable: safe from any thread.

    `contexts` are those of the models, as far as they are known.
    """

    def __init__(self, file: RoutingFile, facts: Mapping[str, ModelFacts]) -> None:
        self._models = tuple(file.models)
        self._facts = dict(facts)
        self.contexts = {name: one.context_tokens for name, one in facts.items()}
        self._aliases = resolved_aliases(file)
        self._rules = tuple(self._rule(route) for route in file.routes)
        self._variants = variants_of(file)
        self._meanings = {name: self._meaning(name) for name in ("", *self.names)}
        self._scores = Scores(file.scores)
        # Whether it may matter who has read a prompt's beginning (`Asked.seen`).
        self.recalls = file.scores.cache > 0 and _scores_may_decide(file)
        # Whether any rule looks at headers (`Asked.headers`).
        self.reads_headers = any(route.when and route.when.header for route in file.routes)
        # Whether it may matter which conversation a request belongs to (`Asked.conversation`).
        self.splits = any(rule.shares for rule in self._rules)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name a client may ask for: models, aliases, `auto` and its variants."""
        auto = (AUTO, *(f"{AUTO}:{variant}" for variant in self._variants))
        return (*self._models, *self._aliases, *auto)

    @property
    def shadows(self) -> frozenset[str]:
        """The models that may get copies."""
        return frozenset(rule.shadow for rule in self._rules if rule.shadow is not None)

    def meaning(self, name: str | None) -> Meaning:
        """Return what an asked name means; no name means `auto`.

        Raises:
            ModelNotFound: it is no model, alias or variant of `auto`.
        """
        found = self._meanings.get(name or "")
        if found is None:
            raise self._not_found(name or "")
        return found

    def _meaning(self, name: str) -> Meaning:
        if not name:
            return Meaning(None, "", "", "no model was named, which means auto")
        if name in self._models:
            return Meaning(name, "", "name", f"the client asked for {name}")
        target = self._aliases.get(name)
        if target in self._models:
            return Meaning(target, "", "alias", f"{name} is an alias of {target}")
        why = f"the client asked for {name}" + (f", an alias of {target}" if target else "")
        return Meaning(None, (target or name).partition(":")[2], "", why)

    def choose(
        self, asked: Asked, weighed: Weighed | None, status: Mapping[str, ModelStatus]
    ) -> Choice:
        """Return the models that may serve, in order of preference, and why.

        Models that are down stand behind all others. `weighed` may be None where the client named
        a model; with it, rules that look at features do not match.

        Raises:
            ModelNotFound: the asked name means nothing here.
            CapabilityMissing: the model asked for cannot do that, or none here can.
            ConstraintsUnmet: it does not meet the request's constraints, or none here does.
            ContextLengthExceeded: the prompt, and for rules the wanted answer, fits none of those
                that may serve.
        """
        meaning = self.meaning(asked.model)
        known = Known(self._facts, status)
        if meaning.model is not None:
            return self._named(meaning, meaning.model, asked, known)
        return self._by_rules(meaning, asked, weighed, known)

    def longer(self, models: Sequence[str], model: str) -> tuple[str, ...]:
        """Return those of the models whose context is longer than the one's, or not known."""
        least = self.contexts.get(model)
        return tuple(
            name
            for name in models
            if name != model
            and ((context := self.contexts.get(name)) is None or context > (least or 0))
        )

    def explain(self, asked: Asked, weighed: Weighed | None) -> tuple[Verdict, ...]:
        """Try every rule on a request to `auto`, for people; none where a model was named.

        Raises:
            ModelNotFound: the asked name means nothing here.
        """
        meaning = self.meaning(asked.model)
        if meaning.model is not None:
            return ()
        features = features_of(asked, weighed, meaning.variant)
        return tuple(verdict(rule.route.name, rule.conditions, features) for rule in self._rules)

    def _rule(self, route: RouteSection) -> _Rule:
        ends, shares = self._aliases, dict[str, float]()
        models = tuple(dict.fromkeys(ends.get(name, name) for name in used_by(route)))
        for name, share in route.use.split.items() if isinstance(route.use, SplitOf) else ():
            shares[ends.get(name, name)] = shares.get(ends.get(name, name), 0.0) + share
        shadow = ends.get(route.shadow.model, route.shadow.model) if route.shadow else None
        conditions = conditions_of(route.when)
        met = meeting(models, route.require, Known(self._facts, {}))
        return _Rule(route, models, met, shares, shadow, conditions, _names_variant(route))

    def _named(self, meaning: Meaning, model: str, asked: Asked, known: Known) -> Choice:
        if is_unable(known.facts_of(model), asked.endpoint):
            raise self._unable(asked.endpoint, model)
        why = constraint_refusal(known.facts_of(model), asked.constraints)
        if why is not None:
            raise ConstraintsUnmet(
                f"The model '{model}' does not meet the request: {why}. Ask for `auto`, or demand "
                "less.",
                param="model",
            )
        Room(asked.takes, None, self.contexts).check((model,))
        return Choice((model,), meaning.rule, (meaning.reason,))

    def _by_rules(
        self, meaning: Meaning, asked: Asked, weighed: Weighed | None, known: Known
    ) -> Choice:
        features = features_of(asked, weighed, meaning.variant)
        passed_over: list[Why] = []
        for rule in self._rules:
            if not matches(rule.conditions, features):
                continue
            kept = self._candidates(rule, meaning, asked, weighed, known)
            if kept.names:
                why = Reason(_matched, (rule, features))
                reasons = (meaning.reason, *passed_over, why, *kept.reasons)
                shadow = self._shadow(rule, kept, asked, known)
                return Choice(kept.names, rule.route.name, reasons, kept.scores, shadow)
            passed_over += kept.reasons
            passed_over.append(f"rule '{rule.route.name}' matched, but none of its models will do")
        let = allowed(self._models, asked.constraints, known)
        if not let.names:
            raise _unmet(asked, let)
        kept = self._scored(let, asked, weighed, known)
        kept = self._ordered(kept, meaning.variant, asked, weighed, known)
        if not kept.names:
            raise self._unable(asked.endpoint, None)
        undecided = "no rule decided; all models that can serve are considered"
        reasons = (meaning.reason, *passed_over, undecided, *kept.reasons)
        return Choice(kept.names, "none", reasons, kept.scores)

    def _candidates(
        self, rule: _Rule, meaning: Meaning, asked: Asked, weighed: Weighed | None, known: Known
    ) -> Kept:
        met = rule.met
        if asked.constraints:
            let = allowed(met.names, asked.constraints, known)
            met = Kept(let.names, (*met.reasons, *let.reasons))
        if isinstance(rule.route.use, AnyOf):
            met = self._scored(met, asked, weighed, known)
        elif isinstance(rule.route.use, SplitOf):
            met = _split(met, rule, asked)
        variant = "" if rule.names_variant else meaning.variant
        return self._ordered(met, variant, asked, weighed, known)

    def _shadow(self, rule: _Rule, kept: Kept, asked: Asked, known: Known) -> str | None:
        """Return who gets a copy: never who answers, nor whom the request itself would not have."""
        section, model = rule.route.shadow, rule.shadow
        if section is None or model is None or model == kept.names[0]:
            return None
        facts = known.facts_of(model)
        refused = is_unable(facts, asked.endpoint) or constraint_refusal(facts, asked.constraints)
        return None if refused or asked.chance * 100 >= section.percent else model

    def _scored(self, kept: Kept, asked: Asked, weighed: Weighed | None, known: Known) -> Kept:
        scores = self._scores.ranked(kept.names, asked, weighed, known)
        order = tuple(score.model for score in scores)
        return Kept(order, (*kept.reasons, Reason(_by_scores, scores)), scores)

    def _ordered(
        self, kept: Kept, variant: str, asked: Asked, weighed: Weighed | None, known: Known
    ) -> Kept:
        reasons = [*kept.reasons]
        can = able(kept.names, asked.endpoint, weighed, known)
        reasons += can.reasons
        if variant in ORDER_VARIANTS and can.names:
            can = by_variant(can.names, variant, known)
            reasons += can.reasons
        names = can.names
        if asked.takes:
            room = Room(asked.takes, weighed.answer_tokens if weighed else None, self.contexts)
            room.check(names)
            fit = room.fitting(names)
            names = fit.names
            reasons += fit.reasons
        final = available_first(names, known)
        return Kept(final.names, (*reasons, *final.reasons), kept.scores)

    def _unable(self, endpoint: Endpoint, model: str | None) -> CapabilityMissing:
        told = refusal(endpoint, model, self._models, self._facts)
        return CapabilityMissing(told, param="model")

    def _not_found(self, name: str) -> ModelNotFound:
        short = name[:100]  # the client chose it, and comparing takes time with its length
        close = difflib.get_close_matches(short, self.names, n=2, cutoff=0.6)
        return ModelNotFound(short, tuple(close))


def _matched(rule: _Rule, features: Features) -> str:
    return f"rule '{rule.route.name}' matched: {reason_of(rule.conditions, features)}"


def _by_scores(*scores: ModelScore) -> str:
    told = ", ".join(f"{score.model} {score.total:.2f}" for score in scores)
    return f"by their scores: {told}"


def _names_variant(route: RouteSection) -> bool:
    return route.when is not None and route.when.variant is not None


def _split(kept: Kept, rule: _Rule, asked: Asked) -> Kept:
    """Put first whom the user or the conversation has drawn."""
    sticky = rule.route.use.sticky if isinstance(rule.route.use, SplitOf) else "none"
    by = {"user": asked.user if sticky == "user" else None, "conversation": asked.conversation}
    given = {name: key for name, key in by.items() if key and sticky != "none"}
    name, key = next(iter(given.items()), ("chance", repr(asked.chance)))
    shares = {model: rule.shares[model] for model in kept.names}
    order = drawn(shares, rule.route.name, f"{name}\0{key}")
    why = f"by their shares, drawn by the {name}: {', '.join(order)}"
    return Kept(order, (*kept.reasons, why))


def _unmet(asked: Asked, let: Kept) -> ConstraintsUnmet:
    told, more = [str(why) for why in let.reasons[:_TOLD]], len(let.reasons) - _TOLD
    rest = f"; and so are {more} more" if more > 0 else ""
    return ConstraintsUnmet(
        f"No model here meets the request: {'; '.join(told)}{rest}.",
        param=asked.constraints[0].where,
    )


def _scores_may_decide(file: RoutingFile) -> bool:
    """Say whether any request may come to where scores decide."""
    if any(isinstance(route.use, AnyOf) for route in file.routes):
        return True
    return not any(route.when is None and route.require is None for route in file.routes)
