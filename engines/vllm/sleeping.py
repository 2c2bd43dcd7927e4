"""Sleep of a vLLM: it gives its GPU memory up, and is back sooner than a new start.

    level 1: its weights go to RAM, its cells are dropped; level 2: its weights are dropped too.

It needs `sleep_mode: true` and a GPU, and waits for what runs.

Owns: what is asked, and what answers mean.
Must not: decide who sleeps; connect: the caller hands over how to post.
"""

from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

import msgspec

from engines.protocol.unreadable import UNREADABLE

# Posts to a whole path of the vLLM; returns status and body, status 0 where nobody answers.
Post: TypeAlias = Callable[[str], Awaitable[tuple[int, bytes]]]


class SleepRefused(Exception):
    """vLLM does not do it; the message says why and how to mend that."""


class _State(msgspec.Struct, frozen=True):
    status: str = ""


async def fall_asleep(post: Post, level: Literal[1, 2] = 1) -> None:
    """Have it give its GPU memory up when what it runs has ended.

    Raises:
        SleepRefused: it cannot, or is not to.
    """
    status, body = await post(f"/sleep?level={level}&mode=wait")
    _check(status, body, "sleeping")


async def wake_up(post: Post) -> None:
    """Have it take its GPU memory again; it serves when this returns.

    Raises:
        SleepRefused: it cannot; it has to be started anew.
    """
    status, body = await post("/wake_up")
    _check(status, body, "awake")


def _check(status: int, body: bytes, wanted: str) -> None:
    if status == 404:
        raise SleepRefused(
            "it was started without sleep mode; write sleep_mode: true at its engine"
        )
    if status == 0:
        raise SleepRefused("it does not answer")
    if status != 200:
        raise SleepRefused(f"it answers with status {status}; its log says more")
    try:
        state = msgspec.json.decode(body, type=_State).status
    except UNREADABLE:
        state = ""
    if state != wanted:
        raise SleepRefused(f"it says that it is {state or 'in no state that is known'}")
