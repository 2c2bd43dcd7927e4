"""What a `vllm serve` will take: the share that it is given, or what it is told to keep.

Owns: reckoning it from a folder's tensors and the options.
Must not: read files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from engines.memory.need import RAM, MemoryNeed, Part

GIB = 1 << 30

# vLLM's own, where no option says another.
DEFAULT_SHARE = 0.92
# Measured on vLLM for CPUs: the API server and one engine process without weights and cells.
_PROCESSES_BYTES = 21 * GIB // 10
# Of each GPU: what the driver and the kernels keep for a process that has given all else up.
_ASLEEP_BYTES = 3 * GIB // 2


@dataclass(frozen=True, slots=True)
class VllmSettings:
    """How a server is started.

    `gpus` are the bytes that each of its GPUs has: of each it takes the `share`; without one, and
    without `cells_bytes`, it takes the `share` of `ram_bytes`. `cells_bytes` is what it is told to
    keep for KV cells, and then the rest comes on top.
    """

    gpus: Mapping[str, int] = field(default_factory=dict)
    ram_bytes: int = 0
    share: float = DEFAULT_SHARE
    cells_bytes: int | None = None


def need_of_vllm(tensor_bytes: int, settings: VllmSettings) -> MemoryNeed:
    """Return what a server takes: vLLM lays claim to all of it when it starts."""
    process = Part("process", RAM, _PROCESSES_BYTES)
    if not settings.gpus:
        parts = _on(RAM, settings.ram_bytes, tensor_bytes, settings)
        return MemoryNeed((*parts, process))
    each = tensor_bytes // len(settings.gpus)
    parts = tuple(
        part
        for device, total in settings.gpus.items()
        for part in _on(device, total, each, settings)
    )
    return MemoryNeed((*parts, process))


def asleep(need: MemoryNeed) -> MemoryNeed:
    """Return what is left of a need while the server sleeps at level 1: its weights lie in RAM."""
    kept = [part for part in need.parts if part.device == RAM]
    weights = sum(p.size_bytes for p in need.parts if p.device != RAM and p.name == "weights")
    devices = {part.device for part in need.parts if part.device != RAM}
    left = (Part("process", device, _ASLEEP_BYTES) for device in sorted(devices))
    return MemoryNeed((*kept, Part("weights", RAM, weights), *left))


def _on(device: str, total: int, tensor_bytes: int, settings: VllmSettings) -> tuple[Part, ...]:
    if settings.cells_bytes is not None:
        cells = settings.cells_bytes
    else:
        cells = max(0, int(total * settings.share) - tensor_bytes)
    return Part("weights", device, tensor_bytes), Part("kv_cache", device, cells)
