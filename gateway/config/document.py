"""A YAML document as plain values, with the place of each.

Owns: which plain values are text, numbers, true and false (YAML 1.2's core schema), duplicate keys,
`${NAME}`, bounds on aliases.
Must not: know any key's meaning.
"""

import re
from collections.abc import Mapping
from typing import Any

import yaml
from yaml.reader import ReaderError

from gateway.config.problems import ConfigError, Problem

Path = tuple[str | int, ...]
MAX_NODES = 100_000  # a few kilobytes of nested aliases expand to billions of nodes

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class _Loader(yaml.SafeLoader):
    """SafeLoader by YAML 1.2: `no` is a word, `2024-11-20` and `1:30` are text, `010` is ten."""


def _whole_number(_loader: _Loader, node: yaml.ScalarNode) -> int:
    text = node.value
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text if base == 10 else text[2:], base)


_Loader.yaml_implicit_resolvers = {}
for _kind, _pattern, _firsts in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(f"(?:{_pattern})\\Z"), list(_firsts)
    )
_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)


class Places:
    """Where each part of a file stands; it holds no values, so it may be kept."""

    def __init__(self, known: Mapping[Path, tuple[int, int]] | None = None) -> None:
        self._known = {} if known is None else known

    def of(self, path: Path) -> tuple[int, int]:
        """Return line and column of a part, or of the nearest part around it."""
        while path and path not in self._known:
            path = path[:-1]
        return self._known.get(path, (1, 1))


class Document:
    """Reads one text; `value` is the plain tree and `places` tell where a part of it stands.

    `problems` are its duplicate keys and the variables that are not set; what stands at the
    `unsure` parts is then not what was meant.

    Raises:
        ConfigError: no YAML, or too many nodes.
    """

    def __init__(self, text: str, file: str, environ: Mapping[str, str]) -> None:
        self._file = file
        self._environ = environ
        self._places: dict[Path, tuple[int, int]] = {}
        self.places = Places(self._places)
        self.problems: list[Problem] = []
        self.unsure: set[Path] = set()
        self._nodes = 0
        self.value: Any = None
        try:
            loader = _Loader(text)
            root = loader.get_single_node()
            if root is not None:
                self.value = self._read(loader, root, ())
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            what = f"this is not YAML: {error.problem or error.context}"
            raise ConfigError((Problem(file, line, column, what),)) from None
        except ReaderError as error:
            raise ConfigError((_unprintable(text, error.position, file),)) from None
        except (yaml.YAMLError, ValueError, RecursionError):
            raise ConfigError((Problem(file, 1, 1, "this is not readable YAML"),)) from None

    def _read(self, loader: _Loader, node: yaml.Node, path: Path) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise yaml.MarkedYAMLError(problem="too many values", problem_mark=node.start_mark)
        self._places.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
        if isinstance(node, yaml.MappingNode):
            return self._read_mapping(loader, node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._read(loader, item, (*path, i)) for i, item in enumerate(node.value)]
        value = _value(loader, node)
        return self._filled(_text(value, node), path) if isinstance(value, str) else value

    def _read_mapping(self, loader: _Loader, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):  # what `{{ NAME }}` of a template is
                what = "a key is no mapping or list; put the value in quotes if it is text"
                raise yaml.MarkedYAMLError(problem=what, problem_mark=key_node.start_mark)
            key = _text(str(key_node.value), key_node)
            place = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if key in found:
                message = f"the key '{key}' appears twice; keep one"
                self.problems.append(Problem(self._file, *place, message))
                self.unsure.add((*path, key))
            self._places[(*path, key)] = place
            found[key] = self._read(loader, value_node, (*path, key))
        return found

    def _filled(self, text: str, path: Path) -> str:
        def value_of(found: re.Match[str]) -> str:
            name: str
            default: str | None
            name, default = found.groups()
            value = self._environ.get(name)
            if not value and default is not None:
                return default
            if value is None:
                message = (
                    f"the environment variable {name} is not set; "
                    f"set it, or write ${{{name}:-default}}"
                )
                self.problems.append(Problem(self._file, *self.places.of(path), message))
                self.unsure.add(path)
                return ""
            return value

        return _VARIABLE.sub(value_of, text)


def _unprintable(text: str, position: int, file: str) -> Problem:
    """Return where the sign stands that YAML does not allow."""
    line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
    sign = f"U+{ord(text[position]):04X}"
    what = f"this is not readable YAML: the control character {sign} stands here; remove it"
    return Problem(file, line, column, what)


def _text(value: str, node: yaml.Node) -> str:
    """Return a text, whose signs beyond U+FFFF JSON writes as two halves.

    Raises:
        yaml.MarkedYAMLError: there is only one half of a sign.
    """
    try:
        return value.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        what = "there is half of a surrogate pair in this text; write the character itself"
        raise yaml.MarkedYAMLError(problem=what, problem_mark=node.start_mark) from None


def _value(loader: _Loader, node: yaml.Node) -> Any:
    """Return what a plain value means.

    Raises:
        yaml.MarkedYAMLError: it is not of its kind, such as the 45th of a month.
    """
    try:
        return loader.construct_object(node)
    except (ValueError, LookupError, AttributeError):  # how PyYAML fails for each kind
        kind = node.tag.rpartition(":")[2]
        what = f"the value cannot be read as '{kind}'; put it in quotes if it is text"
        raise yaml.MarkedYAMLError(problem=what, problem_mark=node.start_mark) from None
