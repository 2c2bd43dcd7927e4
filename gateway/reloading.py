"""A changed `routing.yaml` is put in force while requests run, whole or not at all.

Owns: when the file is read again, and what is said of it: in the log, on `/metrics` and `/ready`.
Must not: decide what replicas stay (`gateway.fleet.difference`) or what needs a restart
(`gateway.config.held_back`); know of signals.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from engines.kinds import Absent
from engines.weights import WeightsProblem, locate
from engines.words import counted
from gateway.blueprint import Blueprint, blueprint_of
from gateway.config.held_back import hold_back
from gateway.config.loading import LoadedConfig, load_config
from gateway.config.problems import ConfigError
from gateway.domain import ModelFacts
from gateway.fleet.difference import Difference
from gateway.observe.metrics import Reload
from gateway.parts import Live, changed_gateway

_log = logging.getLogger("weighbridge.config")

LOOK_S = 1.0
# Which file it is (an editor renames another over it, a link is turned), when it was written, how
# long it is.
Mark: TypeAlias = tuple[int, int, int, int]


def mark_of(path: Path) -> Mark | None:
    """Return what tells one version of a file from another; None while there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


@dataclass(frozen=True, slots=True)
class Ground:
    """What stays the same for every version of the file."""

    path: Path
    environ: Mapping[str, str]
    facts_of: Callable[[LoadedConfig], Mapping[str, ModelFacts]]
    runtime_folder: Path
    cores: int
    cache: Path | None = None


class Reloader:
    """Reads the file again when asked, and while it is watched when it has changed.

    One version after the other: the last one wins however many come at once. `read` is the mark of
    the version that is in force; with `look_s` None the file is not watched.
    """

    def __init__(
        self, live: Live, ground: Ground, read: Mark | None, look_s: float | None = LOOK_S
    ) -> None:
        self._live = live
        self._ground = ground
        self._read = self._seen = read
        self._look_s = look_s
        self._woken = asyncio.Event()
        self._asked = self._pulled = False
        self._generation = 0
        live.gateway.resident.on_pulled = self._has_pulled

    def ask(self) -> None:
        """Have the file read again soon. On the event loop's thread."""
        self._asked = True
        self._woken.set()

    def _has_pulled(self) -> None:
        self._pulled = True
        self._woken.set()

    async def run(self) -> None:
        """Read the file whenever that is due, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_s):
                    await self._woken.wait()
            self._woken.clear()
            if self._due():
                self._asked = False
                await self._reload()
            if self._pulled or await self._has_arrived():
                self._pulled = False
                await self._replan()

    def _due(self) -> bool:
        """Say whether the file is to be read now; unless asked, none that is being written is."""
        mark, last = mark_of(self._ground.path), self._seen
        self._seen = mark
        if not self._asked and (mark in (None, self._read) or mark != last):
            return False
        self._read = mark
        return True

    async def _has_arrived(self) -> bool:
        """Say whether weights are here now that a replica lacks: somebody has pulled them."""
        gateway = self._live.gateway
        absent = {one.plan.absent for one in gateway.fleet if one.plan.absent is not None}
        if not absent or self._look_s is None:
            return False
        base = gateway.config.base
        return await asyncio.to_thread(lambda: any(_is_here(one, base) for one in absent))

    async def _reload(self) -> None:
        self._generation += 1
        try:
            # It takes half a second of reading and thinking, for which no stream is to wait.
            blueprint, held_back = await asyncio.to_thread(self._prepare, self._generation)
            change = await self._put(blueprint)
        except ConfigError as error:
            self._refuse([str(problem) for problem in error.problems])
            return
        except Exception as error:  # noqa: BLE001 - the root of this task: later files are read too
            _log.error("reloading the file has failed", exc_info=error)
            self._refuse([f"{self._ground.path}:1:1: it cannot take effect: {error!r}"])
            return
        self._live.refused, self._live.held_back = (), held_back
        self._live.gateway.metrics.reloaded(Reload.IN_FORCE)
        self._tell(blueprint.config, change, held_back)

    async def _replan(self) -> None:
        """Go on with the file in force, where what weights are is known now that was not."""
        self._generation += 1
        config, generation = self._live.gateway.config, self._generation
        try:
            blueprint = await asyncio.to_thread(self._blueprint, config, generation)
            change = await self._put(blueprint)
        except Exception as error:  # noqa: BLE001 - the root of this task: later files are read
            _log.error("weights that were fetched cannot be used", exc_info=error)
            why = f"its weights were fetched and cannot be used: {error!r}"
            self._live.gateway.resident.not_taken(why)
            return
        _log.info("weights were fetched: %s", said_of(change))

    async def _put(self, blueprint: Blueprint) -> Difference:
        await self._live.prepare(blueprint)
        gateway, change = changed_gateway(self._live.gateway, blueprint)
        self._live.put(gateway)
        return change

    def _blueprint(self, config: LoadedConfig, generation: int) -> Blueprint:
        return blueprint_of(
            config,
            self._ground.facts_of(config),
            runtime_folder=self._ground.runtime_folder,
            cores=self._ground.cores,
            generation=generation,
            found=self._live.found,
            cache=self._ground.cache,
            before=self._live.gateway.config.placing,
        )

    def _prepare(self, generation: int) -> tuple[Blueprint, tuple[str, ...]]:
        """Make everything that the file asks for, on a thread of its own.

        Raises:
            ConfigError: the file cannot be used.
        """
        ground = self._ground
        config = load_config(ground.path, ground.environ)
        file, held_back = hold_back(self._live.gateway.config.file, config.file)
        config = replace(config, file=file)
        return self._blueprint(config, generation), held_back

    def _refuse(self, problems: Sequence[str]) -> None:
        self._live.refused = tuple(problems)
        self._live.gateway.metrics.reloaded(Reload.REFUSED)
        for problem in problems:
            _log.error("%s", problem)
        _log.error("%s is rejected; the previous file stays in force", self._ground.path)

    def _tell(self, config: LoadedConfig, change: Difference, held_back: Sequence[str]) -> None:
        for warning in config.warnings:
            _log.warning("%s", warning)
        for replica in self._live.gateway.fleet:
            if replica.plan.problem is not None:
                _log.error("%s cannot start: %s", replica.name, replica.plan.problem)
        for key in held_back:
            _log.warning("%s has changed in the file, which takes effect after a restart", key)
        _log.info("%s is in force: %s", config.source, said_of(change))


def _is_here(absent: Absent, base: Path) -> bool:
    try:
        return locate(absent.weights, base).format == absent.format
    except WeightsProblem:
        return False


def said_of(change: Difference) -> str:
    """Return a line on what becomes of the replicas."""
    also = set(change.added) & set(change.removed)
    parts = [
        f"{words} {', '.join(names)}"
        for words, names in (
            ("starts", [name for name in change.added if name not in also]),
            ("ends", [name for name in change.removed if name not in also]),
            ("replaces", [name for name in change.added if name in also]),
        )
        if names
    ]
    return "; ".join([*parts, f"{counted(len(change.kept), 'replica')} as before"])
