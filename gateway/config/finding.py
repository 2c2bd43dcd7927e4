"""What a check found, before it has a place in a file.

Owns: one finding, and the words for a name that nobody has.
Must not: find anything.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.config.document import Path
from gateway.config.vocabulary import near

_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence about the part of the file at `path`.

    `leans_on` are the other parts that made it so; "*" stands for any name or number.
    """

    path: Path
    message: str
    leans_on: tuple[Path, ...] = ()


def missing(what: str, name: str, known: Iterable[str]) -> str:
    """Return that there is no such thing, with the nearest name or else all that there are."""
    names = tuple(known)
    hint = near(name, names)
    if not hint and 0 < len(names) <= _SHOWN:
        hint = f"; there {'is' if len(names) == 1 else 'are'} {', '.join(names)}"
    return f"there is no {what} '{name}'{hint}"


def placed(path: Path, words: str | tuple[str, ...]) -> Iterable[tuple[Path, str]]:
    """Return each word of a value that may be one or a list, with its path."""
    if isinstance(words, str):
        return ((path, words),)
    return (((*path, index), word) for index, word in enumerate(words))
