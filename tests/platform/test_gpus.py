"""GPUs by what a driver answers and by the kernel's files of AMD cards."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engines.platform import Gpu, gpus, seen_by, visible
from engines.platform.gpus import amd_gpus, nvidia_gpus

H200 = Gpu(0, "NVIDIA H200", 150 << 30, 149 << 30, "GPU-aaaa-1")
OTHER = Gpu(1, "NVIDIA L4", 24 << 30, 20 << 30, "GPU-bbbb-2")


class _Refused(Exception):
    """NVML's error, as the module has it."""


class _Driver:
    """NVML as its documentation has it, with two cards; `broken` names a call that fails."""

    NVMLError = _Refused

    def __init__(self, broken: str = "") -> None:
        self._broken = broken
        self.shut_down = 0

    def __getattr__(self, name: str) -> Any:
        if name == self._broken:
            return self._refuse
        cards = (H200, OTHER)
        return {
            "nvmlInit": lambda: None,
            "nvmlDeviceGetCount": lambda: len(cards),
            "nvmlDeviceGetHandleByIndex": lambda index: cards[index],
            "nvmlDeviceGetMemoryInfo": lambda card: SimpleNamespace(
                total=card.total_bytes, free=card.free_bytes
            ),
            "nvmlDeviceGetName": lambda card: card.name.encode(),
            "nvmlDeviceGetUUID": lambda card: card.uuid,
        }[name]

    def _refuse(self, *_: object) -> None:
        raise _Refused

    def nvmlShutdown(self) -> None:  # noqa: N802 - the driver's name
        self.shut_down += 1


def test_a_driver_tells_names_and_memory() -> None:
    driver = _Driver()
    assert list(nvidia_gpus(driver)) == [H200, OTHER]
    assert driver.shut_down == 1


@pytest.mark.parametrize("call", ["nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetMemoryInfo"])
def test_a_driver_that_is_not_well_has_no_gpus(call: str) -> None:
    assert list(nvidia_gpus(_Driver(call))) == []


def test_this_machine_is_asked_without_an_error() -> None:
    assert all(0 <= gpu.free_bytes <= gpu.total_bytes for gpu in gpus())


def test_amd_cards_are_read_from_the_kernels_files(tmp_path: Path) -> None:
    for number, vendor in ((0, "0x8086"), (1, "0x1002"), (10, "0x1002")):
        device = tmp_path / f"card{number}" / "device"
        device.mkdir(parents=True)
        (device / "vendor").write_text(f"{vendor}\n")
        (device / "mem_info_vram_total").write_text(f"{number << 30}\n")
        (device / "mem_info_vram_used").write_text(f"{1 << 20}\n")
    (tmp_path / "card10" / "device" / "product_name").write_text("Radeon Pro\n")
    assert list(amd_gpus(tmp_path)) == [
        Gpu(0, "AMD GPU", 1 << 30, (1 << 30) - (1 << 20)),
        Gpu(1, "Radeon Pro", 10 << 30, (10 << 30) - (1 << 20)),
    ]


def test_a_process_sees_what_it_is_given_in_that_order() -> None:
    found = (H200, OTHER)
    assert visible(found, None) == found
    assert visible(found, (1, 0)) == (OTHER, H200)
    assert visible(found, ("GPU-bbbb",)) == (OTHER,)
    assert visible(found, (7,)) == ()
    assert seen_by(None) == {}
    assert seen_by((1, "GPU-aaaa"))["CUDA_VISIBLE_DEVICES"] == "1,GPU-aaaa"
