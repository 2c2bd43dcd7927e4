"""Plain values as YAML text that reads well and means exactly these values.

Owns: when a text is quoted, when a mapping stands on one line, and what keeps `${NAME}` from being
read as a variable.
Must not: know any key.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

WIDTH = 100
_PLAIN = re.compile(r"(?:\.{0,2}/)?[A-Za-z][A-Za-z0-9._/-]*")
# YAML 1.1 takes these for something else than text, and so do other readers of the file.
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_VARIABLE = re.compile(r"\$(?=\{[A-Za-z_])")
# The file has no escape for `${`: a variable that nobody sets gives the `$` by its default.
_DOLLAR = "${DOLLAR:-$}"


class Variable(str):
    """The name of an environment variable, to be written as `${NAME}`."""

    __slots__ = ()


def scalar(value: object, *, is_key: bool = False) -> str:
    """Return one value on one line, quoted where it would be read as something else.

    `${...}` in a stranger's text stays text: it must not draw a secret from the environment. In
    keys it is text anyway.
    """
    if isinstance(value, Variable):
        return f'"${{{value}}}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if not is_key:
        text = _VARIABLE.sub(lambda _: _DOLLAR, text)
    quoted: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=1 << 30)
    return quoted.rstrip("\n")


def flow(value: object) -> str:
    """Return a value of any depth on one line."""
    if isinstance(value, Mapping):
        inner = ", ".join(
            f"{scalar(key, is_key=True)}: {flow(part)}" for key, part in value.items()
        )
        return f"{{{inner}}}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(flow, value))}]"
    return scalar(value)


def entry(key: str, value: Mapping[str, Any], indent: int) -> list[str]:
    """Return `key: {...}` on one line, or where it is too long one line for each part."""
    start = f"{' ' * indent}{scalar(key, is_key=True)}:"
    whole = f"{start} {flow(value)}"
    if len(whole) <= WIDTH:
        return [whole]
    return [start, *_parts(value, indent + 2)]


def item(value: Mapping[str, Any], indent: int) -> list[str]:
    """Return `- {...}` on one line, or where it is too long one line for each part."""
    whole = f"{' ' * indent}- {flow(value)}"
    if len(whole) <= WIDTH:
        return [whole]
    first, *others = _parts(value, indent + 2)
    return [f"{' ' * indent}- {first.lstrip()}", *others]


def comment(text: str, indent: int) -> list[str]:
    """Return a text as lines of comment."""
    lead = f"{' ' * indent}# "
    return [lead + line for line in _filled(text.split(" "), WIDTH - len(lead), " ")]


def _parts(value: Mapping[str, Any], indent: int) -> list[str]:
    return [line for key, part in value.items() for line in _part(key, part, indent)]


def _part(key: str, value: object, indent: int) -> list[str]:
    start = f"{' ' * indent}{scalar(key, is_key=True)}:"
    whole = f"{start} {flow(value)}"
    if len(whole) <= WIDTH or not isinstance(value, Sequence | Mapping) or isinstance(value, str):
        return [whole]
    if isinstance(value, Mapping):
        return [start, *_parts(value, indent + 2)]
    room = WIDTH - indent - 4
    lines = _filled([*(f"{flow(one)}," for one in value[:-1]), flow(value[-1])], room, " ")
    inner = [f"{' ' * (indent + 4)}{line}" for line in lines]
    return [f"{start} [", *inner, f"{' ' * (indent + 2)}]"]


def _filled(pieces: Iterable[str], width: int, between: str) -> list[str]:
    """Return the pieces joined to lines that keep to the width where the pieces allow it."""
    lines: list[str] = []
    for piece in pieces:
        if lines and len(lines[-1]) + len(between) + len(piece) <= width:
            lines[-1] += between + piece
        else:
            lines.append(piece)
    return lines
