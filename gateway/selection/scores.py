"""How well each of several models suits a request: scores from 0 to 1, and the order they make.

Owns: the criteria, what each value of a fact is worth, the weighted mean.
Must not: leave anybody out (`gateway.selection.candidates` does), or keep anything.

A fact that is not known is worth 0.5: neither a merit nor a fault.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from gateway.config.choosing import ScoreSection
from gateway.domain import UNDECIDED, Asked, ModelFacts, ModelScore, ModelStatus, Weighed
from gateway.selection.candidates import Known, load_of

_UNKNOWN = 0.5
# Task -> the catalogue's strengths that it calls for; any other task calls for `general`.
_CALLS_FOR: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "code": ("code",),
        "math": ("math", "reasoning"),
        "reasoning": ("reasoning", "math"),
        "translation": ("multilingual",),
        "vision": ("vision",),
        "embedding": ("embedding",),
    }
)
_ALL_ROUNDER = 0.6  # what a general model is worth where a specialist might be asked
_OTHER_SPECIALIST = 0.2
# Models of these parameters or fewer suit only what is easiest, and of these or more anything.
_WEAKEST_LOG10, _STRONGEST_LOG10 = math.log10(5e8), math.log10(1e11)
_TOO_WEAK, _TOO_STRONG = 2.0, 0.5  # a wrong answer costs more than a wasteful one
_HALF_WORTH_S = 10.0  # a model that serves in so many seconds is worth half of one that serves


@dataclass(frozen=True, slots=True)
class _Subject:
    """One model beside the request it might serve."""

    facts: ModelFacts
    status: ModelStatus
    weighed: Weighed | None
    seen: float


class Scores:
    """The criteria with their weights, read once. Immutable."""

    def __init__(self, weights: ScoreSection) -> None:
        self._criteria = tuple(
            (name, getattr(weights, name), score) for name, score in _CRITERIA.items()
        )
        self._total_weight = sum(weight for _, weight, _ in self._criteria) or 1.0

    def ranked(
        self, names: Sequence[str], asked: Asked, weighed: Weighed | None, known: Known
    ) -> tuple[ModelScore, ...]:
        """Return every model's scores, the best first; among equals the order given."""
        found = []
        for name in names:
            seen = asked.seen.get(name, 0.0)
            subject = _Subject(known.facts_of(name), known.status_of(name), weighed, seen)
            total, parts = 0.0, []
            for criterion, weight, score in self._criteria:
                value = score(subject)
                total += weight * value
                parts.append((criterion, value))
            found.append(ModelScore(name, total / self._total_weight, tuple(parts)))
        # Sums of floats differ in their last digits with the order of the terms.
        return tuple(sorted(found, key=lambda one: -round(one.total, 9)))


def _task(subject: _Subject) -> float:
    strengths, weighed = subject.facts.strengths, subject.weighed
    if weighed is None or not strengths:
        return _UNKNOWN
    wanted = _CALLS_FOR.get(weighed.task, ("general",))
    for strength in wanted:
        if strength in strengths:
            return 1.0
    return _ALL_ROUNDER if "general" in strengths else _OTHER_SPECIALIST


def _language(subject: _Subject) -> float:
    languages, weighed = subject.facts.languages, subject.weighed
    if weighed is None or not languages or weighed.language == UNDECIDED:
        return _UNKNOWN
    language = weighed.language
    return 1.0 if language in languages or language.partition("-")[0] in languages else 0.0


def _size(subject: _Subject) -> float:
    strength, weighed = strength_of(subject.facts), subject.weighed
    if weighed is None or strength is None:
        return _UNKNOWN
    beyond = strength - weighed.difficulty
    return max(0.0, 1.0 - (_TOO_STRONG * beyond if beyond > 0 else -_TOO_WEAK * beyond))


def _load(subject: _Subject) -> float:
    return max(0.0, 1.0 - load_of(subject.status))


def _loaded(subject: _Subject) -> float:
    ready_in_s = subject.status.ready_in_s
    return 0.0 if ready_in_s is None else _HALF_WORTH_S / (_HALF_WORTH_S + ready_in_s)


def _cache(subject: _Subject) -> float:
    return min(1.0, max(0.0, subject.seen))


_CRITERIA: Mapping[str, Callable[[_Subject], float]] = MappingProxyType(
    {
        "task": _task,
        "language": _language,
        "size": _size,
        "load": _load,
        "loaded": _loaded,
        "cache": _cache,
    }
)


def strength_of(facts: ModelFacts) -> float | None:
    """Return what difficulty, 0 to 1, a model of this size is up to; None where it is not known.

    By the logarithm of its parameters; a mixture of experts counts as the geometric mean of all
    and the active ones.
    """
    if not facts.parameters:
        return None
    active = facts.active_parameters or facts.parameters
    log10 = (math.log10(facts.parameters) + math.log10(active)) / 2
    return min(1.0, max(0.0, (log10 - _WEAKEST_LOG10) / (_STRONGEST_LOG10 - _WEAKEST_LOG10)))
