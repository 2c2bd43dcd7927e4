"""Models that are loaded and unloaded by hand, over HTTP."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from gateway.blueprint import blueprint_of
from gateway.fleet.tenant import UNKNOWN_LOAD_S
from gateway.known import gather_facts
from gateway.parts import changed_gateway
from tests.support.fleets import figure
from tests.support.staging import Stage, staged

TWO = """
a: memory: 6MiB, aliases: [first]
b: memory: 6MiB
"""
ONE_FITS = "{memory: 10MiB, swap_bound_s: 60}"


def by_hand(stage: Stage, model: str, verb: str) -> "asyncio.Task[httpx.Response]":
    http = stage.served.http
    return asyncio.create_task(http.post(f"/v1/models/{model}/{verb}", json={}))


def error(answer: httpx.Response) -> dict[str, Any]:
    told: dict[str, Any] = answer.json()["error"]
    return told


async def test_a_model_is_loaded_before_anybody_asks_and_another_makes_room(
    tmp_path: Path,
) -> None:
    async with staged(tmp_path, TWO, ONE_FITS, go="a b") as stage:
        answer = await by_hand(stage, "first", "load")
        assert (answer.status_code, answer.json()["state"]) == (200, "ready")
        assert (await by_hand(stage, "a", "load")).status_code == 200  # it is there already
        assert (await by_hand(stage, "b", "load")).json()["state"] == "ready"
        assert stage.state("a") == "stopped"
        assert stage.log("load") == ["load a", "load b"]
        assert figure(stage.served.gateway.metrics, "weighbridge_requests_waiting") == 0


async def test_a_model_leaves_when_its_requests_have_ended_and_the_next_loads_it_again(
    tmp_path: Path,
) -> None:
    async with staged(tmp_path, TWO, ONE_FITS, go="a") as stage:
        stage.tell("a", "hold")
        running = stage.ask("a", "first")
        await stage.logged("ask a first")
        leaving = by_hand(stage, "a", "unload")
        await stage.reaches("a", "draining")
        assert not leaving.done()
        stage.untell("a", "hold")
        assert (await running).status_code == 200
        assert (await leaving).json()["state"] == "stopped"
        metrics, asked = stage.served.gateway.metrics, [("reason", "asked")]
        assert figure(metrics, "weighbridge_model_unloads_total", asked) == 1
        assert (await by_hand(stage, "a", "unload")).json()["state"] == "stopped"
        assert (await stage.ask("a")).status_code == 200
        assert stage.log("load") == ["load a", "load a"]


async def test_what_never_leaves_or_is_always_there_is_refused_with_the_reason(
    tmp_path: Path,
) -> None:
    async with staged(tmp_path, "a: memory: 1MiB, pin: true", ONE_FITS, go="a") as stage:
        refused = await by_hand(stage, "a", "unload")
        assert (refused.status_code, error(refused)["code"]) == (409, "not_on_demand")
        assert "pinned" in error(refused)["message"]
        assert (await by_hand(stage, "nobody", "load")).status_code == 404
        assert (await by_hand(stage, "auto", "load")).status_code == 400


async def test_a_model_that_is_always_there_does_not_come_and_go(tmp_path: Path) -> None:
    async with staged(tmp_path, "a: load: start", go="a") as stage:
        for verb in ("load", "unload"):
            refused = await by_hand(stage, "a", verb)
            assert refused.status_code == 409
            assert "load: demand" in error(refused)["message"]


async def test_what_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    async with staged(tmp_path, "a: load: demand") as stage:
        stage.tell("a", "fail", "no tensor called output.weight")
        failed = await by_hand(stage, "a", "load")
        assert failed.status_code == 503
        assert "no tensor called output.weight" in error(failed)["message"]
        assert int(failed.headers["retry-after"]) >= 1


def put(stage: Stage, model: str, load: str | None) -> None:
    """Put a file in force that says when to load the model; None: it is always there."""
    live = stage.served.live
    config, (mould,) = live.gateway.config, live.gateway.moulds.values()
    assert mould.address.socket_path is not None
    section = config.file.models[model].model_copy(update={"load": load})
    file = config.file.model_copy(update={"models": {**config.file.models, model: section}})
    config = replace(config, file=file)
    folder = mould.address.socket_path.parent
    blueprint = blueprint_of(config, gather_facts(config), runtime_folder=folder, cores=2)
    gateway, change = changed_gateway(live.gateway, blueprint)
    assert len(change.kept) == 1
    live.put(gateway)


async def test_a_file_that_wants_a_model_always_starts_it_again_when_it_has_been_unloaded(
    tmp_path: Path,
) -> None:
    async with staged(tmp_path, "a: load: demand", go="a") as stage:
        stage.tell("a", "hold")
        running = stage.ask("a", "first")
        await stage.logged("ask a first")
        leaving = by_hand(stage, "a", "unload")
        await stage.reaches("a", "draining")
        put(stage, "a", None)
        assert (await leaving).status_code == 200  # nobody waits for a unit that is none any more
        assert stage.log("load") == ["load a"]
        stage.untell("a", "hold")
        assert (await running).status_code == 200
        await stage.served.ready("a")
        assert (await stage.ask("a")).status_code == 200
        assert stage.log("load") == ["load a", "load a"]


async def test_a_model_that_has_always_been_there_has_not_been_loaded_in_no_time(
    tmp_path: Path,
) -> None:
    async with staged(tmp_path, "a: load: start", go="a") as stage:
        await stage.served.ready("a")
        put(stage, "a", "demand")
        unit = stage.served.gateway.resident.unit_named("a")
        assert unit is not None
        assert (unit.state, unit.load_s) == ("ready", UNKNOWN_LOAD_S)
