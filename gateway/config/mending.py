"""Reading on in a file of which the schema refuses parts, so that one look tells every problem.

| the schema refuses | then the rest is checked |
|---|---|
| an unknown key beside a missing one that is near | as if it were spelt so |
| a key that may be left out | without it |
| a key, an entry or a section that may not | with something in its place, under its own name |

Owns: what stands in for a refused part, and which findings hold all the same: none that a refused
part may have made, so that one mistake is told once.
Must not: word anything, find anything.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from gateway.config.document import Path
from gateway.config.finding import Finding
from gateway.config.refusals import Refusal, refusals_in, worded
from gateway.config.schema import RoutingFile

# Each round leaves out larger parts of what is still refused; a path has fewer parts than this.
_ROUNDS = 8
_SERVER = {"kind": "remote", "url": "http://stand.in"}
_STAND_INS: Mapping[Path, Any] = {
    ("engines",): {"?": _SERVER},
    ("engines", "*"): _SERVER,
    ("engines", "*", "url"): _SERVER["url"],
    ("models",): {"?": {"engine": ""}},
    ("models", "*"): {"engine": ""},
    ("models", "*", "engine"): "",
    ("routes", "*"): {"name": "?", "use": "?"},
    ("routes", "*", "name"): "?",
    ("routes", "*", "use"): "?",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What could be read: `file` holds stand-ins for the `lost` parts; None where nothing holds.

    `refusals` say what the schema refused; without any, `file` is what stands in the text.
    """

    file: RoutingFile | None
    refusals: tuple[Finding, ...]
    lost: frozenset[Path]
    respelt: Mapping[Path, Path]

    def sound(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Yield the findings that no lost part can have made, at the places as written."""
        for one in findings:
            made = any(_overlap(part, lost) for part in one.leans_on for lost in self.lost)
            if not made and not _within(one.path, self.lost):
                yield Finding(_as_written(one.path, self.respelt), one.message)


@dataclass(slots=True)
class _Draft:
    """The tree while it is mended."""

    tree: Any
    lost: set[Path]
    left_out: set[Path] = field(default_factory=set)
    respelt: dict[Path, Path] = field(default_factory=dict)

    def mend(self, refusals: Iterable[Refusal]) -> bool:
        """Respell or leave out what was refused; False when that would be the whole file."""
        parts: dict[Path, None] = {}
        for one in refusals:
            if one.meant is not None:
                meant = (*one.path[:-1], one.meant)
                if one.fills:
                    self._respell(one.path, meant)
                    continue
                self.lost.add(meant)
            parts[_part(one.path)] = None
        for part in parts:
            while part in self.left_out:  # without it, too, the part around it is refused
                part = part[:-1]  # noqa: PLW2901 - the part that is really left out
            if not part:
                return False
            self._leave_out(part)
        return True

    def _respell(self, written: Path, meant: Path) -> None:
        mapping = _at(self.tree, written[:-1])
        mapping[meant[-1]] = mapping.pop(written[-1])
        self.respelt[meant] = written

    def _leave_out(self, part: Path) -> None:
        self.left_out.add(part)
        self.lost.add(part)
        around, key = _at(self.tree, part[:-1]), part[-1]
        stand_in = _stand_in(part)
        if stand_in is not None and isinstance(around, dict | list):
            around[key] = copy.deepcopy(stand_in)  # type: ignore[index]  # of a list it is an int
        elif isinstance(around, dict):
            around.pop(key, None)


def read(tree: Any, unsure: Iterable[Path]) -> Reading:
    """Read a tree, without what the schema refuses; `unsure` parts count as lost."""
    draft = _Draft(copy.deepcopy(tree), set(unsure))
    told: dict[Finding, None] = {}
    for _ in range(_ROUNDS):
        try:
            file = RoutingFile.model_validate(draft.tree)
        except ValidationError as error:
            refusals = refusals_in(draft.tree, error)
        else:
            return Reading(file, tuple(told), frozenset(draft.lost), draft.respelt)
        for one in worded(refusals):
            if not _made_by_lost(one.path, draft):
                told[Finding(_as_written(one.path, draft.respelt), one.message)] = None
        if not draft.mend(refusals):
            break
    return Reading(None, tuple(told), frozenset(draft.lost), draft.respelt)


def _made_by_lost(path: Path, draft: _Draft) -> bool:
    """Say whether what is refused here is lost, or is a plain value with a lost part in it."""
    if _within(path, draft.lost):
        return True
    plain = not isinstance(_at(draft.tree, path), dict)
    return plain and any(lost[: len(path)] == path for lost in draft.lost)


def _part(path: Path) -> Path:
    """Return the smallest part around a refused one that can be left out or stood in for."""
    match path:
        case ("engines", _, "kind", *_):
            return path[:2]
        case ("routes", _, "when" | "require", _, *_):
            return path[:4]
        case ("engines" | "models" | "routes", _, _, *_):
            return path[:3]
        case ("sizes", *_):
            return path[:1]
        case _:
            return path[:2]


def _stand_in(part: Path) -> Any:
    match part:
        case ("aliases", name):
            return name  # a circle, which counts as a name that leads nowhere
        case ("models", _, "aliases"):
            return None
    wild = tuple("*" if at == 1 else key for at, key in enumerate(part))
    return _STAND_INS.get(wild)


def _at(tree: Any, path: Path) -> Any:
    node = tree
    for key in path:
        if isinstance(node, dict):
            node = node.get(key)
        elif isinstance(node, list) and isinstance(key, int) and key < len(node):
            node = node[key]
        else:
            return None
    return node


def _within(path: Path, lost: Iterable[Path]) -> bool:
    return any(path[: len(one)] == one for one in lost)


def _overlap(one: Path, other: Path) -> bool:
    """Say whether one path is the other or stands around it; "*" is any name."""
    return all(a == b or "*" in (a, b) for a, b in zip(one, other, strict=False))


def _as_written(path: Path, respelt: Mapping[Path, Path]) -> Path:
    for meant, written in reversed(list(respelt.items())):
        if path[: len(meant)] == meant:
            path = (*written, *path[len(meant) :])
    return path
