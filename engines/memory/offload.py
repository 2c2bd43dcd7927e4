"""How many layers of a model go onto the GPUs that there are.

Owns: the decision for `gpu_layers: auto`, and who gets which part of the layers.
Must not: ask a driver.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from engines.memory.gguf_need import GgufSettings, need_of_gguf
from engines.weights.description import Description

# A process's context on a GPU takes some hundreds of MiB, by the driver; not measured here.
CONTEXT_BYTES = 512 << 20


def shared_out(settings: GgufSettings, free: Mapping[str, int]) -> GgufSettings:
    """Return the settings with the layers shared out by free bytes, as llama.cpp shares them."""
    return replace(settings, gpus=tuple(free), gpu_shares=tuple(map(float, free.values())))


def layers_that_fit(
    parts: Sequence[Description], settings: GgufSettings, free: Mapping[str, int]
) -> int:
    """Return the most layers that fit into the `free` bytes of each GPU; -1 is all, the output too.

    `parts` describe the model's files.
    """
    if not free or not all(free.values()):
        return 0
    placed = shared_out(settings, free)
    layers = parts[0].number("block_count")
    counts: tuple[int, ...] = (-1, *range(layers, 0, -1))
    for count in counts:
        need = need_of_gguf(parts, replace(placed, gpu_layers=count))
        if all(need.on(gpu) + CONTEXT_BYTES <= room for gpu, room in free.items()):
            return count
    return 0
