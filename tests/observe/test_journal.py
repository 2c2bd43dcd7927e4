"""The journal of `mode: observe`: every line once, in bounds, and no request waits for it."""

import asyncio
import contextlib
import logging
import resource
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.observe.journal import Journal, Observed, before, read_journal
from tests.support.waiting import until


def observed(number: int) -> Observed:
    return Observed(
        at_s=number,
        endpoint="chat",
        asked="a",
        model="a",
        would="b",
        rule="r",
        task="general",
        language="en",
        request_size="small",
        difficulty=0.5,
        prompt_tokens=1,
        completion_tokens=1,
        duration_s=1.0,
        first_token_s=None,
    )


@contextlib.asynccontextmanager
async def writing(path: Path, most_bytes: int = 1 << 20) -> AsyncIterator[Journal]:
    journal = Journal(path, most_bytes)
    task = asyncio.create_task(journal.run())
    yield journal
    task.cancel()
    await asyncio.wait([task])


def numbers(*paths: Path) -> list[int]:
    return [round(one.at_s) for one in read_journal(paths)]


async def test_what_is_added_stands_in_the_file_in_order_and_for_its_owner_alone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "seen.jsonl"
    async with writing(path) as journal:
        for number in range(3):
            journal.add(observed(number))

        async def written() -> bool:
            return numbers(path) == [0, 1, 2]

        await until(written)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_what_waits_at_the_end_is_written(tmp_path: Path) -> None:
    path = tmp_path / "seen.jsonl"
    async with writing(path) as journal:
        await asyncio.sleep(0)
        journal.add(observed(7))
    assert numbers(path) == [7]


async def test_a_full_file_starts_anew_and_the_one_before_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "seen.jsonl"
    for number in range(4):
        async with writing(path, most_bytes=600) as journal:
            await asyncio.sleep(0)
            journal.add(observed(number))
    assert numbers(before(path), path) == [0, 1, 2, 3]
    assert path.stat().st_size <= 600
    assert numbers(path)


async def test_a_file_that_cannot_be_written_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with writing(tmp_path / "nowhere" / "seen.jsonl") as journal:
            journal.add(observed(1))

            async def told() -> bool:
                return bool(caplog.records)

            await until(told)
            journal.add(observed(2))
    (only,) = caplog.records
    assert "nowhere/seen.jsonl" in only.getMessage()


async def test_a_disk_that_fills_up_in_the_middle_of_a_line_spoils_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "seen.jsonl"
    async with writing(path) as journal:
        await asyncio.sleep(0)
        journal.add(observed(0))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 9, hard))
    try:
        async with writing(path) as journal:
            await asyncio.sleep(0)
            journal.add(observed(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    async with writing(path) as journal:
        await asyncio.sleep(0)
        journal.add(observed(2))
    assert numbers(path) == [0, 2]
    assert "nothing is recorded" in caplog.text


async def test_what_the_thread_cannot_keep_up_with_is_dropped_and_counted(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "seen.jsonl", 1 << 30)  # nobody writes
    for number in range(10_003):
        journal.add(observed(number))
    assert journal.dropped == 3
