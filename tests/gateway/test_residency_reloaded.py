"""A changed file where models are loaded on demand: what is in memory stays."""

from pathlib import Path

from tests.support.fleets import figure
from tests.support.staging import staged

A, B, C = "a: memory: 6GiB\n", "b: memory: 6GiB\n", "c: memory: 6GiB\n"
ONE_FITS = "{memory: 10GiB, swap_bound_s: 60}"


async def test_what_is_loaded_stays_loaded_and_a_new_model_is_on_demand(tmp_path: Path) -> None:
    async with staged(tmp_path, A + B, ONE_FITS, go="a b c") as stage:
        assert (await stage.ask("a")).status_code == 200
        stage.change(A + B + C, ONE_FITS)
        assert [stage.state(name) for name in "abc"] == ["ready", "stopped", "stopped"]
        assert (await stage.ask("a")).status_code == 200
        assert (await stage.ask("c")).status_code == 200
        assert stage.log("load") == ["load a", "load c"]


async def test_a_model_that_is_gone_counts_until_its_process_has_ended(tmp_path: Path) -> None:
    async with staged(tmp_path, A + B, ONE_FITS, go="a b") as stage:
        stage.tell("a", "hold")
        running = stage.ask("a", "first")
        await stage.logged("ask a first")
        stage.change(B, ONE_FITS)
        asked = stage.ask("b")
        await stage.waits(1)
        metrics = stage.served.gateway.metrics
        assert figure(metrics, "weighbridge_memory_reserved_bytes") == 6 * 2**30
        assert stage.log("load") == ["load a"]
        stage.untell("a", "hold")
        assert (await running).status_code == 200
        assert (await asked).status_code == 200
        assert stage.log("load") == ["load a", "load b"]


async def test_without_a_budget_everything_is_loaded_again(tmp_path: Path) -> None:
    async with staged(tmp_path, A + B, ONE_FITS, go="a b") as stage:
        assert (await stage.ask("a")).status_code == 200
        stage.change(A + B)
        await stage.served.ready("a", "b")
        assert not stage.served.gateway.resident.active
        assert (await stage.ask("b")).status_code == 200
        assert stage.log("load") == ["load a", "load b"]


async def test_a_smaller_budget_lets_idle_models_leave(tmp_path: Path) -> None:
    async with staged(tmp_path, A + B, "{memory: 12GiB}", go="a b") as stage:
        await stage.reaches("a", "ready")
        await stage.reaches("b", "ready")
        assert (await stage.ask("b")).status_code == 200
        stage.change(A + B, ONE_FITS)
        await stage.reaches("a", "stopped")
        assert stage.state("b") == "ready"


async def test_who_waits_for_a_model_that_is_taken_away_is_told_so(tmp_path: Path) -> None:
    async with staged(tmp_path, A + B, ONE_FITS, go="b") as stage:
        asked = stage.ask("a")
        await stage.logged("load a")
        stage.change(B, ONE_FITS)
        answer = await asked
        assert answer.status_code == 503
        assert "a is no longer served" in answer.text
        assert (await stage.ask("b")).status_code == 200


async def test_a_file_that_mends_a_model_has_it_loaded_at_once_when_asked_for(
    tmp_path: Path,
) -> None:
    async with staged(tmp_path, "a: memory: 60GiB", ONE_FITS, go="a") as stage:
        assert (await stage.ask("a")).status_code == 503
        stage.change(A, ONE_FITS)
        assert (await stage.ask("a")).status_code == 200
