"""A worker that hangs is told from one that is busy by what the system says of it."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

import pytest

from engines.platform import Seen, seen_of
from gateway.workers.pulse import Pulse
from tests.support.waiting import until


def looks_until_it_hangs(seen: Sequence[Seen | None]) -> int | None:
    pulse = Pulse()
    return next((at for at, one in enumerate(seen, 1) if pulse.hangs(one)), None)


@pytest.mark.parametrize("state", ["T", "S"])
def test_what_is_stopped_or_sleeps_without_cpu_hangs_after_eight_looks(state: str) -> None:
    assert looks_until_it_hangs([Seen(state, 5.0)] * 20) == 8


@pytest.mark.parametrize("state", ["R", "D", "t"])
def test_what_wants_the_cpu_or_a_disk_or_is_debugged_is_left_alone(state: str) -> None:
    assert looks_until_it_hangs([Seen(state, 5.0)] * 1_000) is None


def test_a_turn_of_ten_seconds_of_cpu_is_none() -> None:
    assert looks_until_it_hangs([Seen("R", float(at)) for at in range(30)]) == 11


def test_who_sleeps_between_pieces_of_work_is_busy() -> None:
    seen = [Seen("S", at * 0.03) for at in range(100)]
    assert looks_until_it_hangs(seen) is None


def test_who_is_seen_awake_once_is_looked_at_anew() -> None:
    still, awake = [Seen("S", 1.0)] * 7, [Seen("R", 1.0)]
    assert looks_until_it_hangs([*still, *awake, *still, *awake, *still]) is None


def test_where_the_system_tells_nothing_nobody_hangs() -> None:
    assert looks_until_it_hangs([None] * 1_000) is None
    assert seen_of(2**30) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
async def test_the_system_tells_of_a_process_that_is_stopped() -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE
    )
    try:
        child.send_signal(signal.SIGSTOP)

        async def stopped() -> bool:
            seen = seen_of(child.pid)
            return seen is not None and seen.state == "T"

        await until(stopped)
        own = seen_of(os.getpid())
        assert own is not None
        assert own.cpu_s > 0
    finally:
        child.kill()
        await child.wait()
