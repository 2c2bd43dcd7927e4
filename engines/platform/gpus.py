"""Which GPUs this machine has, and how much of their memory is free.

Owns: asking NVIDIA's driver (NVML) and Linux' files of AMD cards. A Mac's GPU has no memory of its
own: what is put on it counts as RAM, so that it is no device here.
Must not: decide what is put on them.
"""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CARDS = Path("/sys/class/drm")
_AMD = "0x1002"


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU, by the number that its driver counts it with; `uuid` is "" where it has none."""

    index: int
    name: str
    total_bytes: int
    free_bytes: int
    uuid: str = ""


def gpus() -> tuple[Gpu, ...]:
    """Return the GPUs of this machine; none where there is no driver."""
    with suppress(ImportError):
        found = tuple(nvidia_gpus(importlib.import_module("pynvml")))
        if found:
            return found
    return tuple(amd_gpus(_CARDS))


def nvidia_gpus(nvml: Any) -> Iterator[Gpu]:
    """Ask NVML, whose module is given; a machine without its driver has none."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return
    try:
        for index in range(nvml.nvmlDeviceGetCount()):
            device = nvml.nvmlDeviceGetHandleByIndex(index)
            memory = nvml.nvmlDeviceGetMemoryInfo(device)
            name, uuid = nvml.nvmlDeviceGetName(device), nvml.nvmlDeviceGetUUID(device)
            yield Gpu(index, _text(name), memory.total, memory.free, _text(uuid))
    except nvml.NVMLError:  # it is being reset, or belongs to somebody else
        return
    finally:
        nvml.nvmlShutdown()


def amd_gpus(cards: Path) -> Iterator[Gpu]:
    """Read what the kernel tells of AMD cards, in a folder like `/sys/class/drm`."""
    found = sorted(cards.glob("card[0-9]*/device/mem_info_vram_total"), key=_number)
    amd = [path.parent for path in found if _read(path.parent / "vendor") == _AMD]
    for index, device in enumerate(amd):
        total, used = (_read(device / f"mem_info_vram_{what}") for what in ("total", "used"))
        if total.isdigit() and used.isdigit():
            name = _read(device / "product_name") or "AMD GPU"
            yield Gpu(index, name, int(total), max(0, int(total) - int(used)))


def visible(found: tuple[Gpu, ...], devices: tuple[int | str, ...] | None) -> tuple[Gpu, ...]:
    """Return those that a process sees which is given these `devices` (None: all), in their order.

    A device is an index or the beginning of a UUID, as in CUDA_VISIBLE_DEVICES.
    """
    if devices is None:
        return found
    chosen = (next((gpu for gpu in found if _is(gpu, one)), None) for one in devices)
    return tuple(gpu for gpu in chosen if gpu is not None)


def seen_by(devices: tuple[int | str, ...] | None) -> Mapping[str, str]:
    """Return the variables by which a process sees these `devices` only."""
    if devices is None:
        return {}
    listed = ",".join(map(str, devices))
    return {
        "CUDA_VISIBLE_DEVICES": listed,
        # CUDA counts the fastest first where nobody says that it is to count as the driver does.
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "HIP_VISIBLE_DEVICES": listed,
    }


def _is(gpu: Gpu, device: int | str) -> bool:
    text = str(device)
    return gpu.index == int(text) if text.isdigit() else gpu.uuid.startswith(text)


def _number(path: Path) -> int:
    digits = path.parent.parent.name.removeprefix("card")
    return int(digits) if digits.isdigit() else 0


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
