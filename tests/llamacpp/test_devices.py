"""Layers go to a GPU where the build has one; where it has none, that is said and told."""

import logging

import llama_cpp as native
import pytest

from engines.llamacpp.devices import devices_for
from tests.conftest import WorkerOf
from tests.support.worker import working


@pytest.mark.parametrize("wanted", [-1, 7])
def test_layers_that_no_device_can_take_stay_on_the_cpu_with_one_line(
    wanted: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(native, "llama_supports_gpu_offload", lambda: False)
    with caplog.at_level(logging.WARNING):
        devices = devices_for(wanted)
    assert (devices.takes_layers, devices.gpu_layers) == (False, 0)
    (said,) = caplog.messages
    assert f"gpu_layers is {wanted}" in said
    assert "CPU" in said


@pytest.mark.parametrize("wanted", [-1, 0, 7])
def test_a_build_with_a_gpu_gets_the_layers_that_are_wanted(
    wanted: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(native, "llama_supports_gpu_offload", lambda: True)
    devices = devices_for(wanted)
    assert (devices.takes_layers, devices.gpu_layers) == (True, wanted)
    assert caplog.messages == []


async def test_a_worker_tells_where_it_computes(worker_of: WorkerOf) -> None:
    async with worker_of().client() as http:
        (row,) = (await http.get("/v1/models")).json()["data"]
    assert "CPU" in row["devices"]
    assert row["gpu_layers"] == 0


@pytest.mark.skipif(native.llama_supports_gpu_offload(), reason="this build has a GPU")
async def test_a_worker_without_a_gpu_serves_all_the_same_and_says_so_once() -> None:
    with working(options=["--gpu-layers=-1"]) as worker:
        async with worker.client() as http:
            (row,) = (await http.get("/v1/models")).json()["data"]
            assert (await http.get("/health")).status_code == 200
        said = worker.stderr()
    assert row["gpu_layers"] == 0
    assert said.count("has no GPU") == said.count("\n") == 1
