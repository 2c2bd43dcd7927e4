"""A list of Ollama's models: what `ollama list` prints, or the JSON of `/api/tags`.

Owns: the shape of both. Must not: judge what a model is (`gateway.setup.draft` does).
"""

import re
from collections.abc import Mapping
from typing import Any

from gateway.setup.importing.sheet import listed, mapping
from gateway.setup.sources import Listed, Server, Sources

URL = "http://localhost:11434/v1"
_HEAD = re.compile(r"^NAME\s+ID\s+SIZE\s+MODIFIED\s*$")
_ROW = re.compile(r"^(\S+)\s+([0-9a-f]{12}|-)\s")


def is_list(text: str) -> bool:
    """Say whether a text is what `ollama list` prints."""
    lines = [line for line in text.splitlines() if line.strip()]
    return bool(lines) and _HEAD.match(lines[0].strip()) is not None


def names_in_list(text: str) -> list[str]:
    """Return the names in what `ollama list` prints."""
    return [row[1] for line in text.splitlines() if (row := _ROW.match(line.strip()))]


def names_in_tags(tree: Mapping[str, Any]) -> list[str]:
    """Return the names in the JSON of `/api/tags`."""
    rows = [mapping(row) for row in listed(tree.get("models"))]
    return [str(row.get("name") or row.get("model")) for row in rows if row]


def sources_of(names: list[str], url: str) -> Sources:
    """Return the server that these models are on, as if it had been asked."""
    models = tuple(Listed(name) for name in dict.fromkeys(names))
    return Sources(servers=(Server(url, models, owner="library"),))
