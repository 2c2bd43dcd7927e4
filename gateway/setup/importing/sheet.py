"""A routing file as it fills up, and what of the other file finds no place in it.

Owns: names that are unique, engines of which there is one for each way to run or reach models.
Must not: know the other tool's words, or write text.
"""

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from gateway.config.document import Path
from gateway.config.names import is_reserved
from gateway.config.vocabulary import AUTO, ORDER_VARIANTS, TASK_VARIANTS
from gateway.setup.yaml_text import Variable

_NO_NAME = re.compile(r"[^A-Z0-9]+")
# What people write where a server wants no key.
_NO_KEYS = frozenset(
    {"", "none", "null", "empty", "fake", "fake-key", "dummy", "anything", "no-key", "not-needed"}
)


@dataclass(frozen=True, slots=True)
class Left:
    """A part of the other file that is not carried over: where it stands, and what instead."""

    path: Path
    what: str


class Sheet:
    """Filled in by a reader of one tool's files."""

    def __init__(self) -> None:
        self.gateway: dict[str, Any] = {}
        self.residency: dict[str, Any] = {}
        self.engines: dict[str, dict[str, Any]] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.aliases: dict[str, str] = {}
        self.routes: list[dict[str, Any]] = []
        self.left: list[Left] = []
        self.variables: dict[str, None] = {}

    def leave(self, path: Path, what: str) -> None:
        """Note what is not carried over."""
        self.left.append(Left(path, what))

    def engine(self, name: str, section: Mapping[str, Any]) -> str:
        """Return the engine that is run or reached so, a new one under a free name if need be."""
        for known, other in self.engines.items():
            if other == section:
                return known
        free = free_name(name, self.engines)
        self.engines[free] = dict(section)
        return free

    def model(self, name: str, section: Mapping[str, Any]) -> str:
        """Add a model and return its name: the given one where it is free."""
        free = free_name(name, {*self.models, *self.aliases})
        self.models[free] = dict(section)
        return free

    def alias(self, path: Path, name: str, target: str) -> None:
        """Add an alias, or note why it cannot be one."""
        if not name.strip() or is_reserved(name) or name in self.models or name in self.aliases:
            self.leave(path, f"the name {name!r} is taken or reserved here; choose another")
        else:
            self.aliases[name] = target

    def rule(self, name: str, use: Any) -> None:
        """Let a name that clients ask for mean several models, by a rule of its own."""
        variant = name if name not in (*ORDER_VARIANTS, *TASK_VARIANTS) else f"{name}-group"
        self.aliases[name] = f"{AUTO}:{variant}"
        self.routes.append({"name": name[:64], "when": {"variant": variant}, "use": use})

    def key(self, path: Path, given: object, engine: str) -> Variable | None:
        """Return the variable that holds a key; a key that stands in the file is not repeated."""
        text = "" if given is None else str(given)
        if text.lower() in _NO_KEYS:
            return None
        if text.startswith("os.environ/"):
            name = text.removeprefix("os.environ/")
        elif found := re.fullmatch(r"\$\{(?:env\.)?(\w+)(?::-.*)?\}", text):
            name = found[1]
        else:
            name = f"{_NO_NAME.sub('_', engine.upper()).strip('_')}_KEY"
            self.leave(
                path, f"the key is in the file itself; put it into the variable {name} instead"
            )
        if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) is None:
            self.leave(path, "this is not the name of an environment variable; set api_key by hand")
            return None
        self.variables[name] = None
        return Variable(name)


def free_name(wanted: str, taken: Container[str]) -> str:
    """Return a name that is neither taken nor reserved: the wanted one where that will do."""
    return next(name for name in _numbered(wanted) if name not in taken)


def _numbered(wanted: str) -> Iterator[str]:
    base = wanted.strip() or "model"
    if is_reserved(base):  # by its beginning, which a number at the end does not change
        base = f"model-{base}"
    yield base
    for number in count(2):
        yield f"{base}-{number}"


def mapping(value: object) -> Mapping[str, Any]:
    """Return a mapping, an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def listed(value: object) -> list[Any]:
    """Return a list, an empty one for anything else."""
    return value if isinstance(value, list) else []


def whole(value: object, least: int = 1, most: int = 1 << 31) -> int | None:
    """Return a whole number in these bounds, also of digits in a text; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = int(value)
    except (ValueError, OverflowError):
        return None
    return number if least <= number <= most else None


def seconds(value: object) -> float | int | None:
    """Return a time that the file may hold, None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    if not 0 < number <= 86_400:
        return None
    return int(number) if number == int(number) else number
