"""How long what a template makes may be: told before it is made, where that can be told.

Owns: the bounds on single values, and the refusal. Pure.
Must not: know Jinja's machinery (`sandbox`), or count over a rendering.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Any

from jinja2 import TemplateRuntimeError

# In characters or items; no context holds as many.
LONGEST_VALUE = 16 * 1024 * 1024
# With all that it holds: a list that holds itself twice, thirty times over, is a text without end.
_MOST_HELD = 250_000
_LARGEST_NUMBER_BITS = 4_096
_HOLDING = (list, tuple, dict)
# A width that is large, or that is given by an argument: `%999999999d`, `%*d`, `{:{}}`.
_WIDE = re.compile(r"\d{3}|%[^%a-zA-Z]*\*|\{[^}]*\{")


class TemplateTooHungry(TemplateRuntimeError):
    """The template wants more turns, more time or longer texts than any real one."""


def check_replace(text: str, old: Any = "", new: Any = "", *_count: Any) -> None:
    """Refuse what replacing would make."""
    if isinstance(old, str) and isinstance(new, str):
        check(len(text) + text.count(old) * len(new))


def check_join(text: str, items: Iterable[Any] = ()) -> None:
    """Refuse what joining would make."""
    if isinstance(items, list | tuple):
        check(len(text) * len(items) + sum(map(length_of, items)))


def check_format(text: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuse what putting these into a text would make."""
    if _WIDE.search(text):
        raise TemplateTooHungry("the template pads a text too far")
    longest = max(map(length_of, [*args, *kwargs.values()]), default=0)
    check(len(text) + (text.count("%") + text.count("{")) * longest)


# Methods of texts that make long ones out of short ones.
FORESEEN: Mapping[str, Callable[..., None]] = {"join": check_join, "replace": check_replace}


def check_held(value: Any) -> list[Any]:
    """Return what is held that holds something; refuse too many items, or too much text in them.

    Both count as often as they are held: written as text, as a filter may do, they are as long.
    """
    held, text, found = 0, 0, []
    inside = [value]
    while inside:
        each = inside.pop()
        held += len(each)
        if held > _MOST_HELD or text > LONGEST_VALUE:
            raise TemplateTooHungry("the template makes too large a list")
        for item in chain(each, each.values()) if isinstance(each, dict) else each:
            if isinstance(item, str):
                text += len(item)
            elif isinstance(item, _HOLDING):
                inside.append(item)
                found.append(item)
    check(text)
    return found


def check_number(bits: int) -> None:
    """Refuse a number of so many bits, where it is too large."""
    if bits > _LARGEST_NUMBER_BITS:
        raise TemplateTooHungry("the template makes too large a number")


def check(length: int) -> None:
    """Refuse a text of this length, where it is too long."""
    if length > LONGEST_VALUE:
        raise TemplateTooHungry("the template makes too long a text")


def length_of(value: Any) -> int:
    """Return how many characters or items a value has."""
    return len(value) if isinstance(value, str | list | tuple) else 0


def text_length_of(value: Any) -> int:
    """Return how many characters a text has; other values have none."""
    return len(value) if isinstance(value, str) else 0


def times_of(value: Any) -> int:
    """Return a number that multiplies, as a whole one; 0 for anything else."""
    return int(value) if isinstance(value, int | float) else 0


def bits_of(value: Any) -> int:
    """Return how many bits a whole number has."""
    return value.bit_length() if isinstance(value, int) else 0
