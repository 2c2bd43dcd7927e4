"""Rules that can never decide: no request matches them, or an earlier rule takes all of theirs.

Owns: what one rule's conditions say of another's. It is sound and not complete: what it reports
surely never decides; rules that only several others together hide are not found.
Must not: know more of requests than the schema's vocabulary says.
"""

from collections.abc import Iterator
from enum import Enum
from typing import TypeAlias

from gateway.config.conditions import (
    NotClause,
    RangeClause,
    RouteSection,
    ShareClause,
    WhenSection,
    Words,
    words_of,
)
from gateway.config.finding import Finding
from gateway.config.names import resolved_aliases, used_by, variants_of
from gateway.config.schema import RoutingFile
from gateway.config.vocabulary import REQUEST_SIZES, TASKS, is_named
from gateway.domain import UNDECIDED

_WORDS = ("task", "language", "prompt_language", "request_size", "variant")
_FLAGS = ("tools", "images", "json_schema")
# Requests that a rule lets pass where none of its models can do that.
_PASSING = ("embedding", "rerank")
# A part of a variety's code that nobody writes: it stands for all varieties of a language.
_VARIETY = "-*"
_OTHER = "*"
_ALL = WhenSection()
_Bounds: TypeAlias = RangeClause | ShareClause


class _Takes(Enum):
    """Which requests of a later rule an earlier one keeps from it."""

    NOT_ALL = 0
    ALL_BUT_PASSING = 1
    ALL = 2


def unreachable_rules(file: RoutingFile) -> Iterator[Finding]:
    """Yield a finding for each rule that surely never decides."""
    for index, route in enumerate(file.routes):
        when = route.when or _ALL
        nobody = _matches_nobody(when, file)
        if nobody is not None:
            key, why = nobody
            what = f"no request can match the rule '{route.name}': {why}"
            yield Finding(("routes", index, "when", key), what)
            continue
        taken = [(_takes(earlier, route, file), earlier) for earlier in file.routes[:index]]
        kept, earlier = max(taken, key=lambda pair: pair[0].value, default=(_Takes.NOT_ALL, route))
        if kept is not _Takes.NOT_ALL:
            yield Finding(("routes", index), _told(route, earlier, kept))


def _told(route: RouteSection, earlier: RouteSection, kept: _Takes) -> str:
    why = "" if earlier.when not in (None, _ALL) else ", which has no conditions,"
    before = f"the rule '{earlier.name}' before it{why}"
    if kept is _Takes.ALL:
        return (
            f"the rule '{route.name}' is never reached: {before} takes every request that it "
            "matches; move it up, or remove it"
        )
    return (
        f"the rule '{route.name}' is reached by requests for embeddings and ranks at most: "
        f"{before} takes all others; move it up, or say `when: {{task: [embedding, rerank]}}`"
    )


def _takes(earlier: RouteSection, later: RouteSection, file: RoutingFile) -> _Takes:
    # With `require:` a rule may match and have nobody left; then the next one is tried.
    if earlier.require is not None or not _implied(earlier.when or _ALL, later.when or _ALL, file):
        return _Takes.NOT_ALL
    aliases = resolved_aliases(file)
    ours = {aliases.get(name, name) for name in used_by(earlier)}
    theirs = {aliases.get(name, name) for name in used_by(later)}
    some_embeds = any(file.models[name].embeddings for name in ours)
    if some_embeds or theirs <= ours or not _may_pass(later.when or _ALL):
        return _Takes.ALL
    # Its models may all turn out to make no embeddings; then the next rule is tried.
    return _Takes.ALL_BUT_PASSING


def _may_pass(when: WhenSection) -> bool:
    """Say whether a request for embeddings or ranks may match; it carries no tools, images, JSON.

    Those for text pass a rule as well where none of its models generates; but who names such a
    model for text is told so by the first request.
    """
    if any(getattr(when, key) for key in _FLAGS):
        return False
    return when.task is None or any(_holds("task", when.task, task) for task in _PASSING)


def _implied(wide: WhenSection, narrow: WhenSection, file: RoutingFile) -> bool:
    """Say whether every request that `narrow` matches is one that `wide` matches.

    A condition is implied only by one on the same key: where a feature is not known, no condition
    on it holds.
    """
    return (
        all(_words_implied(key, wide, narrow, file) for key in _WORDS)
        and _range_implied(wide.prompt_tokens, narrow.prompt_tokens)
        and _range_implied(wide.difficulty, narrow.difficulty)
        and all(getattr(wide, key) in (None, getattr(narrow, key)) for key in _FLAGS)
        and _headers(wide) <= _headers(narrow)
    )


def _words_implied(key: str, wide: WhenSection, narrow: WhenSection, file: RoutingFile) -> bool:
    outer: Words | None = getattr(wide, key)
    inner: Words | None = getattr(narrow, key)
    if outer is None:
        return True
    if inner is None:
        return False
    values = _values(key, (outer, inner), file)
    return all(_holds(key, outer, value) for value in values if _holds(key, inner, value))


def _values(key: str, clauses: tuple[Words, ...], file: RoutingFile) -> tuple[str, ...]:
    """Return values that stand for all that a request may have, as far as the clauses differ."""
    if key == "task":
        return TASKS
    if key == "request_size":
        return REQUEST_SIZES
    if key == "variant":
        return ("", *variants_of(file))
    words = {word.lower() for clause in clauses for word in words_of(clause)}
    return (*words, *(f"{word}{_VARIETY}" for word in words), _OTHER, UNDECIDED)


def _holds(key: str, clause: Words, value: str) -> bool:
    """Say what `gateway.selection.matching` says of a word condition."""
    words = {word.lower() for word in words_of(clause)}
    named = is_named(key, value.lower(), words)
    if isinstance(clause, NotClause):
        return value != UNDECIDED and not named
    return named


def _range_implied(wide: _Bounds | None, narrow: _Bounds | None) -> bool:
    if wide is None:
        return True
    if narrow is None or (narrow.min or 0) < (wide.min or 0):
        return False
    return wide.max is None or (narrow.max is not None and narrow.max <= wide.max)


def _headers(when: WhenSection) -> set[tuple[str, str]]:
    return {(name.lower(), value) for name, value in (when.header or {}).items()}


def _matches_nobody(when: WhenSection, file: RoutingFile) -> tuple[str, str] | None:
    """Return the key and the reason of a condition that cannot hold, None when all may."""
    for key in _WORDS:
        clause: Words | None = getattr(when, key)
        if clause is not None and not any(
            _holds(key, clause, value) for value in _values(key, (clause,), file)
        ):
            return key, f"its conditions leave no {key}"
    if len(dict(_headers(when))) < len(_headers(when)):
        return "header", "one header cannot have two values"
    if not _sizes_left(when, file):
        key = "request_size" if when.prompt_tokens is None else "prompt_tokens"
        return key, "no number of prompt tokens has the request_size that it wants"
    return None


def _sizes_left(when: WhenSection, file: RoutingFile) -> bool:
    """Say whether any wanted size is that of a request with prompt tokens in the wanted range.

    The wanted answer adds to them, up to a bound.
    """
    if when.request_size is None:
        return True
    small_below, large_from = file.sizes.small_below, file.sizes.large_from
    bounds: dict[str, tuple[int, int | None]] = {
        "small": (0, small_below - 1),
        "medium": (small_below, large_from - 1),
        "large": (large_from, None),
    }
    least = (when.prompt_tokens.min if when.prompt_tokens else None) or 0
    most = when.prompt_tokens.max if when.prompt_tokens else None
    if most is not None:
        most += file.sizes.counted_answer_tokens
    for size, (first, last) in bounds.items():
        ends = [end for end in (last, most) if end is not None]
        if not _holds("request_size", when.request_size, size):
            continue
        if not ends or max(first, least) <= min(ends):
            return True
    return False
