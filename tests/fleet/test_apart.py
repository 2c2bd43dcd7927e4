"""Tasks beside each other: what a defect in one does, and what it does not."""

import asyncio

import pytest

from gateway.fleet.apart import Apart


async def test_a_task_that_fails_says_so_and_ends_none_beside_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    over, failed = asyncio.Event(), asyncio.Event()

    async def breaks() -> None:
        raise KeyError("lost")

    async def goes_on() -> None:
        await failed.wait()
        over.set()

    async with asyncio.TaskGroup() as group:
        tasks = Apart(group)
        tasks.begin(goes_on, "good")
        tasks.begin(breaks, "bad", failed.set)
    assert over.is_set()
    assert "the task 'bad' has failed" in caplog.text
    assert "KeyError: 'lost'" in caplog.text


async def test_what_fails_may_be_done_again_whatever_comes_of_its_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.fleet.apart._PAUSE_S", 0)
    done: list[str] = []

    async def work() -> None:
        done.append("work")
        if done.count("work") < 3:
            raise KeyError

    def failed() -> None:
        done.append("failed")
        raise ValueError

    async with asyncio.TaskGroup() as group:
        await Apart(group).begin(work, "again", failed, again=True)
    assert done == ["work", "failed", "work", "failed", "work"]


async def test_what_was_to_end_is_not_done_again_though_its_end_fails() -> None:
    begun = asyncio.Event()
    done: list[str] = []

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            done.append("work")
            raise KeyError

    async with asyncio.TaskGroup() as group:
        task = Apart(group).begin(work, "ends", lambda: done.append("failed"), again=True)
        await begun.wait()
        task.cancel()
    assert done == ["work"]
