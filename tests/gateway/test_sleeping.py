"""vLLMs that sleep in place of ending: a server that plays one, and a GPU that is not there."""

from pathlib import Path

import pytest

from engines.platform.gpus import Gpu
from gateway.config.residing import GroupSection, ResidencySection
from tests.support.fleets import figure
from tests.support.staging import Stage, staged

GIB = 2**30
TWO = "a: load: demand\nb: load: demand\n"
SLEEPS = ", sleep_mode: true, gpu_memory_utilization: 0.6"
THREE = f"{TWO}c: load: demand\n"
# Of three that take 4 GiB two are awake: a third that sleeps keeps 1.5 GiB.
SMALL = ", sleep_mode: true, gpu_memory_utilization: 0.4"
ROOMY = "{memory: {ram: 100GiB, gpu0: 10GiB}, swap_bound_s: 60}"
NARROW = "{memory: {ram: 5GiB, gpu0: 10GiB}, swap_bound_s: 60}"


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have one GPU of 10 GiB, as far as planning can tell."""
    monkeypatch.setattr(
        "engines.kinds.vllm.gpus", lambda: (Gpu(0, "a GPU of tests", 10 * GIB, 10 * GIB),)
    )


def big(folder: Path, size_bytes: int = 4 * GIB) -> None:
    """Let the weights be 4 GiB that take no room on the disk."""
    (folder / "toy").mkdir()
    with (folder / "toy" / "model.safetensors").open("wb") as file:
        file.truncate(size_bytes)


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


def together(stage: Stage, *models: str) -> ResidencySection:
    """Return the rules of the file with these models as one unit, or with no groups at all."""
    groups = (GroupSection(models=models, live="together"),) if models else ()
    return stage.served.live.gateway.config.file.residency.model_copy(update={"groups": groups})


@pytest.mark.parametrize("how", ["sleeps", "falls asleep", "wakes"])
async def test_who_is_not_awake_when_a_changed_file_has_it_live_with_another_is_loaded_anew(
    tmp_path: Path, how: str
) -> None:
    big(tmp_path, GIB)
    async with staged(tmp_path, THREE, ROOMY, go="a b c", engine=SMALL) as stage:
        assert (await stage.ask("a")).status_code == 200
        assert (await stage.ask("b")).status_code == 200
        if how == "falls asleep":
            stage.tell("a", "dream")
        asked = [stage.ask("c")]
        await stage.logged("sleep a")
        if how != "falls asleep":
            assert (await asked[0]).status_code == 200
        if how == "wakes":
            stage.tell("a", "dream")
            asked.append(stage.ask("a"))
            await stage.logged("wake_up a")
        change = stage.reload(residency=together(stage, "a", "b"))
        assert not change.added
        asked.append(stage.ask("a"))
        assert {(await one).status_code for one in asked} == {200}
        assert stage.log("load a") == ["load a"] * 2


async def test_who_sleeps_when_a_changed_file_has_it_live_alone_is_woken(tmp_path: Path) -> None:
    big(tmp_path, GIB)
    rules = ROOMY.replace("}, swap", "}, groups: [{models: [a, b], live: together}], swap")
    async with staged(tmp_path, THREE, rules, go="a b c", engine=SMALL) as stage:
        for model in ("a", "b", "c"):
            assert (await stage.ask(model)).status_code == 200
        assert stage.state("b") == "sleeping"
        stage.reload(residency=together(stage))
        assert (stage.state("a"), stage.state("b")) == ("sleeping", "sleeping")
        assert (await stage.ask("a")).status_code == 200
        assert stage.log("wake") == ["wake_up a"]
        assert stage.log("load a") == ["load a"]


async def test_who_sleeps_when_a_changed_file_has_it_there_all_the_time_is_loaded_anew(
    tmp_path: Path,
) -> None:
    big(tmp_path)
    async with staged(tmp_path, TWO, ROOMY, go="a b", engine=SLEEPS) as stage:
        assert (await stage.ask("a")).status_code == 200
        assert (await stage.ask("b")).status_code == 200
        models = stage.model("a", load=None) | {"b": stage.model("b", load=None)["b"]}
        change = stage.reload(models=models, residency=ResidencySection())
        assert change.kept == ("a/e/0", "b/e/0")
        await stage.logged("load a", 2)
        assert (await stage.ask("a")).status_code == 200


async def test_who_sleeps_when_a_changed_file_has_more_of_it_is_loaded_with_them(
    tmp_path: Path,
) -> None:
    big(tmp_path, GIB)
    async with staged(tmp_path, THREE, ROOMY, go="a b c", engine=SMALL) as stage:
        for model in ("a", "b", "c"):
            assert (await stage.ask(model)).status_code == 200
        assert stage.state("a") == "sleeping"
        change = stage.reload(models=stage.model("a", replicas=2))
        assert change.added == ("a/e/1",)
        assert (await stage.ask("a")).status_code == 200
        await stage.logged("load a", 3)
        assert stage.log("wake") == []
