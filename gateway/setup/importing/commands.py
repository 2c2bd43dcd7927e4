"""What a command line starts, in the words of `routing.yaml`.

Owns: the shape of it. Must not: read command lines.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Command:
    """`model` and `engine` are keys of an entry of `models:` and of `engines:`.

    `kind` is a kind of engine, "" for a program that is none. `unknown` are the flags without a
    counterpart, each with its value.
    """

    kind: str
    model: Mapping[str, Any] = field(default_factory=dict)
    engine: Mapping[str, Any] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
