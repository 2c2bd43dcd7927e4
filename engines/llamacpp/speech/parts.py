"""The parts that an answer is made of.

Owns: these values.
Must not: read text.
"""

from dataclasses import dataclass, replace
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Content:
    """Text for the reader."""

    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """Text that the model wrote for itself."""

    text: str


@dataclass(frozen=True, slots=True)
class CallBegan:
    """A call of a function that the request offers; `index` counts the calls of an answer."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class CallGrew:
    """The next piece of a call's arguments; the pieces together are one JSON object."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call is whole."""

    index: int


@dataclass(frozen=True, slots=True)
class CallBroke:
    """A call that began turned out to be none.

    `whole` is all that the model wrote of it; `untold` is the end of that, from behind the last
    piece of arguments.
    """

    index: int
    whole: str
    untold: str


Part: TypeAlias = Content | Thought | CallBegan | CallGrew | CallEnded | CallBroke


def joined(parts: list[Part]) -> list[Part]:
    """Return the same parts, neighbours of one kind made one and empty ones left out."""
    found: list[Part] = []
    for part in parts:
        if isinstance(part, Content | Thought | CallGrew):
            if not part.text:
                continue
            last = found[-1] if found else None
            if last is not None and _continues(last, part):
                assert isinstance(last, Content | Thought | CallGrew)  # noqa: S101 - as `part` is
                found[-1] = replace(last, text=last.text + part.text)
                continue
        found.append(part)
    return found


def _continues(last: Part, part: Part) -> bool:
    if isinstance(last, CallGrew) and isinstance(part, CallGrew):
        return last.index == part.index
    return type(last) is type(part)
