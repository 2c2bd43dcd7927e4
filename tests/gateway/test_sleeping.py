"""vLLMs that sleep in place of ending: a server that plays one, and a GPU that is not there."""

from pathlib import Path

import pytest

from engines.platform.gpus import Gpu
from tests.support.fleets import figure
from tests.support.staging import Stage, staged

GIB = 2**30
TWO = "a: load: demand\nb: load: demand\n"
SLEEPS = ", sleep_mode: true, gpu_memory_utilization: 0.6"
ROOMY = "{memory: {ram: 100GiB, gpu0: 10GiB}, swap_bound_s: 60}"
NARROW = "{memory: {ram: 5GiB, gpu0: 10GiB}, swap_bound_s: 60}"


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have one GPU of 10 GiB, as far as planning can tell."""
    monkeypatch.setattr(
        "engines.kinds.vllm.gpus", lambda: (Gpu(0, "a GPU of tests", 10 * GIB, 10 * GIB),)
    )


def big(folder: Path) -> None:
    """Let the weights be 4 GiB that take no room on the disk."""
    (folder / "toy").mkdir()
    with (folder / "toy" / "model.safetensors").open("wb") as file:
        file.truncate(4 * GIB)


def sleeps(stage: Stage) -> float:
    return figure(stage.served.gateway.metrics, "weighbridge_model_sleeps_total")


async def test_the_one_whose_room_is_needed_sleeps_and_wakes_without_a_load(
    tmp_path: Path,
) -> None:
    big(tmp_path)
    async with staged(tmp_path, TWO, ROOMY, go="a b", engine=SLEEPS) as stage:
        assert (await stage.ask("a")).status_code == 200
        assert (await stage.ask("b")).status_code == 200
        assert stage.state("a") == "sleeping"
        told = (await stage.served.http.get("/v1/models/a")).json()
        assert told["replicas"][0]["state"] == "sleeping"
        metrics = stage.served.gateway.metrics
        reserved = "weighbridge_memory_reserved_bytes"
        assert figure(metrics, reserved, [("device", "gpu0")]) == 7.5 * GIB
        assert figure(metrics, reserved, [("device", "ram")]) > 4 * GIB
        answer = await stage.ask("a")
        assert answer.json()["choices"][0]["message"]["content"] == "I am a"
        assert stage.log("load") == ["load a", "load b"]
        assert stage.log("sleep") == ["sleep a", "sleep b"]
        assert stage.log("wake") == ["wake_up a"]
        assert sleeps(stage) == 2
        assert figure(metrics, "weighbridge_model_load_seconds_count") == 2


async def test_without_room_for_its_weights_in_ram_it_ends(tmp_path: Path) -> None:
    big(tmp_path)
    async with staged(tmp_path, TWO, NARROW, go="a b", engine=SLEEPS) as stage:
        assert (await stage.ask("a")).status_code == 200
        assert (await stage.ask("b")).status_code == 200
        assert (stage.state("a"), sleeps(stage)) == ("stopped", 0)


async def test_who_does_not_sleep_ends_and_the_other_is_loaded_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    big(tmp_path)
    async with staged(tmp_path, TWO, ROOMY, go="a b", engine=SLEEPS) as stage:
        stage.tell("a", "insomnia")
        assert (await stage.ask("a")).status_code == 200
        assert (await stage.ask("b")).status_code == 200
        assert stage.state("a") == "stopped"
        assert "a cannot sleep and is stopped instead: it answers with status 500" in caplog.text


async def test_who_does_not_wake_is_loaded_anew(tmp_path: Path) -> None:
    big(tmp_path)
    async with staged(tmp_path, TWO, ROOMY, go="a b", engine=SLEEPS) as stage:
        assert (await stage.ask("a")).status_code == 200
        assert (await stage.ask("b")).status_code == 200
        stage.tell("a", "insomnia")
        assert (await stage.ask("a")).status_code == 200
        assert stage.log("load") == ["load a", "load b", "load a"]


async def test_a_busy_one_sleeps_when_its_answer_is_whole(tmp_path: Path) -> None:
    big(tmp_path)
    rules = ROOMY.replace("swap_bound_s: 60", "swap_bound_s: 0.2")
    async with staged(tmp_path, TWO, rules, go="a b", engine=SLEEPS) as stage:
        stage.tell("a", "hold")
        first = stage.ask("a", "first", stream=True)
        await stage.logged("ask a first")
        other = stage.ask("b", "other")
        await stage.holds()
        assert stage.log("sleep") == []
        stage.untell("a", "hold")
        assert (await first).text.endswith("data: [DONE]\n\n")
        assert (await other).status_code == 200
        assert stage.log("sleep") == ["sleep a"]


async def test_who_is_unloaded_while_it_wakes_ends_and_is_loaded_anew_for_who_waits(
    tmp_path: Path,
) -> None:
    big(tmp_path)
    async with staged(tmp_path, TWO, ROOMY, go="a b", engine=SLEEPS) as stage:
        assert (await stage.ask("a")).status_code == 200
        assert (await stage.ask("b")).status_code == 200
        stage.tell("a", "dream")
        waiting = stage.ask("a")
        await stage.logged("wake_up a")
        unloaded = await stage.served.http.post("/v1/models/a/unload", json={})
        assert unloaded.status_code == 200
        assert (await waiting).status_code == 200
        assert stage.log("load") == ["load a", "load b", "load a"]


async def test_who_is_unloaded_while_it_falls_asleep_ends(tmp_path: Path) -> None:
    big(tmp_path)
    async with staged(tmp_path, TWO, ROOMY, go="a b", engine=SLEEPS) as stage:
        assert (await stage.ask("a")).status_code == 200
        stage.tell("a", "dream")
        other = stage.ask("b")
        await stage.logged("sleep a")
        unloaded = await stage.served.http.post("/v1/models/a/unload", json={})
        assert (unloaded.status_code, unloaded.json()["state"]) == (200, "stopped")
        assert (await other).status_code == 200
