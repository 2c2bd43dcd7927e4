"""Whether a rule's `when:` holds for a request, with the words that say why.

Owns: the meaning of each condition.
Must not: know models or the order of rules.
"""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from gateway.config.conditions import (
    NotClause,
    RangeClause,
    ShareClause,
    WhenSection,
    Words,
    words_of,
)
from gateway.config.vocabulary import is_named
from gateway.domain import UNDECIDED, Asked, Weighed


class Verdict(msgspec.Struct, frozen=True):
    """A rule tried on a request: whether it matched, and why in plain English."""

    rule: str
    matched: bool
    reason: str


class Features(msgspec.Struct, frozen=True):
    """What conditions look at: the values by condition name, and the headers in lower case.

    A value is None where the request was not weighed; no condition on it holds then.
    """

    values: Mapping[str, str | float | bool | None]
    headers: Mapping[str, str]


class Condition(Protocol):
    """One condition of a rule. Most are only held to a request; few are asked for their words."""

    def holds(self, features: Features) -> bool:
        """Say whether it holds for a request."""

    def reason(self, features: Features) -> str:
        """Return why it holds, or why not."""


_WORDS = ("task", "language", "prompt_language", "request_size", "variant")
_RANGES = ("prompt_tokens", "difficulty")
_FLAGS = {
    "tools": ("the request carries tools", "the request carries no tools"),
    "images": ("the request carries images", "the request carries no images"),
    "json_schema": ("JSON is wanted back", "no JSON is wanted back"),
}


def features_of(asked: Asked, weighed: Weighed | None, variant: str | None) -> Features:
    """Return what conditions look at; `variant` is "" for plain `auto`."""
    values: dict[str, str | float | bool | None] = {"variant": variant}
    if weighed is not None:
        values |= {
            "task": weighed.task,
            "language": weighed.language,
            "prompt_language": weighed.prompt_language,
            "request_size": weighed.request_size,
            "prompt_tokens": weighed.prompt_tokens,
            "difficulty": weighed.difficulty,
            "tools": weighed.tools,
            "images": weighed.images,
            "json_schema": weighed.json_schema,
        }
    return Features(values, {name.lower(): value for name, value in asked.headers})


def conditions_of(when: WhenSection | None) -> tuple[Condition, ...]:
    """Return the given conditions of a rule; none for a rule that matches everything."""
    if when is None:
        return ()
    found: list[Condition] = []
    for key in _WORDS:
        clause: Words | None = getattr(when, key)
        if clause is not None:
            found.append(_word_condition(key, clause))
    for key in _RANGES:
        bounds: RangeClause | ShareClause | None = getattr(when, key)
        if bounds is not None:
            found.append(_Range(key, bounds.min, bounds.max))
    for key in _FLAGS:
        wanted: bool | None = getattr(when, key)
        if wanted is not None:
            found.append(_Flag(key, wanted))
    for name, value in (when.header or {}).items():
        found.append(_Header(name.lower(), value))
    return tuple(found)


def matches(conditions: tuple[Condition, ...], features: Features) -> bool:
    """Say whether all conditions hold."""
    for condition in conditions:  # noqa: SIM110 - a generator for each rule costs more than this
        if not condition.holds(features):
            return False
    return True


def reason_of(conditions: tuple[Condition, ...], features: Features) -> str:
    """Return why a rule matches, or the first condition for which it does not."""
    for condition in conditions:
        if not condition.holds(features):
            return condition.reason(features)
    return "; ".join(one.reason(features) for one in conditions) or "it has no conditions"


def verdict(rule: str, conditions: tuple[Condition, ...], features: Features) -> Verdict:
    """Try a rule: all conditions must hold; the reason of a miss is the first that does not."""
    return Verdict(rule, matches(conditions, features), reason_of(conditions, features))


class _Words(msgspec.Struct, frozen=True):
    key: str
    words: tuple[str, ...]
    among: frozenset[str]

    def holds(self, features: Features) -> bool:
        value = features.values.get(self.key)
        return isinstance(value, str) and is_named(self.key, value.lower(), self.among)

    def reason(self, features: Features) -> str:
        value = features.values.get(self.key)
        if not isinstance(value, str):
            return _unknown(self.key)
        if self.holds(features):
            return f"{self.key} is {value}"
        return f"{self.key} is {value or 'not given'}, not {' or '.join(self.words)}"


class _NotWords(msgspec.Struct, frozen=True):
    key: str
    words: tuple[str, ...]
    among: frozenset[str]

    def holds(self, features: Features) -> bool:
        value = features.values.get(self.key)
        # Not knowing is no proof that it is something else.
        if not isinstance(value, str) or value == UNDECIDED:
            return False
        return not is_named(self.key, value.lower(), self.among)

    def reason(self, features: Features) -> str:
        value = features.values.get(self.key)
        if not isinstance(value, str):
            return _unknown(self.key)
        if value == UNDECIDED:
            return f"{self.key} is undecided, which only `undecided` matches"
        if self.holds(features):
            return f"{self.key} is {value or 'not given'}, none of {', '.join(self.words)}"
        return f"{self.key} is {value}, which the rule rules out"


class _Range(msgspec.Struct, frozen=True):
    key: str
    least: float | None
    most: float | None

    def holds(self, features: Features) -> bool:
        value = features.values.get(self.key)
        if not isinstance(value, int | float):
            return False
        if self.least is not None and value < self.least:
            return False
        return self.most is None or value <= self.most

    def reason(self, features: Features) -> str:
        value = features.values.get(self.key)
        if not isinstance(value, int | float):
            return _unknown(self.key)
        if self.least is not None and value < self.least:
            return f"{self.key} is {value}, less than {self.least}"
        if self.most is not None and value > self.most:
            return f"{self.key} is {value}, more than {self.most}"
        return f"{self.key} is {value}"


class _Flag(msgspec.Struct, frozen=True):
    key: str
    wanted: bool

    def holds(self, features: Features) -> bool:
        value = features.values.get(self.key)
        return value is not None and bool(value) is self.wanted

    def reason(self, features: Features) -> str:
        value = features.values.get(self.key)
        if value is None:
            return _unknown(self.key)
        yes, no = _FLAGS[self.key]
        return yes if value else no


class _Header(msgspec.Struct, frozen=True):
    name: str
    wanted: str

    def holds(self, features: Features) -> bool:
        return features.headers.get(self.name) == self.wanted

    def reason(self, features: Features) -> str:
        # The client's value stays out of the reason: it may be a secret, and reasons are logged.
        return f"header {self.name} is {'' if self.holds(features) else 'not '}{self.wanted}"


def _word_condition(key: str, clause: Words) -> Condition:
    words = tuple(word.lower() for word in words_of(clause))
    kind = _NotWords if isinstance(clause, NotClause) else _Words
    return kind(key, words, frozenset(words))


def _unknown(key: str) -> str:
    return f"{key} is not known for this request"
