"""What a request itself demands of the model: licence, family, parameters, context.

Owns: the names of these constraints in headers and in `metadata`, reading them, their meaning.
Must not: know rules. What is not known of a model does not meet a constraint.

Each constraint that is given has to hold, from wherever it comes: a header that a proxy sets cannot
be weakened by what a client writes into its body.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from gateway.domain import Constraint, LicenceTerms, ModelFacts
from gateway.errors import InvalidRequest

_HEADER = b"x-weighbridge-"
_FIELD = "weighbridge_"
_LICENCE_CLASSES = ("open", "conditional", "research", "unknown")
_COMMERCIAL = "commercial"
_COUNT = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)([kmbt]?)", re.IGNORECASE)
_TIMES = MappingProxyType({"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12})
_MOST_WORDS = 32
_NO_TERMS = LicenceTerms()


def constraints_of(headers: Iterable[tuple[bytes, bytes]], metadata: Any) -> tuple[Constraint, ...]:
    """Return what the headers and the body's `metadata` demand.

    Raises:
        InvalidRequest: a value cannot be read, or `metadata` has a `weighbridge_` field that means
            nothing: a demand must not be passed over because it is misspelt.
    """
    found: list[Constraint] = []
    for name, value in headers:
        if name.startswith(_HEADER):
            kind = name[len(_HEADER) :].decode("latin-1").replace("-", "_")
            if kind in _READERS:
                where = name.decode("latin-1")
                found.append(_READERS[kind](where, value.decode("latin-1")))
    if isinstance(metadata, dict) and metadata:
        found += _in_metadata(metadata)
    return tuple(found)


def constraint_refusal(facts: ModelFacts, constraints: Iterable[Constraint]) -> str | None:
    """Return why a model does not meet the constraints, or None when it does."""
    for constraint in constraints:
        why = _TESTS[constraint.kind](facts, constraint)
        if why is not None:
            return why
    return None


def _in_metadata(metadata: Mapping[Any, Any]) -> Iterator[Constraint]:
    for key, value in metadata.items():
        if not isinstance(key, str) or not key.startswith(_FIELD):
            continue
        where, kind = f"metadata.{key[:80]}", key[len(_FIELD) :]
        if kind not in _READERS:
            known = ", ".join(f"{_FIELD}{name}" for name in _READERS)
            raise InvalidRequest(
                f"'{where}' is not a known constraint; there are {known}.", param=where
            )
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise InvalidRequest(f"The value of '{where}' must be a string.", param=where)
        yield _READERS[kind](where, str(value))


def _words(kind: str) -> Callable[[str, str], Constraint]:
    def read(where: str, value: str) -> Constraint:
        words = tuple(word.strip().lower() for word in value.split(",") if word.strip())
        if not words or len(words) > _MOST_WORDS:
            what = (
                f"'{where}' must be one word, or several separated by commas, at most {_MOST_WORDS}"
            )
            raise InvalidRequest(f"{what}.", param=where)
        return Constraint(where, kind, words=words)

    return read


def _count(kind: str) -> Callable[[str, str], Constraint]:
    def read(where: str, value: str) -> Constraint:
        found = _COUNT.fullmatch(value.strip())
        if found is None:
            what = f"'{where}' must be a count, such as 7000000000 or 7B"
            raise InvalidRequest(f"{what}.", param=where)
        return Constraint(where, kind, count=round(float(found[1]) * _TIMES[found[2].lower()]))

    return read


def _licence(facts: ModelFacts, constraint: Constraint) -> str | None:
    terms = facts.licence or _NO_TERMS
    for word in constraint.words:
        if word == _COMMERCIAL:
            met = terms.commercial is True
        elif word in _LICENCE_CLASSES:
            met = terms.licence_class == word
        else:
            met = (terms.spdx or "").lower() == word
        if met:
            return None
    named = f"{terms.spdx} ({terms.licence_class})" if terms.spdx else terms.licence_class
    return f"its licence is {named}, and {constraint.where} wants {' or '.join(constraint.words)}"


def _family(facts: ModelFacts, constraint: Constraint) -> str | None:
    if (facts.family or "").lower() in constraint.words:
        return None
    wanted = " or ".join(constraint.words)
    return f"its family is {facts.family or 'unknown'}, and {constraint.where} wants {wanted}"


def _parameters(facts: ModelFacts, constraint: Constraint) -> str | None:
    if facts.parameters is None:
        return f"its number of parameters is unknown, and {constraint.where} bounds it"
    if facts.parameters <= constraint.count:
        return None
    return f"it has {facts.parameters:,} parameters, more than {constraint.where} allows"


def _context(facts: ModelFacts, constraint: Constraint) -> str | None:
    if facts.context_tokens is None:
        return f"its context is unknown, and {constraint.where} wants {constraint.count:,}"
    if facts.context_tokens >= constraint.count:
        return None
    return (
        f"its context of {facts.context_tokens:,} tokens is less than the {constraint.count:,} "
        f"that {constraint.where} wants"
    )


_TESTS: Mapping[str, Callable[[ModelFacts, Constraint], str | None]] = MappingProxyType(
    {
        "licence": _licence,
        "family": _family,
        "max_parameters": _parameters,
        "min_context": _context,
    }
)
_READERS: Mapping[str, Callable[[str, str], Constraint]] = MappingProxyType(
    {
        "licence": _words("licence"),
        "license": _words("licence"),
        "family": _words("family"),
        "max_parameters": _count("max_parameters"),
        "min_context": _count("min_context"),
    }
)
