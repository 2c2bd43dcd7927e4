"""One child process, from its first start to the end of the gateway.

Owns: the child, its process group, its standard streams, its socket file.
Must not: decide whether to start again (`engines.process.restarts` does) or speak HTTP.
"""

import asyncio
import contextlib
import logging
import os
import random
import signal
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from engines.kinds import Launch
from engines.process.restarts import decide, describe_exit
from engines.process.state import ReplicaState, ReplicaStatus

_log = logging.getLogger("weighbridge.engine")

_KEPT_LINES = 200  # several processes may each tell of one failure at length
_LONGEST_LINE = 4_096
_FIRST_LOOK_S = 0.02
_SLOWEST_LOOK_S = 0.25
_READY_LOOK_S = 1.0
# A busy single-threaded loader may miss a look; ten seconds of silence are a hung process.
_DEAF_AFTER = 10
_KILL_GRACE_S = 2.0
# Never handed to children: engines have no use for the gateway's own secrets.
_PRIVATE = ("WEIGHBRIDGE_API_KEY", "WEIGHBRIDGE_API_KEY_FILE")


class ManagedReplica:
    """Keeps one child running until `run` is cancelled.

    `healthy` asks the child over its own interface; `on_change` is called with every new status,
    on the event loop. `sleep` is there for tests.
    """

    def __init__(
        self,
        name: str,
        launch: Launch,
        *,
        healthy: Callable[[], Awaitable[bool]],
        on_change: Callable[[ReplicaStatus], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._name = name
        self._launch = launch
        self._healthy = healthy
        self._on_change = on_change
        self._sleep = sleep
        self._status = ReplicaStatus(ReplicaState.STARTING)
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._ready_since_s: float | None = None
        self._child: asyncio.subprocess.Process | None = None
        self._killed = False

    @property
    def status(self) -> ReplicaStatus:
        """How the child is doing now."""
        return self._status

    @property
    def pid(self) -> int | None:
        """The child's process id, None while there is none."""
        return None if self._child is None else self._child.pid

    async def run(self) -> None:
        """Start the child and start it again when it ends, with growing pauses.

        Returns when a start is hopeless, or when it was killed. Cancellation drains the child:
        SIGTERM, the drain time, then SIGKILL for its whole process group; no process and no socket
        file stays behind.
        """
        try:
            await self._live()
        except asyncio.CancelledError:
            self._become(ReplicaState.STOPPED)
            raise

    async def _live(self) -> None:
        failures = 0
        while not self._killed:
            exit_code, reason = await self._one_life()
            if self._killed:
                break
            ready_s = 0.0 if self._ready_since_s is None else _now_s() - self._ready_since_s
            jitter = random.random()  # noqa: S311 - spreading restarts is no cryptography
            restart = decide(exit_code, failures=failures, ready_s=ready_s, jitter=jitter)
            failures = restart.failures
            if restart.pause_s is None:
                _log.error("%s cannot start: %s", self._name, reason)
                self._become(ReplicaState.FAILED, reason)
                return
            _log.warning("%s ended (%s); restarting in %.1f s", self._name, reason, restart.pause_s)
            self._become(ReplicaState.BACKING_OFF, reason, restarts=self._status.restarts + 1)
            await self._sleep(restart.pause_s)
            self._become(ReplicaState.STARTING, reason)
        self._become(ReplicaState.STOPPED)

    def kill(self) -> None:
        """Kill the child and its process group now, without its drain time; none comes after it."""
        self._killed = True
        if self._child is not None and self._child.returncode is None:
            kill_group(self._child.pid)

    async def _one_life(self) -> tuple[int | None, str]:
        """Run the child once; return its exit code (None: we ended it) and why it ended."""
        self._lines.clear()
        self._ready_since_s = None
        self._remove_socket()
        try:
            transport, child, exited = await self._spawn()
        except OSError as error:
            return 1, f"cannot be started: {error.strerror}"
        self._child = child
        ended = asyncio.create_task(exited.wait())
        reading = asyncio.create_task(self._read_output(child))
        watching = asyncio.create_task(self._watch())
        try:
            self._become(ReplicaState.STARTING, self._status.reason)
            await asyncio.wait([ended, watching], return_when=asyncio.FIRST_COMPLETED)
            if child.returncode is None:
                return None, watching.result()
            # What it said last may still be in the pipe, which a grandchild may hold open.
            kill_group(child.pid)
            await asyncio.wait([reading], timeout=1)
            return child.returncode, describe_exit(child.returncode, self._lines)
        except asyncio.CancelledError:
            watching.cancel()  # who loads to its end meanwhile is not ready for anybody
            self._become(ReplicaState.DRAINING)
            await _finish(self._drain(child, ended))
            raise
        finally:
            self._child = None
            watching.cancel()
            kill_group(child.pid)
            await _finish(asyncio.wait([ended], timeout=_KILL_GRACE_S))
            ended.cancel()
            reading.cancel()
            transport.close()
            self._remove_socket()

    async def _spawn(
        self,
    ) -> tuple[asyncio.SubprocessTransport, asyncio.subprocess.Process, asyncio.Event]:
        environment = child_environment(self._launch.secrets)
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(
            lambda: _Protocol(_LONGEST_LINE, loop),
            *self._launch.argv,
            env=environment | dict(self._launch.environment),
            # Held open for life: its end tells the child that the gateway is gone.
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        child = asyncio.subprocess.Process(transport, protocol, loop)
        return transport, child, protocol.exited

    async def _watch(self) -> str:
        """Look after the child's health; return only to say why it must be ended."""
        deadline_s = _now_s() + self._launch.start_timeout_s
        look_s, misses = _FIRST_LOOK_S, 0
        while True:
            if await self._healthy():
                misses = 0
                if self._ready_since_s is None:
                    self._ready_since_s = _now_s()
                    self._become(ReplicaState.READY)
                    _log.info("%s is ready", self._name)
                look_s = _READY_LOOK_S
            elif self._ready_since_s is None:
                look_s = min(_SLOWEST_LOOK_S, look_s * 1.5)
                if _now_s() > deadline_s:
                    return f"not ready within {self._launch.start_timeout_s:g} s"
            else:
                misses += 1
                if misses >= _DEAF_AFTER:
                    return f"failed {misses} health checks in a row"
            await self._sleep(look_s)

    async def _read_output(self, child: asyncio.subprocess.Process) -> None:
        if child.stdout is None:
            return
        while True:
            try:
                line = await child.stdout.readline()
            except ValueError:
                continue  # a line beyond the limit: asyncio has dropped what it had of it
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip()
            self._lines.append(text)
            _log.info("%s: %s", self._name, text)

    async def _drain(self, child: asyncio.subprocess.Process, ended: "asyncio.Task[Any]") -> None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        await asyncio.wait([ended], timeout=self._launch.drain_timeout_s + _KILL_GRACE_S)

    def _become(
        self, state: ReplicaState, reason: str = "", *, restarts: int | None = None
    ) -> None:
        count = self._status.restarts if restarts is None else restarts
        pid = None if self._child is None else self._child.pid
        self._status = ReplicaStatus(state, reason, count, pid)
        self._on_change(self._status)

    def _remove_socket(self) -> None:
        if self._launch.socket_path is not None:
            self._launch.socket_path.unlink(missing_ok=True)


class _Protocol(asyncio.subprocess.SubprocessStreamProtocol):
    """Tells of the exit at once; asyncio's `wait` waits until nobody holds the pipes as well."""

    def __init__(self, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit, loop)
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        """Note the exit; called by the event loop."""
        super().process_exited()
        self.exited.set()


async def _finish(work: Awaitable[object]) -> None:
    """Await `work` to its end even when we are cancelled again meanwhile."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([task])


def child_environment(secrets: frozenset[str]) -> dict[str, str]:
    """Return the gateway's own variables less its keys and those whose values are `secrets`."""
    return {k: v for k, v in os.environ.items() if k not in _PRIVATE and v not in secrets}


def kill_group(pid: int) -> None:
    """Kill what is left of the child's process group, grandchildren included."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _now_s() -> float:
    return time.monotonic()
