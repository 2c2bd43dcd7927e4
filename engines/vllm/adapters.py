"""LoRA adapters as vLLM takes them: a folder as PEFT writes it, or a name on a hub.

Owns: the words for what is neither. Must not: read tensors.
"""

from dataclasses import dataclass
from pathlib import Path

from engines.vllm.weights import folder_of, read_object, source_of
from engines.weights import WeightsProblem

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM makes room for


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter that vLLM serves beside its model; `rank` is the room that it needs, if known."""

    name: str
    source: str
    rank: int | None = None


def adapter_of(name: str, weights: str, scale: float, base: Path) -> Adapter:
    """Return what vLLM is told of an adapter.

    Raises:
        WeightsProblem: there is none, or it is to count more or less than it was trained to.
    """
    told = f"its adapter '{name}'"
    if scale != 1:
        raise WeightsProblem(f"{told}: vLLM knows no adapter_scale; remove it")
    folder = folder_of(weights, base)
    if folder is None:
        try:
            return Adapter(name, source_of(weights, base))
        except WeightsProblem as error:
            raise WeightsProblem(f"{told}: {error}") from None
    if not (folder / "adapter_config.json").is_file():
        raise WeightsProblem(f"{told}: the folder {weights!r} has no adapter_config.json")
    return Adapter(name, str(folder), _room(read_object(folder / "adapter_config.json").get("r")))


def _room(rank: object) -> int | None:
    if not isinstance(rank, int):
        return None
    return next((room for room in _RANKS if room >= rank), _RANKS[-1])
