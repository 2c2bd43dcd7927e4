"""The worker processes: started, replaced when they die, ended when the gateway ends.

Owns: the processes and the pauses between them.
Must not: know what they do; what they hold is their desk's.

| what happens | then |
|---|---|
| a worker dies, or hangs and is killed | another takes its place, after a growing pause |
| all are given up, as they never become ready | the gateway ends |
| the gateway is told to end | workers take no connections, and end with their last request |
| it is told so again, or they are late | they are killed |
| the parent dies | its end of the line closes, and the worker ends |
"""

import asyncio
import contextlib
import logging
import os
import random
import secrets
import signal
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable
from dataclasses import dataclass

from engines.platform import seen_of
from engines.process.restarts import decide, describe_exit
from gateway.observe.processes import ProcessMetrics
from gateway.workers.census import Places
from gateway.workers.desk import Desk
from gateway.workers.office import Office
from gateway.workers.pulse import Pulse
from gateway.workers.words import Ping

_log = logging.getLogger("weighbridge.workers")

# A worker that does not become ready is tried so often in a row before it is given up.
_MOST_STARTS = 5
# What workers have beyond the drain time, for their last words.
_GRACE_S = 5.0
# How often workers are asked for a sign: see `gateway.workers.pulse`.
_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Terms:
    """How workers are started: how many, by which command, for which listener."""

    workers: int
    argv: tuple[str, ...]
    listener: socket.socket
    drain_timeout_s: float


class Crew:
    """Mutable; used from the event loop's thread only, but for `hurry`, which a signal may call."""

    def __init__(
        self,
        office: Office,
        terms: Terms,
        figures: ProcessMetrics,
        on_failure: Callable[[], None],
    ) -> None:
        """Hear of `on_failure` when no worker can start."""
        self._office = office
        self._terms = terms
        self._figures = figures
        self._on_failure = on_failure
        self._places = Places(terms.workers)
        self._processes: dict[int, Process] = {}
        self._lives: list[asyncio.Task[None]] = []
        self._telling: asyncio.Task[None] | None = None
        self._ready: dict[int, float] = {}  # since when
        self._hung: set[int] = set()
        self._given_up = 0
        self._changed = asyncio.Event()
        self._ending, self._hurry = asyncio.Event(), asyncio.Event()
        # Beginnings of prompts are told apart by hashes, which are to be the same in all workers.
        self._seed = str(secrets.randbelow(2**32))

    @property
    def ready(self) -> int:
        """How many workers take connections."""
        return len(self._ready)

    @property
    def running(self) -> int:
        """How many requests they have."""
        return self._office.running

    async def start(self, stop: Callable[[], bool]) -> None:
        """Start all; return when each is ready or given up, or when told to `stop`."""
        self._telling = asyncio.create_task(self._office.run(), name="tell workers")
        self._lives = [
            asyncio.create_task(self._live(number), name=f"gateway worker {number}")
            for number in range(self._terms.workers)
        ]
        for life in self._lives:
            life.add_done_callback(_report)
        while self.ready + self._given_up < self._terms.workers and not stop():
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await self._changed.wait()

    async def end(self) -> None:
        """Let the workers end their requests, for as long as the drain time allows."""
        self._ending.set()
        self._signal(signal.SIGTERM)
        ended = asyncio.create_task(self._all_ended())
        hurry = asyncio.create_task(self._told_to_hurry())
        limit_s = self._terms.drain_timeout_s + _GRACE_S
        await asyncio.wait([ended, hurry], timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            await asyncio.wait([ended], timeout=_GRACE_S)
            self._signal(signal.SIGKILL)
        hurry.cancel()
        await ended
        if self._telling is not None:
            self._telling.cancel()

    async def _all_ended(self) -> None:
        if self._lives:
            await asyncio.wait(self._lives)

    async def _told_to_hurry(self) -> None:
        await self._hurry.wait()

    def hurry(self) -> None:
        """Have requests cut off now."""
        self._hurry.set()
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        for process in tuple(self._processes.values()):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    async def _live(self, number: int) -> None:
        """Keep one worker running until the gateway ends."""
        failures = in_vain = 0
        while not self._ending.is_set():
            code, ready_s = await self._one_life(number)
            in_vain = 0 if ready_s else in_vain + 1
            if self._ending.is_set():
                return
            how, name = describe_exit(code, ()), f"gateway worker {number + 1}"
            if number in self._hung:
                self._hung.discard(number)
                how = "it gave no sign any more, and was killed"
            restart = decide(code, failures=failures, ready_s=ready_s, jitter=random.random())  # noqa: S311 - spreading restarts is no cryptography
            failures = restart.failures
            if restart.pause_s is None or in_vain >= _MOST_STARTS:
                _log.error("%s cannot start (%s)", name, how)
                break
            self._figures.restarts.inc()
            _log.warning("%s ended (%s); restarting in %.1f s", name, how, restart.pause_s)
            await self._pause(restart.pause_s)
        if self._ending.is_set():
            return
        self._given_up += 1
        self._changed.set()
        if self._given_up == self._terms.workers:
            self._on_failure()

    async def _pause(self, pause_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._ending.wait()

    async def _one_life(self, number: int) -> tuple[int, float]:
        """Run a worker once; return its exit code and for how long it was ready."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        desk = self._office.open(lambda: self._is_ready(number))
        try:
            with theirs:
                process = await self._spawn(number, theirs)
        except OSError as error:
            ours.close()
            _log.error("no process for a gateway worker: %s", error.strerror)
            return 1, 0.0
        self._processes[number] = process
        if self._ending.is_set():  # it was told while there was nobody to pass it on to
            process.terminate()
        await loop.create_unix_connection(lambda: desk.line, sock=ours)
        self._office.greet(desk)
        looks = asyncio.create_task(self._feel(number, process, desk), name="feel a pulse")
        looks.add_done_callback(_report)
        try:
            code = await process.wait()
            # What it said last is still on the line.
            await desk.line.gone.wait()
        finally:
            looks.cancel()
            self._office.part(desk)
            del self._processes[number]
            self._places.vacate(number)
            since_s = self._ready.pop(number, None)
            self._figures.up.value = self.ready
        return code, 0.0 if since_s is None else time.monotonic() - since_s

    async def _feel(self, number: int, process: Process, desk: Desk) -> None:
        """Kill a worker that hangs once it was ready; what it holds comes back with its end."""
        pulse = Pulse()
        while True:
            desk.heard = False
            desk.line.say(Ping())
            await asyncio.sleep(_LOOK_S)
            if desk.heard or number not in self._ready:
                pulse = Pulse()
            elif pulse.hangs(seen_of(process.pid)):
                self._hung.add(number)
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                return

    async def _spawn(self, number: int, line: socket.socket) -> Process:
        listener, places = self._terms.listener.fileno(), self._places.descriptor
        told = (str(number), str(listener), str(line.fileno()), str(places))
        return await asyncio.create_subprocess_exec(
            *self._terms.argv,
            *told,
            stdin=DEVNULL,
            pass_fds=(listener, line.fileno(), places),
            env=os.environ | {"PYTHONHASHSEED": self._seed},
            # Ctrl-C is the parent's to hear, who then has them end.
            start_new_session=True,
        )

    def _is_ready(self, number: int) -> None:
        self._ready[number] = time.monotonic()
        self._figures.up.value = self.ready
        self._changed.set()
        _log.info("gateway worker %d is ready", number + 1)


def _report(life: "asyncio.Task[None]") -> None:
    """Log what nobody expected."""
    if not life.cancelled() and life.exception() is not None:
        _log.critical("%s is no longer supervised", life.get_name(), exc_info=life.exception())


def command() -> tuple[str, ...]:
    """Return the command that runs a worker."""
    # -P: a folder that people serve from may have anything in it.
    return (sys.executable, "-P", "-m", "gateway.cli.worker")
