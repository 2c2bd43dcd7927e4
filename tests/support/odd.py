"""Values of which one field has another type than it should."""

import copy
from collections.abc import Iterator
from typing import Any

_TYPES: tuple[Any, ...] = (None, True, -1, 1.5, "x", "", [], [1], [None], {}, {"a": 1})


def odd_ones(value: Any) -> Iterator[Any]:
    """Yield copies of a value, with each field at any depth in turn of each other type."""
    for place in _places(value):
        for odd in _TYPES:
            told = at = copy.deepcopy(value)
            for name in place[:-1]:
                at = at[name]
            at[place[-1]] = odd
            yield told


def _places(value: Any) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield (name,)
            yield from ((name, *rest) for rest in _places(part))
