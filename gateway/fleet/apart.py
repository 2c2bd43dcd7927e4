"""Tasks beside each other: a defect in one is logged, and ends none of the others.

Owns: what becomes of a task that fails. Must not: know what tasks do.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

_log = logging.getLogger("weighbridge.engine")
_PAUSE_S = 5.0


class Apart:
    """Tasks of a group, which ends them when it is cancelled."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group

    def begin(
        self,
        work: Callable[[], Coroutine[Any, Any, None]],
        name: str,
        failed: Callable[[], None] = lambda: None,
        *,
        again: bool = False,
    ) -> "asyncio.Task[None]":
        """Do `work` in a task. After a defect `failed` is called, and it may be done `again`."""
        return self._group.create_task(_do(work, name, failed, again=again), name=name)


async def _do(
    work: Callable[[], Coroutine[Any, Any, None]],
    name: str,
    failed: Callable[[], None],
    *,
    again: bool,
) -> None:
    while True:
        with _logged(name):
            await work()
            return
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            return  # it was to end, and the defect took the place of that
        with _logged(name):
            failed()
        if not again:
            return
        await asyncio.sleep(_PAUSE_S)


@contextlib.contextmanager
def _logged(name: str) -> Iterator[None]:
    """Log a defect, and go on behind the block."""
    try:
        yield
    except Exception:  # noqa: BLE001 - the root of each task
        _log.exception("the task '%s' has failed", name)
