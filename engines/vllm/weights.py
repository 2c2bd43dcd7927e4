"""What `weights:` means to vLLM: a folder with a config.json, or a name on a hub that it fetches.

Owns: the words for what is neither; what a folder's config.json says.
Must not: fetch anything; read tensors.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from engines.protocol.unreadable import UNREADABLE
from engines.weights import WeightsProblem, locate

_HUB = re.compile(r"^\w[\w.-]*/\w[\w.-]*$")
_QUANTISED = re.compile(r"^\w[\w.-]*/\w[\w.-]*:[\w.-]+$")
_CONFIGS = ("config.json", "params.json")  # of transformers, and of Mistral's own format
_OBJECT = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """What a folder's config.json says; None where it does not."""

    context_tokens: int | None = None
    generates: bool | None = None


def source_of(weights: str, base: Path) -> str:
    """Return what vLLM is told: an absolute folder, or the name on a hub as it was written.

    Messages name the value as it was written, never the folder: clients may see them.

    Raises:
        WeightsProblem: it is neither.
    """
    folder = folder_of(weights, base)
    if folder is not None:
        if any((folder / name).is_file() for name in _CONFIGS):
            return str(folder)
        raise WeightsProblem(f"the folder {weights!r} has no config.json, which vLLM needs")
    if weights.startswith("demo:"):
        raise WeightsProblem("the demo models are GGUF files, for engines of kind llamacpp")
    if weights.endswith(".gguf") or _QUANTISED.match(weights):
        what = f"{weights!r} is a GGUF file, for engines of kind llamacpp"
        raise WeightsProblem(f"{what}; vLLM takes a folder of safetensors or a hub's OWNER/NAME")
    if _HUB.match(weights):
        return weights
    raise WeightsProblem(
        f"there is no folder {weights!r} (relative paths start at the configuration file), and a "
        "name on a hub is OWNER/NAME"
    )


def is_hub_name(weights: str) -> bool:
    """Say whether a value may be a name on a hub."""
    return _HUB.match(weights) is not None


def folder_of(weights: str, base: Path) -> Path | None:
    """Return the folder of this machine that `weights` names, None where it names none."""
    try:
        path = base / Path(weights).expanduser()
        return path.resolve() if weights and path.is_dir() else None
    except (OSError, RuntimeError):  # not to be looked at; no such user
        return None


def pulled_folder(weights: str, base: Path) -> Path | None:
    """Return the folder with what has been fetched of a hub's name; None where vLLM has to."""
    if not _HUB.match(weights):
        return None
    try:
        found = locate(weights, base)
    except WeightsProblem:
        return None
    return found.path if found.format == "safetensors" else None


def facts_of_folder(folder: Path) -> FolderFacts:
    """Read what a gateway wants to know of a model before it runs."""
    config = read_object(folder / "config.json")
    text = config.get("text_config")
    inner = text if isinstance(text, dict) else {}
    context = config.get("max_position_embeddings") or inner.get("max_position_embeddings")
    names = [name for name in config.get("architectures") or () if isinstance(name, str)]
    ends = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")
    return FolderFacts(
        context_tokens=context if isinstance(context, int) else None,
        generates=any(name.endswith(ends) for name in names) if names else None,
    )


def read_object(path: Path) -> dict[str, Any]:
    """Return a JSON file's object, an empty one where it cannot be read."""
    try:
        return _OBJECT.decode(path.read_bytes())
    except (OSError, *UNREADABLE):
        return {}
