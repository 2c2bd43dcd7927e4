"""A grammar before it is read, and why it cannot be: what the worker and its child tell each other.

Owns: the values.
Must not: read or find anything.
"""

from dataclasses import dataclass
from typing import Literal

from engines.llamacpp.grammar.wish import Kind


@dataclass(frozen=True, slots=True)
class Draft:
    """One of the grammars that make up a whole; others name it as `@name`. The first is the start.

    `lark` is text of our own; the other kinds are what a client sent. `compact` allows no white
    space in JSON. `loose` is what is left of a schema that need not be held, where it cannot be.
    """

    name: str
    kind: Kind | Literal["lark"]
    text: str
    compact: bool = False
    loose: str | None = None


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why drafts cannot be held.

    `draft` names the one at fault, `keyword` and `pointer` (a JSON pointer within its schema) what
    in it, where they are known.
    """

    why: str
    draft: str | None = None
    keyword: str | None = None
    pointer: str | None = None
