"""Real child processes: looked after in every state, and never left behind."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engines.kinds import Launch
from engines.process import ManagedReplica, ReplicaState, ReplicaStatus

WAIT_S = 30
READY = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch()\n"
STAYS = READY + "sys.stdin.read()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + STAYS.replace(
    "sys.stdin.read()", "time.sleep(600)"
)
WITH_CHILD = (
    "import subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print('grandchild', child.pid, flush=True)\n"
)


class Case:
    """A replica, the pauses that it made, and every status that it had."""

    def __init__(
        self, folder: Path, script: str, *, start_s: float = 20, drain_s: float = 20
    ) -> None:
        self.mark = folder / "ready"
        self.socket = folder / "s"
        self.statuses: list[ReplicaStatus] = []
        self.pauses: list[float] = []
        self.well = True
        self._changed = asyncio.Event()
        argv = (sys.executable, "-c", script, str(self.mark))
        launch = Launch(argv, self.socket, start_s, drain_s, (("TOY", "1"),))
        self.replica = ManagedReplica(
            "toy/0", launch, healthy=self._healthy, on_change=self._change, sleep=self._pause
        )

    async def _healthy(self) -> bool:
        return self.well and self.mark.exists()

    def _change(self, status: ReplicaStatus) -> None:
        self.statuses.append(status)
        self._changed.set()

    async def _pause(self, seconds: float) -> None:
        if self.replica.status.state is ReplicaState.BACKING_OFF:
            self.pauses.append(seconds)
        await asyncio.sleep(0.005)  # a look at a real process needs some time between two

    async def until(self, true: Callable[[ReplicaStatus], bool]) -> ReplicaStatus:
        async with asyncio.timeout(WAIT_S):
            while not any(map(true, self.statuses)):
                self._changed.clear()
                await self._changed.wait()
        return next(filter(true, self.statuses))

    async def state(self, state: ReplicaState) -> ReplicaStatus:
        return await self.until(lambda status: status.state is state)

    def states(self) -> list[str]:
        """Return the states in their order, each once while it lasts."""
        found: list[str] = []
        for status in self.statuses:
            if found[-1:] != [status.state.value]:
                found.append(status.state.value)
        return found


@asynccontextmanager
async def running(case: Case) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(case.replica.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert not case.socket.exists()
        for pid in {status.pid for status in case.statuses if status.pid is not None}:
            assert not lives(pid)


def lives(pid: int) -> bool:
    """Say whether a process is there and no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


async def gone(pid: int) -> None:
    """Wait until an orphan is gone: its new parent reaps it when it likes."""
    async with asyncio.timeout(WAIT_S):
        while lives(pid):
            await asyncio.to_thread(os.sched_yield)


async def test_a_child_becomes_ready_and_is_drained_at_the_end(tmp_path: Path) -> None:
    case = Case(tmp_path, STAYS)
    async with running(case):
        ready = await case.state(ReplicaState.READY)
        assert ready.pid is not None
        case.socket.touch()
    assert case.states() == ["starting", "ready", "draining", "stopped"]
    assert case.replica.status == ReplicaStatus(ReplicaState.STOPPED)


async def test_a_child_that_ends_is_started_again_with_growing_pauses(tmp_path: Path) -> None:
    case = Case(tmp_path, "import sys; print('no memory'); sys.exit(3)")
    async with running(case):
        status = await case.until(lambda status: status.restarts == 4)
    assert status.reason == "exit code 3: no memory"
    assert status.pid is None
    whole = [0.5, 1, 2, 4]
    for paused, least in zip(case.pauses, whole, strict=False):
        assert least <= paused <= 1.2 * least


async def test_a_child_that_was_killed_comes_back(tmp_path: Path) -> None:
    case = Case(tmp_path, STAYS)
    async with running(case):
        first = await case.state(ReplicaState.READY)
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        again = await case.until(
            lambda status: status.state is ReplicaState.READY and status.restarts == 1
        )
        assert again.pid not in (None, first.pid)
    down = next(s for s in case.statuses if s.state is ReplicaState.BACKING_OFF)
    assert down.reason.startswith("killed by SIGKILL")


async def test_exit_2_is_hopeless(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.gguf"
    case = Case(tmp_path, f"import sys; print('{path} is not a GGUF file'); sys.exit(2)")
    async with asyncio.timeout(WAIT_S), running(case) as task:
        await task
        assert case.states() == ["starting", "failed"]
        assert case.replica.status.reason == "exit code 2: x.gguf is not a GGUF file"
        assert case.replica.status.pid is None
    assert case.pauses == []


async def test_a_child_that_crashes_at_every_start_is_given_up(tmp_path: Path) -> None:
    case = Case(tmp_path, "import os; print('assertion failed', flush=True); os.abort()")
    async with asyncio.timeout(WAIT_S), running(case) as task:
        await task
    assert case.replica.status.state is ReplicaState.FAILED
    assert case.replica.status.reason == "killed by SIGABRT: assertion failed"
    assert case.replica.status.restarts == len(case.pauses) == 2


async def test_a_command_that_is_not_there_is_tried_again(tmp_path: Path) -> None:
    case = Case(tmp_path, "")
    launch = Launch((str(tmp_path / "no-such-engine"),), None, 5, 5)
    case.replica = ManagedReplica(
        "toy/0", launch, healthy=case._healthy, on_change=case._change, sleep=case._pause
    )
    async with running(case):
        status = await case.state(ReplicaState.BACKING_OFF)
    assert status.reason == "cannot be started: No such file or directory"


async def test_a_child_that_is_too_slow_is_killed_and_tried_again(tmp_path: Path) -> None:
    case = Case(tmp_path, "import time; time.sleep(600)", start_s=0.1)
    async with running(case):
        status = await case.state(ReplicaState.BACKING_OFF)
    assert status.reason == "not ready within 0.1 s"


async def test_a_deaf_child_is_killed_and_started_again(tmp_path: Path) -> None:
    case = Case(tmp_path, STAYS)
    async with running(case):
        first = await case.state(ReplicaState.READY)
        case.well = False
        down = await case.state(ReplicaState.BACKING_OFF)
        case.well = True
        await case.until(lambda s: s.state is ReplicaState.READY and s.pid != first.pid)
    assert down.reason == "failed 10 health checks in a row"


async def test_one_missed_look_is_forgiven(tmp_path: Path) -> None:
    case = Case(tmp_path, STAYS)
    looks = 0

    async def mostly() -> bool:
        nonlocal looks
        looks += case.mark.exists()
        return case.mark.exists() and looks % 9 != 0

    case.replica = ManagedReplica(
        "toy/0", case.replica._launch, healthy=mostly, on_change=case._change, sleep=case._pause
    )
    async with running(case):
        await case.state(ReplicaState.READY)
        async with asyncio.timeout(WAIT_S):
            while looks < 60:
                await case._pause(0)
    assert case.states() == ["starting", "ready", "draining", "stopped"]


async def test_a_child_that_ignores_sigterm_is_killed_after_its_drain_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.process.replica._KILL_GRACE_S", 0.2)
    case = Case(tmp_path, STUBBORN, drain_s=0.1)
    async with running(case):
        await case.state(ReplicaState.READY)
    assert case.states()[-2:] == ["draining", "stopped"]


async def test_grandchildren_die_with_the_group(tmp_path: Path) -> None:
    case = Case(tmp_path, WITH_CHILD + STAYS)
    async with running(case):
        await case.state(ReplicaState.READY)
        said = next(line for line in case.replica._lines if line.startswith("grandchild"))
        grandchild = int(said.split()[1])
        assert lives(grandchild)
    await gone(grandchild)


async def test_grandchildren_die_when_the_child_ends_by_itself(tmp_path: Path) -> None:
    case = Case(tmp_path, WITH_CHILD + "sys.exit(3)")
    async with running(case):
        status = await case.state(ReplicaState.BACKING_OFF)
        assert status.reason.startswith("exit code 3: grandchild")
        await gone(int(status.reason.split()[-1]))


async def test_lines_longer_than_the_limit_stop_nothing(tmp_path: Path) -> None:
    case = Case(
        tmp_path,
        "import sys\n"
        "for _ in range(20): sys.stdout.write('x' * 100_000)\n"
        "print(); print(chr(0x20ac) * 3_000); print('last word', flush=True); sys.exit(3)",
    )
    async with running(case):
        status = await case.state(ReplicaState.BACKING_OFF)
    assert status.reason == "exit code 3: last word"


async def test_the_gateways_key_is_not_in_the_childs_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_API_KEY", "wb-secret")
    monkeypatch.setenv("WEIGHBRIDGE_API_KEY_FILE", "/run/wb-secret")
    monkeypatch.setenv("SOME_OTHER", "kept")
    case = Case(
        tmp_path,
        "import os, sys\n"
        "print('wb-secret' in str(os.environ), os.environ['SOME_OTHER'], os.environ['TOY'])\n"
        "sys.exit(3)",
    )
    async with running(case):
        status = await case.state(ReplicaState.BACKING_OFF)
    assert status.reason == "exit code 3: False kept 1"


async def test_a_child_learns_by_its_standard_input_that_the_gateway_is_gone(
    tmp_path: Path,
) -> None:
    case = Case(tmp_path, STAYS)
    async with running(case):
        await case.state(ReplicaState.READY)
        assert case.replica._child is not None
        assert case.replica._child.stdin is not None
        case.replica._child.stdin.close()
        status = await case.state(ReplicaState.BACKING_OFF)
    assert status.reason == "exit code 0"


async def test_a_stale_socket_is_removed_before_a_start(tmp_path: Path) -> None:
    case = Case(tmp_path, f"import os; print(os.path.exists({str(tmp_path / 's')!r})); exit(3)")
    case.socket.touch()
    async with running(case):
        status = await case.state(ReplicaState.BACKING_OFF)
    assert status.reason == "exit code 3: False"


async def test_kill_ends_a_drain_at_once(tmp_path: Path) -> None:
    case = Case(tmp_path, STUBBORN, drain_s=600)
    async with asyncio.timeout(WAIT_S), running(case) as task:
        await case.state(ReplicaState.READY)
        task.cancel()
        await case.state(ReplicaState.DRAINING)
        case.replica.kill()


async def test_who_is_killed_by_us_stays_down_and_blames_no_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    case = Case(tmp_path, STAYS)
    async with asyncio.timeout(WAIT_S), running(case) as task:
        await case.state(ReplicaState.READY)
        case.replica.kill()
        await asyncio.wait([task])
    assert case.states() == ["starting", "ready", "stopped"]
    assert "memory" not in caplog.text


async def test_a_second_cancellation_leaves_nothing_behind(tmp_path: Path) -> None:
    case = Case(tmp_path, STAYS)
    async with running(case) as task:
        await case.state(ReplicaState.READY)
        task.cancel()
        await case.state(ReplicaState.DRAINING)
        task.cancel()


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8])
async def test_cancelled_in_the_middle_of_a_start_nothing_is_left(
    tmp_path: Path, turns: int
) -> None:
    case = Case(tmp_path, STAYS)
    async with running(case):
        for _ in range(turns):
            await asyncio.sleep(0)
    assert case.states()[-1:] in ([], ["stopped"])


async def test_cancelled_in_a_pause_it_is_stopped(tmp_path: Path) -> None:
    case = Case(tmp_path, "exit(3)")

    async def forever(seconds: float) -> None:
        await (asyncio.Event().wait() if seconds >= 0.5 else asyncio.sleep(0.005))

    case.replica = ManagedReplica(
        "toy/0", case.replica._launch, healthy=case._healthy, on_change=case._change, sleep=forever
    )
    async with running(case):
        await case.state(ReplicaState.BACKING_OFF)
    assert case.states() == ["starting", "backing_off", "stopped"]


async def test_who_becomes_well_while_it_is_ended_is_not_ready_any_more(tmp_path: Path) -> None:
    script = (
        "import pathlib, signal, sys, time\n"
        "def late(*_):\n"
        "    pathlib.Path(sys.argv[1]).touch()\n"
        "    time.sleep(0.3)\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, late)\n"
        "print('it loads', flush=True)\n"
        "while True: time.sleep(1)\n"
    )
    case = Case(tmp_path, script)
    async with running(case):
        await case.state(ReplicaState.STARTING)
        async with asyncio.timeout(WAIT_S):
            while "it loads" not in case.replica._lines:
                await case._pause(0)
    assert case.mark.exists()
    assert case.states() == ["starting", "draining", "stopped"]
