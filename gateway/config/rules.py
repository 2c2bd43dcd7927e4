"""What a rule may not say: names of nothing, words that no request has, empty ranges.

Owns: the errors in `routes:`.
Must not: compare rules with each other (`gateway.config.reach` does).
"""

from collections.abc import Callable, Iterable, Iterator

from engines.families import Catalogue
from gateway.config.choosing import AnyOf, SplitOf
from gateway.config.conditions import (
    NotClause,
    RangeClause,
    RequireSection,
    RouteSection,
    ShareClause,
    WhenSection,
    Words,
)
from gateway.config.document import Path
from gateway.config.finding import Finding, missing, placed
from gateway.config.names import (
    all_aliases,
    is_reserved,
    places_of_name,
    resolved_aliases,
    used_by,
)
from gateway.config.schema import RoutingFile
from gateway.config.vocabulary import (
    AUTO,
    LANGUAGES,
    REQUEST_SIZES,
    TASKS,
    language_code,
    language_meant,
    near,
)
from gateway.domain import UNDECIDED

# What answers say in place of a rule's name when no rule decided.
_TAKEN = ("name", "alias", "none")


def rule_errors(file: RoutingFile, catalogue: Callable[[], Catalogue]) -> Iterator[Finding]:
    """Yield what is wrong in the rules, one after the other."""
    names: set[str] = set()
    for index, route in enumerate(file.routes):
        path: Path = ("routes", index)
        if route.name in names:
            what = f"an earlier rule is named '{route.name}' too; rule names must be unique"
            yield Finding((*path, "name"), what)
        if route.name in _TAKEN:
            what = f"'{route.name}' is what answers report when no rule decided; rename the rule"
            yield Finding((*path, "name"), what)
        names.add(route.name)
        if route.when is not None:
            yield from _when_errors((*path, "when"), route.when)
        if route.require is not None:
            yield from _require_errors((*path, "require"), route.require, catalogue)
        yield from _use_errors(_used(path, route), file)
        yield from _split_errors(path, route)


def _used(path: Path, route: RouteSection) -> Iterator[tuple[Path, str]]:
    """Yield the names that a rule sends to, each with its place."""
    use = route.use
    if isinstance(use, SplitOf):
        yield from (((*path, "use", "split", name), name) for name in use.split)
    else:
        where = (*path, "use", "any") if isinstance(use, AnyOf) else (*path, "use")
        yield from placed(where, use if isinstance(use, str) else used_by(route))
    if route.shadow is not None:
        yield (*path, "shadow", "model"), route.shadow.model


def _split_errors(path: Path, route: RouteSection) -> Iterator[Finding]:
    use = route.use
    if isinstance(use, SplitOf) and not any(use.split.values()):
        yield Finding((*path, "use", "split"), "no model has a share; give one more than 0")


def _use_errors(used: Iterable[tuple[Path, str]], file: RoutingFile) -> Iterator[Finding]:
    aliases, ends = all_aliases(file), resolved_aliases(file)
    for where, name in used:
        meant = ends.get(name, name)
        if name in file.models or meant in file.models:
            continue
        if is_reserved(meant):
            means = "" if meant == name else f" ('{name}' means it)"
            what = f"a rule cannot send to '{meant}'{means}: that is what rules decide; name models"
            yield Finding(where, what)
        elif name not in aliases:  # a broken alias is told where it stands
            what = missing("model or alias", name, (*file.models, *aliases))
            yield Finding(where, what, places_of_name(name))


def _when_errors(path: Path, when: WhenSection) -> Iterator[Finding]:
    tests: dict[str, Callable[[str, str], str | None]] = {
        "task": lambda key, word: _not_among(key, word, TASKS),
        "request_size": lambda key, word: _not_among(key, word, REQUEST_SIZES),
        "language": _no_language,
        "prompt_language": _no_language,
        "variant": _no_variant,
    }
    for key, test in tests.items():
        clause: Words | None = getattr(when, key)
        if clause is None:
            continue
        ruled_out = isinstance(clause, NotClause)
        words = clause.not_ if isinstance(clause, NotClause) else clause
        for where, word in placed((*path, key, "not") if ruled_out else (*path, key), words):
            what = test(key, word)
            if what is not None:
                yield Finding(where, what)
    yield from _range_errors((*path, "prompt_tokens"), when.prompt_tokens)
    yield from _range_errors((*path, "difficulty"), when.difficulty)


def _not_among(key: str, word: str, known: tuple[str, ...]) -> str | None:
    if word.lower() in known:
        return None
    return f"there is no {key} '{word}'{near(word, known) or f'; use {_or(known)}'}"


def _no_language(key: str, word: str) -> str | None:
    if language_code(word) is not None or word.lower() == UNDECIDED:
        return None
    code = language_meant(word)
    if code is None:
        return f"there is no {key} '{word}'; write an ISO 639-1 code, such as en or zh"
    name = f" ({LANGUAGES[code]})" if code in LANGUAGES else ""
    return f"there is no {key} '{word}'; did you mean '{code}'{name}?"


def _no_variant(_key: str, word: str) -> str | None:
    if not is_reserved(word):
        return None
    after = word.partition(":")[2]
    return f"a variant is the part after `{AUTO}:`; write '{after}', not '{word}'"


def _require_errors(
    path: Path, require: RequireSection, catalogue: Callable[[], Catalogue]
) -> Iterator[Finding]:
    yield from _range_errors((*path, "parameters"), require.parameters)
    if require.family is not None:
        families = sorted({entry.family for entry in catalogue().entries})
        for where, family in placed((*path, "family"), require.family):
            if family.lower() not in families:
                hint = near(family, families) or f"; use {_or(families)}"
                yield Finding(where, f"the catalogue has no family '{family}'{hint}")
    region = require.licence.region if require.licence is not None else None
    if region is not None and (len(region) != 2 or not region.isalpha()):
        # Any other word would count as allowed wherever it is not excluded.
        what = f"a region is a code of two letters, such as EU, not '{region}'"
        yield Finding((*path, "licence", "region"), what)


def _range_errors(path: Path, bounds: RangeClause | ShareClause | None) -> Iterator[Finding]:
    if bounds is None or bounds.min is None or bounds.max is None or bounds.min <= bounds.max:
        return
    what = f"min ({bounds.min}) is greater than max ({bounds.max}): nothing lies between"
    yield Finding((*path, "min"), what)


def _or(words: tuple[str, ...] | list[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
