"""Which tool wrote a file, and what it comes to here.

Owns: telling the tools apart, the text of the result, the list of what is left out.
Must not: write to disk.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from engines.families import load_catalogue
from gateway.config.document import Document, Places
from gateway.config.loading import parse_config
from gateway.config.problems import ConfigError, Problem
from gateway.setup.draft import draft
from gateway.setup.importing.litellm import read_litellm
from gateway.setup.importing.llama_swap import read_llama_swap
from gateway.setup.importing.ollama import (
    URL,
    is_list,
    names_in_list,
    names_in_tags,
    sources_of,
)
from gateway.setup.importing.sheet import Sheet, listed, mapping
from gateway.setup.importing.text import sheet_text
from gateway.setup.rules import rules_for
from gateway.setup.writing import written


class Origin(StrEnum):
    """The tools whose files are read."""

    LITELLM = "litellm"
    LLAMA_SWAP = "llama-swap"
    OLLAMA = "ollama"


class NotReadable(ValueError):
    """The file is none of a tool that is known; the message says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A `routing.yaml` and what was left out of it, each with its place in the other file.

    `variables` have to be set before it is served.
    """

    origin: Origin
    text: str
    models: int
    left: tuple[Problem, ...] = ()
    variables: tuple[str, ...] = ()


_READERS: Mapping[Origin, Callable[[Mapping[str, Any], Sheet], None]] = MappingProxyType(
    {Origin.LITELLM: read_litellm, Origin.LLAMA_SWAP: read_llama_swap}
)


def read_foreign(
    text: str, source: str, origin: Origin | None = None, ollama_url: str = URL
) -> Reading:
    """Return what a file of another tool comes to.

    `source` names the file in messages; with `origin` None the tool is told by what stands in it.

    Raises:
        NotReadable: it is of no known tool, or holds no model that can be carried over.
    """
    if origin in (None, Origin.OLLAMA) and is_list(text):
        return _ollama(names_in_list(text), ollama_url, source)
    tree, places = _tree(text, source)
    origin = origin or _told(tree, source)
    if origin is Origin.OLLAMA:
        return _ollama(names_in_tags(tree), ollama_url, source)
    sheet = Sheet()
    _READERS[origin](tree, sheet)
    found = {Problem(source, *places.of(o.path), _said(o.path, o.what)) for o in sheet.left}
    left = tuple(sorted(found))
    if not sheet.models:
        reasons = "".join(f"\n{one}" for one in left)
        raise NotReadable(f"{source} names no model that can be carried over{reasons}")
    result = sheet_text(sheet, origin.value)
    return _proved(Reading(origin, result, len(sheet.models), left, tuple(sheet.variables)))


def _said(path: tuple[str | int, ...], what: str) -> str:
    names = [str(part) for part in path if isinstance(part, str)]
    return f"{'.'.join(names[-3:])}: {what}"


def _tree(text: str, source: str) -> tuple[Mapping[str, Any], Places]:
    """Return the tree of a YAML or JSON file; `${NAME}` in it stays as it is."""
    if text.lstrip().startswith("{"):
        try:
            return mapping(json.loads(text)), Places()
        except (ValueError, RecursionError):
            pass  # YAML may begin so, too
    try:
        document = Document(text, source, _Unread())
    except ConfigError as error:
        raise NotReadable(str(error)) from None
    return mapping(document.value), document.places


class _Unread(dict[str, str]):
    """An environment in which each variable is its own name."""

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ARG002 - as Mapping has it
        return f"${{{name}}}"


def _told(tree: Mapping[str, Any], source: str) -> Origin:
    if "model_list" in tree:
        return Origin.LITELLM
    models = tree.get("models")
    if isinstance(models, Mapping) and any("cmd" in mapping(one) for one in models.values()):
        return Origin.LLAMA_SWAP
    if any("name" in mapping(row) for row in listed(models)):
        return Origin.OLLAMA
    raise NotReadable(
        f"{source} is neither a configuration of LiteLLM (model_list:) or llama-swap (models: with "
        "cmd:) nor a list of Ollama's models (`ollama list`, /api/tags); name the tool with --from"
    )


def _ollama(names: list[str], url: str, source: str) -> Reading:
    if not names:
        raise NotReadable(f"{source} lists no model")
    found = draft(sources_of(names, url), load_catalogue())
    text = written(found, rules_for(found.models), "import", "a list of Ollama's models")
    return _proved(Reading(Origin.OLLAMA, text, len(found.models)))


def _proved(reading: Reading) -> Reading:
    """Return the reading, once its text has been read as `serve` would read it."""
    try:
        parse_config(reading.text, "routing.yaml", dict.fromkeys(reading.variables, "-"))
    except ConfigError as error:
        raise NotReadable(
            f"what it comes to cannot be served; please report this: {error}"
        ) from None
    return reading
