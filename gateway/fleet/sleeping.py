"""Units that fall asleep in place of ending, and that are woken in place of being started.

Owns: the tasks that ask their processes to, and the turns that follow.
Must not: decide who sleeps (`engines.residency` does), or know what is asked
(`engines.vllm.sleeping` does).
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any

from engines.kinds import Deadlines
from engines.vllm.sleeping import Post, SleepRefused, fall_asleep, wake_up
from gateway.fleet.apart import Apart
from gateway.fleet.fleet import Fleet
from gateway.fleet.replica import Condition, Replica
from gateway.fleet.resident import Resident
from gateway.fleet.tenant import Tenant
from gateway.relay.client import Unreachable, UpstreamClient, UpstreamRequest
from gateway.relay.connection import ConnectionLost
from gateway.relay.watch import DeadlinePassed

_log = logging.getLogger("weighbridge.engine")
# Tens of gigabytes go to RAM, or come back from there.
_PATIENCE = Deadlines(connect_s=3, first_byte_s=180, idle_s=180)
_DEFECT = "the gateway failed to ask it; its log says why"


class Sleepers:
    """Asks those that a `Resident` names. Its tasks belong to whoever calls `adjust`."""

    def __init__(self, fleet: Fleet, resident: Resident, client: UpstreamClient) -> None:
        self._fleet = fleet
        self._resident = resident
        self._client = client
        self._falling: dict[Tenant, asyncio.Task[None]] = {}
        self._waking: dict[Tenant, asyncio.Task[None]] = {}

    def adjust(self, tasks: Apart) -> None:
        """Begin to ask; who was asked and is to do something else is not asked any more."""
        tenants = tuple(self._resident.tenants)
        drowsy, waking = ([t for t in tenants if t.drowsy], [t for t in tenants if t.wakes])
        self._follow(tasks, self._falling, drowsy, self._let_sleep, self._sleepless)
        self._follow(tasks, self._waking, waking, self._wake, self._not_woken)

    def _follow(
        self,
        tasks: Apart,
        running: dict[Tenant, asyncio.Task[None]],
        wanted: Iterable[Tenant],
        work: Callable[[Tenant], Coroutine[Any, Any, None]],
        failed: Callable[[Tenant, str], None],
    ) -> None:
        now = dict.fromkeys(wanted)
        for tenant in [one for one in running if one not in now]:
            running.pop(tenant).cancel()
        for tenant in now:
            if tenant not in running:
                ask, unanswered = partial(work, tenant), partial(failed, tenant, _DEFECT)
                running[tenant] = tasks.begin(ask, f"sleep {tenant.name}", unanswered)

    async def _let_sleep(self, tenant: Tenant) -> None:
        for replica in tenant.replicas:
            await replica.unused()
        try:
            for replica in tenant.replicas:
                await fall_asleep(self._post(replica))
        except SleepRefused as refused:
            self._sleepless(tenant, str(refused))
            return
        if tenant.drowsy:
            self._resident.turns.slept(tenant)

    def _sleepless(self, tenant: Tenant, why: str) -> None:
        if tenant.drowsy:
            _log.warning("%s cannot sleep and is stopped instead: %s", tenant.name, why)
            tenant.drowsy = False
            self._resident.turns.end(tenant)

    async def _wake(self, tenant: Tenant) -> None:
        try:
            for replica in tenant.replicas:
                await wake_up(self._post(replica))
        except SleepRefused as refused:
            self._not_woken(tenant, str(refused))
            return
        if tenant.wakes:
            _log.info("%s is awake", tenant.name)
            for replica in tenant.replicas:
                self._fleet.update(replica, Condition.READY)

    def _not_woken(self, tenant: Tenant, why: str) -> None:
        if tenant.wakes:
            self._resident.turns.broke(tenant, f"it did not wake: {why}")

    def _post(self, replica: Replica) -> Post:
        async def post(path: str) -> tuple[int, bytes]:
            asked = UpstreamRequest("POST", path)
            try:
                return await self._client.fetch(replica.plan.address, asked, _PATIENCE)
            except (Unreachable, ConnectionLost, DeadlinePassed):
                return 0, b""

        return post
