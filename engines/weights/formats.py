"""A folder of weights: one GGUF model, or a safetensors model as its makers publish it.

Owns: which of the two a folder is, and whether all of it is there.
Must not: know where the folder comes from.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from engines.protocol.unreadable import UNREADABLE
from engines.weights.problems import WeightsProblem
from engines.weights.variants import SizedFile, Variant, picked, variants_in

INDEX = "model.safetensors.index.json"
# Of transformers, of Mistral's own format, of a LoRA adapter.
_CONFIGS = ("config.json", "params.json", "adapter_config.json")


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


@dataclass(frozen=True, slots=True)
class Weights:
    """What an engine is given: a GGUF file (the first of its parts), or a safetensors folder."""

    path: Path
    format: Literal["gguf", "safetensors"]
    files: tuple[Path, ...]
    quantisation: str = ""

    @property
    def size_bytes(self) -> int:
        """What all files take."""
        return sum(path.stat().st_size for path in self.files)


def weights_in(folder: Path, files: Iterable[SizedFile], pick: str | None, what: str) -> Weights:
    """Return the model among the files of a folder; `what` names the folder in messages.

    Raises:
        WeightsProblem: none, several, or a part of one.
    """
    found = list(files)
    variants = variants_in(found, pick)
    if not variants and pick is None and any(_is_safetensors(file.path) for file in found):
        return _safetensors(folder, found, what)
    return weights_of(folder, picked(variants, pick, what), what)


def weights_of(folder: Path, variant: Variant, what: str) -> Weights:
    """Return a GGUF model in a folder.

    Raises:
        WeightsProblem: parts are missing.
    """
    if variant.missing:
        parts = ", ".join(map(str, variant.missing))
        raise WeightsProblem(
            f"{what} is incomplete: of the {variant.expected_parts} parts of "
            f"{Path(variant.stem).name} there is no {parts}"
        )
    files = tuple(folder / file.path for file in variant.files)
    return Weights(files[0], "gguf", files, variant.quantisation)


def wanted_safetensors(files: Iterable[SizedFile]) -> list[SizedFile]:
    """Return what a server needs of a repository: weights once, configuration, tokenizer."""
    every = list(files)
    sharded = any(file.path.startswith("model") and _is_safetensors(file.path) for file in every)
    return [
        file
        for file in every
        if "/" not in file.path  # other formats and originals lie in folders
        and not file.path.lower().endswith(_NOT_NEEDED)
        and not file.path.startswith(".")
        and not (sharded and file.path.startswith("consolidated"))
    ]


_NOT_NEEDED = (
    *(".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".ot", ".gguf", ".ckpt", ".pdf"),
    *(".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".mp4", ".zip"),
)


def _safetensors(folder: Path, found: list[SizedFile], what: str) -> Weights:
    names = {file.path for file in found}
    wanted = _shards(folder) if INDEX in names else set()
    missing = sorted(wanted - names)
    if not names & set(_CONFIGS):
        missing.append(_CONFIGS[0])
    if missing:
        raise WeightsProblem(f"{what} is incomplete: there is no {', '.join(missing[:3])}")
    files = tuple(folder / file.path for file in found if _is_safetensors(file.path))
    return Weights(folder, "safetensors", files)


def _shards(folder: Path) -> set[str]:
    try:
        index = msgspec.json.decode((folder / INDEX).read_bytes(), type=_Index)
    except (OSError, *UNREADABLE):
        raise WeightsProblem(f"{INDEX} cannot be read; fetch it again") from None
    return set(index.weight_map.values())


def _is_safetensors(path: str) -> bool:
    return path.lower().endswith(".safetensors") and "/" not in path
