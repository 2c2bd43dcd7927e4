"""What the schema refuses, in words that a writer of the file can act on.

Owns: the wording of pydantic's errors, and which key a misspelt one means.
Must not: read files, mend anything.
"""

import difflib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from engines.kinds.section import Section
from gateway.config.document import Path
from gateway.config.finding import Finding, missing

# What pydantic calls a value of the wrong shape -> what the shape is called in YAML.
_SHAPES = {
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "a mapping (`key: value`)",
    "model_type": "a mapping (`key: value`)",
    "model_attributes_type": "a mapping (`key: value`)",
}
# What it calls a plain value of another kind -> what it should be.
_VALUES = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number, such as 4096"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "`true` or `false`"),
}
# So alike is a key to another when somebody has only forgotten, or added, an s.
_SURELY_ALIKE = 0.88


@dataclass(frozen=True, slots=True)
class Refusal:
    """One of pydantic's errors at its path in the file.

    Of an unknown key, `meant` is the key that it surely or probably means; `fills` says that just
    this key is missing beside it.
    """

    path: Path
    detail: Any
    meant: str | None = None
    fills: bool = False


def refusals_in(tree: Any, error: ValidationError) -> tuple[Refusal, ...]:
    """Return what was refused, a missing key left out where a misspelt one beside it means it."""
    details = [(_path_in(tree, detail), detail) for detail in error.errors()]
    absent = {path for path, detail in details if detail["type"] == "missing"}
    found: list[Refusal] = []
    for path, detail in details:
        if detail["type"] == "extra_forbidden":
            beside = {one[-1] for one in absent if one[:-1] == path[:-1]}
            meant = _meant(path, [str(key) for key in beside])
            found.append(Refusal(path, detail, meant, meant in beside))
        else:
            found.append(Refusal(path, detail))
    filled = {(*one.path[:-1], one.meant) for one in found if one.fills}
    return tuple(r for r in found if r.detail["type"] != "missing" or r.path not in filled)


def worded(refusals: Collection[Refusal]) -> Iterator[Finding]:
    """Yield the sentences, one for each place and key."""
    told: dict[tuple[Path, str], list[str]] = {}
    for one in refusals:
        where = one.path
        if one.detail["type"] in _SHAPES and any(_says_more(other, where) for other in refusals):
            continue
        head, tail = _words(one)
        told.setdefault((where, head), []).append(tail)
    for (where, head), tails in told.items():
        # Where a value may be one thing or another, each of them says why it is not it.
        yield Finding(where, head + ", or ".join(dict.fromkeys(tails)))


def _says_more(refusal: Refusal, where: Path) -> bool:
    """Say whether a refusal tells what is wrong in a value that might have another shape too."""
    if refusal.path[: len(where)] != where:
        return False
    return refusal.path != where or refusal.detail["type"] not in _SHAPES


def _words(refusal: Refusal) -> tuple[str, str]:
    """Return what is wrong in two parts; those with one first part at one place are joined."""
    where, detail = refusal.path, refusal.detail
    kind, context = detail["type"], detail.get("ctx", {})
    name = str(where[-1]) if where else ""
    if kind == "extra_forbidden":
        return f"unknown key '{name}'{_key_hint(refusal, name)}", ""
    if kind == "missing":
        return f"the key '{name}' is missing", ""
    if kind == "union_tag_not_found":
        return f"the key {context['discriminator']} is missing", ""
    if kind == "union_tag_invalid":
        kinds = re.findall(r"'([^']+)'", context["expected_tags"])
        return missing("kind of engine", context["tag"], kinds), ""
    head = f"'{name}': " if name else "the file: "
    if kind in _SHAPES:
        return f"{head}this should be ", _SHAPES[kind]
    return head, f"this should be {_VALUES[kind]}" if kind in _VALUES else _message(detail["msg"])


def _message(said: str) -> str:
    message = said.removeprefix("Value error, ").partition(" after validation")[0]
    message = message[:1].lower() + message[1:]
    return re.sub("^dictionary", "the mapping", re.sub("^tuple", "the list", message))


def _key_hint(refusal: Refusal, name: str) -> str:
    if refusal.meant is not None:
        return f"; did you mean '{refusal.meant}'?"
    if name == "<<":
        return ": YAML 1.2 has no merge keys; write out what they stand for"
    owners = [section for section in Section.__subclasses__() if name in _keys_of(section)]
    places = dict.fromkeys(_place_in_file(section) for section in owners)
    return f" here; it belongs to {' or '.join(places)}" if places else ""


def _meant(path: Path, beside: list[str]) -> str | None:
    """Return a missing key that is near, or one of the same section that surely is meant.

    Else it is any near key, unless the name is a key itself, elsewhere.
    """
    name, sections = str(path[-1]), Section.__subclasses__()
    known = frozenset(key for section in sections for key in _keys_of(section))
    here = {key for section in sections if _stands_at(section, path) for key in _keys_of(section)}
    close = difflib.get_close_matches(name, sorted(beside), n=1)
    if not close:
        close = difflib.get_close_matches(name, sorted(here), n=1, cutoff=_SURELY_ALIKE)
    if not close and name not in known:
        close = difflib.get_close_matches(name, sorted(known), n=1)
    return close[0] if close else None


def _stands_at(section: type[Section], path: Path) -> bool:
    """Say whether a section is the one around a key, by what names it in the file."""
    around = next((part for part in reversed(path[:-1]) if isinstance(part, str)), None)
    return _place_in_file(section) == ("`routing.yaml`" if around is None else f"`{around}:`")


def _place_in_file(section: type[Section]) -> str:
    """Return the first code span of a section's docstring, which says where it stands."""
    found = re.search(r"`[^`]+`", section.__doc__ or "")
    return found.group() if found else section.__name__


def _keys_of(section: type[Section]) -> frozenset[str]:
    return frozenset(field.alias or name for name, field in section.model_fields.items())


def _path_in(tree: Any, detail: Any) -> Path:
    """Return the path of an error in the file: pydantic's also names branches of unions."""
    path: list[str | int] = []
    node = tree
    location = detail["loc"]
    for part in location:
        if isinstance(node, dict) and part in node:
            node = node[str(part)]
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
        elif detail["type"] != "missing" or part != location[-1]:
            continue
        path.append(part)
    return (*path, "kind") if detail["type"] == "union_tag_invalid" else tuple(path)
