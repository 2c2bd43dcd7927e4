"""From what a client asked for to the models that may serve it, in order.

Owns: the order of rules, what happens where none matched, and where a model was named.
Must not: do I/O or keep state; the same arguments give the same choice.
"""

from collections.abc import Mapping, Sequence

from gateway.config.choosing import AnyOf, SplitOf
from gateway.config.names import resolved_aliases
from gateway.config.schema import RoutingFile
from gateway.config.vocabulary import ORDER_VARIANTS
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
from gateway.errors import CapabilityMissing, ConstraintsUnmet
from gateway.selection.abilities import is_unable, refusal
from gateway.selection.candidates import Kept, Known, able, allowed, available_first, by_variant
from gateway.selection.constraints import constraint_refusal
from gateway.selection.fitting import Room
from gateway.selection.matching import Verdict, features_of, matches, verdict
from gateway.selection.meanings import Meaning, Meanings
from gateway.selection.rules import Rule, matched, rule_of, shadow_of, split
from gateway.selection.scores import Scores

_TOLD = 8  # models of which an error tells why they are left out


class Selector:
    """Chooses models by the rules of one `routing.yaml`. Immutable: safe from any thread.

    `contexts` are those of the models, as far as they are known.
    """

    def __init__(self, file: RoutingFile, facts: Mapping[str, ModelFacts]) -> None:
        self._models = tuple(file.models)
        self._facts = dict(facts)
        self.contexts = {name: one.context_tokens for name, one in facts.items()}
        aliases = resolved_aliases(file)
        self._rules = tuple(rule_of(route, aliases, self._facts) for route in file.routes)
        self._meanings = Meanings(file)
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
        return self._meanings.names

    @property
    def shadows(self) -> frozenset[str]:
        """The models that may get copies."""
        return frozenset(rule.shadow for rule in self._rules if rule.shadow is not None)

    def meaning(self, name: str | None) -> Meaning:
        """Return what an asked name means; no name means `auto`.

        Raises:
            ModelNotFound: it is no model, alias or variant of `auto`.
        """
        return self._meanings.of(name)

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

    def _named(self, meaning: Meaning, model: str, asked: Asked, known: Known) -> Choice:
        if is_unable(known.facts_of(model), asked.endpoint):
            raise self._unable(asked.endpoint, model)
        why = constraint_refusal(known.facts_of(model), asked.constraints)
        if why is not None:
            raise ConstraintsUnmet(
                f"The model '{model}' does not meet the request's constraints: {why}. Ask for "
                "`auto`, or relax them.",
                param="model",
            )
        Room(asked.takes, None, self.contexts, asked.endpoint).check((model,))
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
                why = Reason(matched, (rule, features))
                reasons = (meaning.reason, *passed_over, why, *kept.reasons)
                shadow = shadow_of(rule, kept, asked, known)
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
        self, rule: Rule, meaning: Meaning, asked: Asked, weighed: Weighed | None, known: Known
    ) -> Kept:
        met = rule.met
        if asked.constraints:
            let = allowed(met.names, asked.constraints, known)
            met = Kept(let.names, (*met.reasons, *let.reasons))
        if isinstance(rule.route.use, AnyOf):
            met = self._scored(met, asked, weighed, known)
        elif isinstance(rule.route.use, SplitOf):
            met = split(met, rule, asked)
        variant = "" if rule.names_variant else meaning.variant
        return self._ordered(met, variant, asked, weighed, known)

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
            answer_tokens = weighed.answer_tokens if weighed else None
            room = Room(asked.takes, answer_tokens, self.contexts, asked.endpoint)
            room.check(names)
            fit = room.fitting(names)
            names = fit.names
            reasons += fit.reasons
        final = available_first(names, known)
        return Kept(final.names, (*reasons, *final.reasons), kept.scores)

    def _unable(self, endpoint: Endpoint, model: str | None) -> CapabilityMissing:
        told = refusal(endpoint, model, self._models, self._facts)
        return CapabilityMissing(told, param="model")


def _by_scores(*scores: ModelScore) -> str:
    told = ", ".join(f"{score.model} {score.total:.2f}" for score in scores)
    return f"by their scores: {told}"


def _unmet(asked: Asked, let: Kept) -> ConstraintsUnmet:
    told, more = [str(why) for why in let.reasons[:_TOLD]], len(let.reasons) - _TOLD
    rest = f"; and so are {more} more" if more > 0 else ""
    return ConstraintsUnmet(
        f"No model here meets the request's constraints: {'; '.join(told)}{rest}.",
        param=asked.constraints[0].where,
    )


def _scores_may_decide(file: RoutingFile) -> bool:
    """Say whether any request may come to where scores decide."""
    if any(isinstance(route.use, AnyOf) for route in file.routes):
        return True
    return not any(route.when is None and route.require is None for route in file.routes)
