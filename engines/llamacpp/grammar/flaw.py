"""Why a part of a wish cannot be held.

Owns: the value that says so, here and between processes.
Must not: find it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flaw:
    """`keyword` and `pointer` (a JSON pointer within the schema) where they are known."""

    why: str
    keyword: str | None = None
    pointer: str | None = None
