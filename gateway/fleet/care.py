"""Looking after replicas: children are run, remote servers are looked at, figures are fetched.

Owns: the tasks, one for each managed replica and one for each remote server; what the log says of
remote ones (`engines.process` tells of children).
Must not: touch requests in flight.
"""

import asyncio
import logging
from functools import partial
from typing import TypeAlias

import msgspec

from engines.kinds import ReplicaPlan
from engines.process import ManagedReplica, ReplicaState, ReplicaStatus
from engines.words import on_one_line
from gateway.fleet.apart import Apart
from gateway.fleet.fleet import Fleet
from gateway.fleet.looking import Looker, unlisted
from gateway.fleet.measuring import Measuring
from gateway.fleet.pulling import Pulls
from gateway.fleet.replica import Condition, Replica
from gateway.fleet.resident import Resident
from gateway.fleet.sleeping import Sleepers
from gateway.relay.client import Unreachable, UpstreamClient, UpstreamRequest
from gateway.relay.connection import ConnectionLost
from gateway.relay.watch import DeadlinePassed

_log = logging.getLogger("weighbridge.engine")
_LONGEST_REASON = 300
_SILENCES_UNTIL_DOWN = 2  # a server under load may be late once
_DEFECT = "the gateway failed to look after it; its log says why"


# Address, health path, key: two engines may reach one server with different keys.
_Site: TypeAlias = tuple[str, str, str]


class Carer:
    """Runs and watches a fleet's replicas for as long as `run` is not cancelled."""

    def __init__(
        self, fleet: Fleet, client: UpstreamClient, resident: Resident, measuring: Measuring
    ) -> None:
        self._fleet = fleet
        self.measuring = measuring
        self._client = client
        self._looker = Looker(client)
        self._resident = resident
        resident.serve(self.adjust, self._lives_still)
        self._pulls = Pulls(resident)
        self._sleepers = Sleepers(fleet, resident, client)
        self._pokes: dict[_Site, asyncio.Event] = {}
        self._watches: dict[_Site, asyncio.Task[None]] = {}
        self._watched: dict[_Site, list[Replica]] = {}
        self._lives: dict[Replica, asyncio.Task[None]] = {}
        self._children: dict[Replica, ManagedReplica] = {}
        self._ending: set[Replica] = set()
        self._warned: dict[Replica, str] = {}
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Look after all replicas; cancellation ends the children, each after its drain time."""
        self._resident.start()
        async with asyncio.TaskGroup() as group:
            tasks = Apart(group)
            while True:
                self._changed.clear()
                self._adjust_children(tasks)
                self._adjust_watches(tasks)
                self._pulls.adjust(tasks)
                self._sleepers.adjust(tasks)
                try:
                    await self._changed.wait()
                except asyncio.CancelledError:
                    await asyncio.gather(*map(self._measure_leaving, self._children))
                    raise

    def adjust(self) -> None:
        """Look after the replicas that the fleet has now.

        New ones are started. Children that the fleet has no longer end with their last request.
        """
        self._changed.set()

    def _lives_still(self, replica: Replica) -> bool:
        return replica in self._lives or replica in self._ending

    def kill_children(self) -> None:
        """Kill every child at once, without its drain time. A signal handler may call this."""
        for child in tuple(self._children.values()):
            child.kill()

    def _adjust_children(self, tasks: Apart) -> None:
        able = (r for r in self._fleet if r.plan.launch and r.plan.problem is None)
        wanted = {r: None for r in able if self._resident.runs(r)}
        for replica in [r for r in self._lives if r not in wanted]:
            self._ending.add(replica)
            ending = partial(self._end, replica, self._lives.pop(replica))
            tasks.begin(ending, f"end {replica.name}")
        for replica in wanted:
            # Another file may want one again that is ending: two children would share a socket.
            if replica not in self._lives and replica not in self._ending:
                live, failed = partial(self._run_child, replica), partial(self._failed, replica)
                self._lives[replica] = tasks.begin(live, replica.name, failed, again=True)

    def _failed(self, replica: Replica) -> None:
        """Note that a defect has ended a child; it is started again."""
        restarts = replica.restarts + 1
        self._fleet.update(replica, Condition.BACKING_OFF, _DEFECT, restarts)

    async def _end(self, replica: Replica, life: "asyncio.Task[None]") -> None:
        """End a child that gets no new requests, when those that it has are over."""
        if replica.in_flight:
            _log.info("%s ends after its running requests: %d", replica.name, replica.in_flight)
        await replica.unused()
        await self._measure_leaving(replica)
        life.cancel()
        await asyncio.wait([life])
        self._ending.discard(replica)
        self.adjust()
        self._resident.ended(replica)
        self._warned.pop(replica, None)
        _log.info("%s has ended", replica.name)

    async def _measure_leaving(self, replica: Replica) -> None:
        child = self._children.get(replica)
        ready = child is not None and child.status.state is ReplicaState.READY
        if child is not None and ready and not replica.slept:
            await self.measuring.leaving(replica, child.pid)

    def _adjust_watches(self, tasks: Apart) -> None:
        """Look at the servers of the replicas that the fleet has now; at new replicas at once."""
        before, self._watched = self._watched, self._sites()
        for site in before.keys() - self._watched.keys():
            self._watches.pop(site).cancel()
            del self._pokes[site]
            self._client.forget(site[0])
        for site, replicas in self._watched.items():
            if site not in before:
                self._pokes[site] = asyncio.Event()
                watch, failed = partial(self._watch, site), partial(self._unwatched, site)
                self._watches[site] = tasks.begin(watch, f"watch {site[0]}", failed, again=True)
            elif replicas != before[site]:
                self._pokes[site].set()

    def suspect(self, replica: Replica, reason: str, *, unreachable: bool) -> None:
        """Note that a request failed on this replica.

        Others are preferred to it for now, a remote one is looked at at once, and one that could
        not be reached counts as down until then.
        """
        replica.suspect = True
        poke = self._pokes.get(_site(replica.plan))
        if poke is None or not unreachable:
            told = on_one_line(reason, _LONGEST_REASON)
            _log.info("%s failed a request: %s", replica.name, told)
        if poke is None:
            return  # a child's own watcher knows better
        if unreachable:
            self._note(replica, Condition.DOWN, reason)
        poke.set()

    def ending(self, replica: Replica, life: int) -> None:
        """Note that a replica takes nothing new, though its health may say that it is well.

        A child is out of rotation until it has been started again: news of an earlier `life` of
        one that has been would keep it out for good. A server elsewhere is left alone
        for the time that its answer says, again and again, until it is gone or takes requests.
        """
        if replica.plan.launch is not None and replica.ready and life == replica.lives:
            _log.warning("%s is shutting down, though the gateway did not ask for it", replica.name)
            self._fleet.update(replica, Condition.BACKING_OFF, "it ends and will be restarted")
        elif poke := self._pokes.get(_site(replica.plan)):
            replica.suspect = True
            poke.set()

    async def fetch_figures(self) -> None:
        """Ask every ready replica for its own figures; those that do not answer show none.

        A server that serves several models here tells no one's figures.
        """
        sites: dict[tuple[str, str], list[Replica]] = {}
        for replica in self._fleet:
            path = replica.plan.metrics_path
            if path is not None and replica.ready:
                sites.setdefault((replica.plan.address.key, path), []).append(replica)
        alone = [replicas[0] for replicas in sites.values() if len(replicas) == 1]
        async with asyncio.TaskGroup() as tasks:
            for replica in alone:
                tasks.create_task(self._looker.fetch_figures(replica))

    async def _run_child(self, replica: Replica) -> None:
        launch = replica.plan.launch
        if launch is None:
            return

        cold, restarts = True, replica.restarts  # of its earlier lives

        async def healthy() -> bool:
            nonlocal cold
            seen = await self._looker.look(replica.plan)
            if not seen.asked:
                return child.status.state is ReplicaState.READY
            replica.suspect = replica.suspect and not seen.ok
            if seen.ok and cold:
                cold = False
                # By another file nobody can tell what one is that it has no more.
                if self._fleet.named(replica.name) is replica:
                    await self.measuring.loaded(replica, child.pid)
                await self._warm_up(replica)
            return seen.ok

        def changed(status: ReplicaStatus) -> None:
            nonlocal cold
            condition = Condition(status.state.value)
            if condition is Condition.STARTING:
                cold, replica.slept = True, False
            if self._fleet.update(replica, condition, status.reason, restarts + status.restarts):
                self._client.forget(replica.plan.address.key)

        child = ManagedReplica(replica.name, launch, healthy=healthy, on_change=changed)
        self._children[replica] = child
        try:
            await child.run()
        finally:
            del self._children[replica]

    async def _warm_up(self, replica: Replica) -> None:
        """Let a child that is up read what many requests begin with."""
        plan = replica.plan
        if plan.warm_up is None:
            return
        told = [("system", plan.warm_up), ("user", "Hi")]
        body = {
            "model": plan.upstream_model,
            "messages": [{"role": role, "content": text} for role, text in told],
            "max_tokens": 1,
        }
        sent = UpstreamRequest("POST", "/v1/chat/completions", msgspec.json.encode(body))
        try:
            status, _ = await self._client.fetch(plan.address, sent, plan.deadlines)
        except (Unreachable, ConnectionLost, DeadlinePassed) as error:
            _log.warning("%s could not be warmed up: %s", replica.name, error)
        else:
            if status != 200:
                _log.warning("%s answered its warm_up with status %d", replica.name, status)

    def _sites(self) -> dict[_Site, list[Replica]]:
        sites: dict[_Site, list[Replica]] = {}
        for replica in self._fleet:
            if replica.plan.launch is None and replica.plan.problem is None:
                sites.setdefault(_site(replica.plan), []).append(replica)
        return sites

    async def _watch(self, site: _Site) -> None:
        """Look at one remote server for all models that it serves here."""
        poke, silences = self._pokes[site], 0
        while True:
            plan = self._watched[site][0].plan
            poked = poke.is_set()
            poke.clear()
            seen = await self._looker.look(plan)
            silences = silences + 1 if seen.late else 0
            for replica in self._watched[site] if seen.asked else ():
                replica.suspect = replica.suspect and poked
                if seen.ok:
                    replica.tells_uses = seen.tells_uses
                    self._note(replica, Condition.READY, unlisted(replica.plan, seen))
                elif silences >= _SILENCES_UNTIL_DOWN or not (seen.late and replica.ready):
                    self._note(replica, Condition.DOWN, seen.reason)
            try:
                async with asyncio.timeout(plan.health_interval_s):
                    await poke.wait()
            except TimeoutError:
                continue

    def _unwatched(self, site: _Site) -> None:
        """Note that a defect has ended the looks at a server; they are begun again."""
        for replica in self._watched.get(site, ()):
            self._note(replica, Condition.DOWN, _DEFECT)

    def _note(self, replica: Replica, condition: Condition, reason: str) -> None:
        """Note how a remote replica is doing, and log what is news of it."""
        changed = self._fleet.update(replica, condition, reason)
        if condition is Condition.DOWN:
            if changed:
                _log.warning("%s is down: %s", replica.name, reason)
            return
        if changed:
            _log.info("%s is up", replica.name)
        if reason and self._warned.get(replica) != reason:
            self._warned[replica] = reason
            _log.warning("%s: %s", replica.name, reason)


def _site(plan: ReplicaPlan) -> _Site:
    return plan.address.key, plan.health_path, plan.address.authorization or ""
