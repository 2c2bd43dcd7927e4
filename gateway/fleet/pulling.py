"""Weights that are pulled while the gateway runs: a process for each pull.

Owns: these processes, and what their lines mean.
Must not: decide who is pulled (`gateway.fleet.resident` does); fetch anything itself.
"""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator
from functools import partial

from engines.hub.telling import Told, read
from engines.kinds import Absent
from engines.process import child_environment, kill_group
from engines.residency import State
from gateway.fleet.apart import Apart
from gateway.fleet.replica import Condition
from gateway.fleet.resident import Resident
from gateway.fleet.tenant import Tenant

_log = logging.getLogger("weighbridge.engine")

_AT_ONCE = 2  # more would only share one line
_END_S = 5.0
_DEFECT = "the gateway failed to fetch its weights; its log says why"


class Pulls:
    """Pulls what a `Resident` says is to be pulled. Its tasks belong to whoever calls `adjust`."""

    def __init__(self, resident: Resident) -> None:
        self._resident = resident
        self._tasks: dict[Tenant, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(_AT_ONCE)

    def adjust(self, tasks: Apart) -> None:
        """Begin what is to be pulled, and stop what nobody wants any more; what has come stays."""
        wanted = {one: None for one in self._resident.tenants if one.state is State.PULLING}
        for tenant in [one for one in self._tasks if one not in wanted]:
            self._tasks.pop(tenant).cancel()
        for tenant in wanted:
            if tenant not in self._tasks:
                pull = partial(self._pull, tenant)
                failed = partial(self._resident.turns.not_pulled, tenant, _DEFECT)
                self._tasks[tenant] = tasks.begin(pull, f"pull {tenant.name}", failed)

    async def _pull(self, tenant: Tenant) -> None:
        async with self._places:
            for absent in tenant.absent:
                _log.info("%s: %s is pulled", tenant.name, absent.weights)
                try:
                    problem = await self._fetch(tenant, absent)
                except OSError as error:
                    problem = f"no process can be started that pulls it: {error.strerror}"
                if problem:
                    self._resident.turns.not_pulled(tenant, problem)
                    return
        _log.info("%s: its weights are here", tenant.name)
        tenant.has_come = True
        self._resident.on_pulled()

    async def _fetch(self, tenant: Tenant, absent: Absent) -> str:
        """Fetch one thing; return why it did not come, "" when it is here."""
        last = Told()
        async with _running(self._argv(absent), tenant) as child:
            if child.stdout is None:
                return "it cannot be read"
            async for line in child.stdout:
                last = read(line) or last
                if last.says:
                    _log.info("%s: %s", tenant.name, last.says)
                elif last.here_bytes is not None:
                    self._reaches(tenant, last.here_bytes, last.size_bytes)
            code = await child.wait()
        if last.done:
            return ""
        return last.problem or f"the pull of {absent.weights} ended with exit code {code}"

    def _reaches(self, tenant: Tenant, here_bytes: int, size_bytes: int | None) -> None:
        if tenant.coming is not None:
            tenant.coming.reaches(here_bytes, size_bytes)
            self._resident.turns.tell(tenant, Condition.PULLING, tenant.coming.in_words())

    def _argv(self, absent: Absent) -> list[str]:
        # -P: a folder called `engines` in the working directory must not be run.
        argv = [sys.executable, "-P", "-m", "engines.hub", "--exit-with-stdin"]
        argv.append(f"--format={absent.format}")
        room = self._resident.reception.residing.rules.budget.get("ram")
        if room is not None:
            argv.append(f"--room-bytes={room}")
        return [*argv, "--", absent.weights]


@contextlib.asynccontextmanager
async def _running(argv: list[str], tenant: Tenant) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a process that has ended when the block has, however it ends."""
    launches = [one.plan.launch for one in tenant.replicas if one.plan.launch is not None]
    child = await asyncio.create_subprocess_exec(
        *argv,
        env=child_environment(frozenset().union(*(launch.secrets for launch in launches))),
        # Held open for life: its end tells the child that the gateway is gone.
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                await child.wait()
        kill_group(child.pid)
