"""Whether a rule's `when:` holds for a request, with the words that say why.

Owns: the meaning of each condition.
Must not: know models or the order of rules.
"""

from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from gateway.config.conditions import (
    NotClause,
    RangeClause,
    ShareClause,
    WhenSection,
    Words,
    words_of,
)
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


class Answer(msgspec.Struct, frozen=True):
    """One condition on one request."""

    holds: bool
    reason: str


Condition = Callable[[Features], Answer]

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
            found.append(partial(_range_holds, key=key, clause=bounds))
    for key in _FLAGS:
        wanted: bool | None = getattr(when, key)
        if wanted is not None:
            found.append(partial(_flag_holds, key=key, wanted=wanted))
    for name, value in (when.header or {}).items():
        found.append(partial(_header_holds, name=name.lower(), wanted=value))
    return tuple(found)


def verdict(rule: str, conditions: tuple[Condition, ...], features: Features) -> Verdict:
    """Try a rule: all conditions must hold; the reason of a miss is the first that does not."""
    reasons = []
    for condition in conditions:
        answer = condition(features)
        if not answer.holds:
            return Verdict(rule, matched=False, reason=answer.reason)
        reasons.append(answer.reason)
    return Verdict(rule, matched=True, reason="; ".join(reasons) or "it has no conditions")


def _word_condition(key: str, clause: Words) -> Condition:
    words = tuple(word.lower() for word in words_of(clause))
    test = _not_words_hold if isinstance(clause, NotClause) else _words_hold
    return partial(test, key=key, words=words)


def _words_hold(features: Features, *, key: str, words: tuple[str, ...]) -> Answer:
    value = features.values.get(key)
    if not isinstance(value, str):
        return _unknown(key)
    if _among(value.lower(), words):
        return Answer(holds=True, reason=f"{key} is {value}")
    return Answer(holds=False, reason=f"{key} is {value or 'not given'}, not {_either(words)}")


def _not_words_hold(features: Features, *, key: str, words: tuple[str, ...]) -> Answer:
    value = features.values.get(key)
    if not isinstance(value, str):
        return _unknown(key)
    if value == UNDECIDED:  # not knowing is no proof that it is something else
        return Answer(holds=False, reason=f"{key} is undecided, which only `undecided` matches")
    if _among(value.lower(), words):
        return Answer(holds=False, reason=f"{key} is {value}, which the rule rules out")
    return Answer(holds=True, reason=f"{key} is {value or 'not given'}, none of {', '.join(words)}")


def _range_holds(features: Features, *, key: str, clause: RangeClause | ShareClause) -> Answer:
    value = features.values.get(key)
    if not isinstance(value, int | float):
        return _unknown(key)
    if clause.min is not None and value < clause.min:
        return Answer(holds=False, reason=f"{key} is {value}, less than {clause.min}")
    if clause.max is not None and value > clause.max:
        return Answer(holds=False, reason=f"{key} is {value}, more than {clause.max}")
    return Answer(holds=True, reason=f"{key} is {value}")


def _flag_holds(features: Features, *, key: str, wanted: bool) -> Answer:
    value = features.values.get(key)
    if value is None:
        return _unknown(key)
    yes, no = _FLAGS[key]
    return Answer(holds=bool(value) is wanted, reason=yes if value else no)


def _header_holds(features: Features, *, name: str, wanted: str) -> Answer:
    value = features.headers.get(name)
    if value == wanted:
        return Answer(holds=True, reason=f"header {name} is {wanted}")
    # The client's value stays out of the reason: it may be a secret, and reasons are logged.
    return Answer(holds=False, reason=f"header {name} is not {wanted}")


def _among(value: str, words: tuple[str, ...]) -> bool:
    """Say whether a word names the value, or the language that the value is a variety of."""
    return value in words or (bool(value) and value.partition("-")[0] in words)


def _unknown(key: str) -> Answer:
    return Answer(holds=False, reason=f"{key} is not known for this request")


def _either(words: tuple[str, ...]) -> str:
    return " or ".join(words)
