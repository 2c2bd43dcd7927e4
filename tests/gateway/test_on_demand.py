"""Models that are loaded when somebody asks: single flight, swaps, failures, over HTTP."""

import asyncio
from pathlib import Path

import httpx
import pytest

from gateway.config.residing import ResidencySection
from tests.support.fleets import figure
from tests.support.staging import Stage, staged

TWO = """
a: memory: 6MiB
b: memory: 6MiB
"""
ONE_FITS = "{memory: 10MiB, swap_bound_s: 60}"


async def test_the_first_request_loads_the_model_once_and_all_that_wait_are_served(
    tmp_path: Path,
) -> None:
    async with staged(tmp_path, TWO, ONE_FITS) as stage:
        assert stage.state("a") == "stopped"
        asked = [stage.ask("a", f"{n}") for n in range(5)]
        await stage.logged("load a")
        assert figure(stage.served.gateway.metrics, "weighbridge_requests_waiting") == 5
        stage.tell("a", "go")
        answers = await asyncio.gather(*asked)
        assert [one.status_code for one in answers] == [200] * 5
        assert answers[0].headers["x-weighbridge-model"] == "a"
        assert stage.log("load") == ["load a"]
        assert figure(stage.served.gateway.metrics, "weighbridge_requests_waiting") == 0
        assert figure(stage.served.gateway.metrics, "weighbridge_model_load_seconds_count") == 1


async def test_the_other_model_gets_the_room_when_the_first_is_idle(tmp_path: Path) -> None:
    async with staged(tmp_path, TWO, ONE_FITS, go="a b") as stage:
        assert (await stage.ask("a")).status_code == 200
        assert (await stage.ask("b")).json()["choices"][0]["message"]["content"] == "I am b"
        assert (stage.state("a"), stage.state("b")) == ("stopped", "ready")
        assert (await stage.ask("a")).status_code == 200
        assert stage.log("load") == ["load a", "load b", "load a"]
        metrics = stage.served.gateway.metrics
        assert figure(metrics, "weighbridge_model_unloads_total", [("reason", "room")]) == 2
        assert figure(metrics, "weighbridge_memory_reserved_bytes") == 6 * 2**20
        assert figure(metrics, "weighbridge_memory_budget_bytes") == 10 * 2**20


async def test_a_busy_model_ends_its_answers_before_it_leaves_and_takes_no_new_after_the_bound(
    tmp_path: Path,
) -> None:
    rules = "{memory: 10MiB, swap_bound_s: 0.3}"
    async with staged(tmp_path, TWO, rules, go="a b") as stage:
        stage.tell("a", "hold")
        first = stage.ask("a", "first", stream=True)
        await stage.logged("ask a first")
        other = stage.ask("b", "other")
        second = stage.ask("a", "second")  # within the bound: batched with the first
        await stage.logged("ask a second")
        await stage.holds()
        late = stage.ask("a", "late")
        stage.untell("a", "hold")
        answers = await asyncio.gather(first, other, second, late)
        assert [one.status_code for one in answers] == [200] * 4
        assert answers[0].text.endswith("data: [DONE]\n\n")
        asks = stage.log("ask")
        assert asks.index("ask b other") < asks.index("ask a late")
        assert stage.log("load") == ["load a", "load b", "load a"]


async def test_all_are_loaded_at_start_where_they_fit_and_on_demand_where_not(
    tmp_path: Path,
) -> None:
    async with staged(tmp_path, TWO, "{memory: 12MiB}", go="a b") as stage:
        await stage.reaches("a", "ready")
        await stage.reaches("b", "ready")
        assert sorted(stage.log("load")) == ["load a", "load b"]


async def test_ready_tells_that_what_is_on_demand_can_serve(tmp_path: Path) -> None:
    async with staged(tmp_path, TWO, ONE_FITS) as stage:
        told = await stage.served.http.get("/ready")
        assert told.status_code == 200
        assert told.json()["models"]["a"]["state"] == "stopped"
        row = (await stage.served.http.get("/v1/models/a")).json()
        assert row["state"] == "stopped"
        assert "when a request needs it" in row["replicas"][0]["reason"]


async def test_an_idle_model_leaves_after_its_keep_alive_and_comes_again(tmp_path: Path) -> None:
    async with staged(tmp_path, "a: load: demand, keep_alive_s: 0.2", go="a") as stage:
        assert (await stage.ask("a")).status_code == 200
        await stage.reaches("a", "stopped")
        assert (await stage.ask("a")).status_code == 200
        metrics = stage.served.gateway.metrics
        assert figure(metrics, "weighbridge_model_unloads_total", [("reason", "idle")]) >= 1


async def test_what_cannot_be_loaded_rests_and_is_not_tried_by_each_request(
    tmp_path: Path,
) -> None:
    async with staged(tmp_path, "a: load: demand") as stage:
        stage.tell("a", "fail", "no tensor called output.weight")
        first = await stage.ask("a")
        assert first.status_code == 503
        assert "no tensor called output.weight" in first.json()["error"]["message"]
        assert 1 <= int(first.headers["retry-after"]) <= 6
        loads = len(stage.log("load"))
        assert loads == 2  # once more at once: it might have been killed by chance
        again = await asyncio.gather(*(stage.ask("a") for _ in range(5)))
        assert {one.status_code for one in again} == {503}
        assert len(stage.log("load")) == loads
        row = (await stage.served.http.get("/v1/models/a")).json()
        assert row["state"] == "failed"
        assert "no tensor called output.weight" in row["reason"]
        failures = "weighbridge_model_load_failures_total"
        assert figure(stage.served.gateway.metrics, failures) == 2


async def test_a_model_that_never_fits_says_so_and_the_next_of_the_rule_serves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    models = "a: memory: 60MiB\nb: memory: 6MiB\nc: memory: 6MiB\n"
    routes = "routes: [{name: r, use: [a, b]}]"
    async with staged(tmp_path, models, ONE_FITS, routes, go="b c") as stage:
        refused = await stage.ask("a")
        assert refused.status_code == 503
        assert "it needs 60 MiB of ram, and the budget is 10 MiB" in refused.text
        assert "retry-after" not in refused.headers
        assert (await stage.ask("auto")).headers["x-weighbridge-model"] == "b"
        assert (await stage.ask("c")).status_code == 200  # for which b has left
        assert caplog.text.count("a can never be loaded") == 1


async def test_a_rule_waits_for_its_first_model_though_the_second_is_loaded(
    tmp_path: Path,
) -> None:
    routes = "routes: [{name: r, use: [a, b]}]"
    async with staged(tmp_path, TWO, "{memory: 20MiB}", routes, go="b") as stage:
        await stage.reaches("b", "ready")
        asked = stage.ask("auto")
        await stage.logged("load a")
        stage.tell("a", "go")
        assert (await asked).headers["x-weighbridge-model"] == "a"


async def test_more_than_may_wait_for_a_load_are_told_when_to_come_again(tmp_path: Path) -> None:
    models = "a: load: demand, max_concurrent: 4, max_queued: 1"
    async with staged(tmp_path, models) as stage:
        first = stage.ask("a")
        await stage.logged("load a")
        refused = await stage.ask("a")
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "model_busy"
        assert int(refused.headers["retry-after"]) >= 1
        stage.tell("a", "go")
        assert (await first).status_code == 200


async def test_the_request_that_has_a_model_loaded_may_wait_though_none_may_queue(
    tmp_path: Path,
) -> None:
    models = "a: load: demand, max_concurrent: 4, max_queued: 0"
    async with staged(tmp_path, models) as stage:
        first = stage.ask("a")
        await stage.logged("load a")
        refused = await stage.ask("a")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_busy")
        stage.tell("a", "go")
        assert (await first).status_code == 200


async def test_who_finds_no_place_to_wait_for_a_load_goes_to_the_next_model_of_the_rule(
    tmp_path: Path,
) -> None:
    models = "a: load: demand, max_concurrent: 4, max_queued: 1\nb: load: start"
    routes = "routes: [{name: r, use: [a, b]}]"
    async with staged(tmp_path, models, more=routes, go="b") as stage:
        await stage.served.ready("b")
        first = stage.ask("auto")
        await stage.logged("load a")
        await stage.waits(1)
        assert (await stage.ask("auto")).headers["x-weighbridge-model"] == "b"
        stage.tell("a", "go")
        assert (await first).headers["x-weighbridge-model"] == "a"


async def test_who_has_waited_for_too_long_is_told_so_and_when_to_come_again(
    tmp_path: Path,
) -> None:
    async with staged(tmp_path, "a: load: demand", "{load_wait_s: 0.3}") as stage:
        late = await stage.ask("a")
        assert late.status_code == 503
        assert "residency.load_wait_s" in late.json()["error"]["message"]
        assert int(late.headers["retry-after"]) >= 1


@pytest.mark.parametrize("when", ["before the load", "amid the load", "held"])
async def test_a_client_that_leaves_while_it_waits_leaves_nothing_behind(
    tmp_path: Path, when: str
) -> None:
    rules = "{memory: 10MiB, swap_bound_s: 0.2}"
    async with staged(tmp_path, TWO, rules, go="b" if when == "held" else "a b") as stage:
        if when == "amid the load":
            (tmp_path / "a.go").unlink()
            gone = stage.ask("a")
            await stage.logged("load a")
            gone.cancel()
            await asyncio.wait([gone])
            await stage.quiet()
            stage.tell("a", "go")
            await stage.reaches("a", "ready")  # the load goes on
        else:
            await _leaves_while_another_is_busy(stage, held=when == "held")
        assert figure(stage.served.gateway.metrics, "weighbridge_requests_in_flight") == 0


async def _leaves_while_another_is_busy(stage: Stage, *, held: bool) -> None:
    busy, other = ("b", "a") if held else ("a", "b")
    stage.tell(busy, "hold")
    first = stage.ask(busy, "first")
    await stage.logged(f"ask {busy} first")
    gone = stage.ask(other)
    if held:
        await stage.holds()
    else:
        await stage.waits(1)
    gone.cancel()
    await asyncio.wait([gone])
    await stage.quiet()
    assert (await _after(stage, busy)).status_code == 200
    assert (await first).status_code == 200
    assert f"load {other}" not in stage.log("load")


async def _after(stage: Stage, busy: str) -> httpx.Response:
    second = stage.ask(busy, "second")  # nobody is in its way any more
    await stage.logged(f"ask {busy} second")
    stage.untell(busy, "hold")
    return await second


async def test_models_that_live_together_are_loaded_and_leave_as_one(tmp_path: Path) -> None:
    models = "a: memory: 3MiB\nb: memory: 3MiB\nc: memory: 6MiB\n"
    rules = "{memory: 10MiB, groups: [{models: [a, b], live: together}]}"
    async with staged(tmp_path, models, rules, go="a b c") as stage:
        assert (await stage.ask("a")).status_code == 200
        await stage.logged("load b")
        assert (await stage.ask("c")).status_code == 200
        assert (stage.state("a"), stage.state("b")) == ("stopped", "stopped")


async def test_who_waits_for_the_slower_of_two_that_live_together_has_the_time_of_a_load(
    tmp_path: Path,
) -> None:
    models = "a: memory: 3MiB\nb: memory: 3MiB, load: demand\n"
    rules = "{memory: 10MiB, groups: [{models: [a, b], live: together}]}"
    quick = "gateway: {queue_timeout_s: 0.1}"
    async with staged(tmp_path, models, rules, quick, go="a") as stage:
        asked = stage.ask("b")
        assert (await stage.ask("a")).status_code == 200
        done, _ = await asyncio.wait([asked], timeout=0.5)
        assert not done
        stage.tell("b", "go")
        assert (await asked).status_code == 200


async def test_a_warm_up_is_read_before_the_first_request(tmp_path: Path) -> None:
    async with staged(tmp_path, "a: load: demand, warm_up: Be brief.", go="a") as stage:
        assert (await stage.ask("a", "first")).status_code == 200
        assert stage.log("ask") == ["ask a Hi", "ask a first"]


async def test_what_a_model_was_measured_to_take_counts_from_then_on(tmp_path: Path) -> None:
    async with staged(tmp_path, TWO, ONE_FITS, go="a b") as stage:
        assert (await stage.ask("a")).status_code == 200
        resident, metrics = stage.served.gateway.resident, stage.served.gateway.metrics
        (replica,) = (one for one in stage.served.gateway.fleet if one.plan.model == "a")
        unit = resident.unit_of(replica)
        assert unit is not None
        resident.takes(unit, {"ram": 11 * 2**20})
        assert figure(metrics, "weighbridge_memory_reserved_bytes") == 11 * 2**20
        resident.takes(unit, {"ram": 1})  # of a file that is no more in force
        assert figure(metrics, "weighbridge_memory_reserved_bytes") == 11 * 2**20
        assert (await stage.ask("a")).status_code == 200  # it is there already
        assert (await stage.ask("b")).status_code == 200
        refused = await stage.ask("a")
        assert refused.status_code == 503
        assert "11 MiB of ram (measured), and the budget is 10 MiB" in refused.text


async def test_who_waits_for_a_model_waits_on_when_a_changed_file_has_it_otherwise(
    tmp_path: Path,
) -> None:
    async with staged(tmp_path, "a: load: demand") as stage:
        asked = stage.ask("a")
        await stage.logged("load a")
        change = stage.reload(models=stage.model("a", parallel=2))
        assert change.added == change.removed == ("a/e/0",)
        await stage.logged("load a", 2)
        stage.tell("a", "go")
        assert (await asked).status_code == 200


async def test_a_replica_that_a_changed_file_ends_counts_until_it_has_ended(
    tmp_path: Path,
) -> None:
    models = "a: memory: 6MiB, replicas: 2, load: start\nb: memory: 6MiB, load: demand"
    async with staged(tmp_path, models, "{memory: 14MiB}", go="a b") as stage:
        fleet, metrics = stage.served.gateway.fleet, stage.served.gateway.metrics
        await stage.served.until(lambda: sum(one.ready for one in fleet) == 2)
        stage.tell("a", "hold")
        held = [stage.ask("a", "x", stream=True) for _ in range(2)]
        await stage.logged("ask a x", 2)
        change = stage.reload(models=stage.model("a", replicas=1))
        assert (change.kept, change.removed) == (("a/e/0", "b/e/0"), ("a/e/1",))
        reserved = "weighbridge_memory_reserved_bytes"
        assert figure(metrics, reserved) == 12 * 2**20
        states = figure(metrics, "weighbridge_model_state", [("model", "a")])
        assert states == 1
        other = stage.ask("b")
        await stage.waits(1)
        assert stage.log("load b") == []
        stage.untell("a", "hold")
        answers = await asyncio.gather(*held, other)
        assert [one.status_code for one in answers] == [200] * 3
        assert stage.state("a") == "ready"


async def test_nobody_is_held_any_more_when_a_changed_file_has_all_loaded_all_the_time(
    tmp_path: Path,
) -> None:
    rules = "{memory: 10MiB, swap_bound_s: 0.1}"
    async with staged(tmp_path, TWO, rules, go="a b") as stage:
        stage.tell("a", "hold")
        first = stage.ask("a", "first")
        await stage.logged("ask a first")
        other = stage.ask("b")
        await stage.holds()
        stage.reload(residency=ResidencySection())
        await stage.quiet()
        stage.untell("a", "hold")
        answers = await asyncio.gather(first, other, stage.ask("a", "late"))
        assert [one.status_code for one in answers] == [200] * 3
