"""The line between a worker and the parent: what is said on one end is heard on the other."""

import asyncio
import itertools
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from engines.protocol.answers import Usage, UseTold
from gateway.domain import ModelStatus, Outcome
from gateway.observe.journal import Observed
from gateway.workers import words
from gateway.workers.line import Line, framed

WORDS: tuple[words.Word, ...] = (
    words.Ready(),
    words.Ask(1, ("m", "n"), 1.5, 3.0, -2, True, words.Weight(7, 8, {"m": ((1, -2), (0.5, 1.0))})),
    words.Ask(2, ("m",), 1.0, 0.0, tried=words.Tried(Outcome.TIMEOUT, ("m/a/0",), {"m/b/0": 3})),
    words.Another(3, "m", 1.0, True, ("m/a/0",), words.Weight()),
    words.GiveUp(4),
    words.Came(((1, 2), (3, 4))),
    words.End(5, Outcome.OK, True, 1.0, None, 6, Usage(1, 2, 3), b"\0" * 16),
    words.Told(6, UseTold(1, 2, 3)),
    words.Rest("m/a/0", 2.5),
    words.Suspect("m/a/0", "broken", True),
    words.Ending("m/a/0", 2),
    words.MayRetry(7),
    words.Count(("m", "a", "0"), "hedged", "won"),
    words.Shadowed("m", Outcome.OK, 0.25),
    words.PromptCounted("m", True),
    words.Read((1, -2), "m"),
    words.Prepared(8),
)
FROM_PARENT: tuple[words.Word, ...] = (
    words.File(b"file"),
    words.State({"m/a/0": (True, 1, False)}, {"m": ModelStatus()}, None),
    words.Granted(1, "m/a/0", 2, "m", 0.0, 3.0, "use"),
    words.Refused(2, 1.0, "ModelBusy", "no room", 3.0),
    words.Beat(3, "m", "loading", 1.5),
    words.Might(4, True),
    words.Prepare(8, words.File(b"file")),
)


def heard(kind: Any, data: bytes, cuts: list[int]) -> list[words.Word]:
    """Return what a line hears of bytes that come in pieces."""
    found: list[words.Word] = []
    line: Line[words.Word] = Line(kind, found.append, lambda: None)
    ends = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    for begin, end in itertools.pairwise(ends):
        line.data_received(data[begin:end])
    return found


@given(st.lists(st.sampled_from(WORDS), max_size=8), st.lists(st.integers(0, 10_000), max_size=6))
def test_what_a_worker_says_is_heard_however_it_is_cut(
    said: list[words.Word], cuts: list[int]
) -> None:
    data = b"".join(framed(msgspec.msgpack.encode(word)) for word in said)
    assert heard(words.FromWorker, data, cuts) == said


@given(st.lists(st.sampled_from(FROM_PARENT)), st.lists(st.integers(0, 10_000), max_size=6))
def test_what_the_parent_says_is_heard_however_it_is_cut(
    said: list[words.Word], cuts: list[int]
) -> None:
    data = b"".join(framed(msgspec.msgpack.encode(word)) for word in said)
    assert heard(words.FromParent, data, cuts) == said


def test_a_line_of_the_journal_is_heard_as_it_was_said() -> None:
    observed = Observed(
        at_s=1.0,
        endpoint="chat",
        asked="m",
        model="m",
        would=None,
        rule=None,
        task="general",
        language="es",
        request_size="small",
        difficulty=0.1,
        prompt_tokens=1,
        completion_tokens=2,
        duration_s=0.5,
        first_token_s=None,
    )
    word = words.Seen(observed)
    assert heard(words.FromWorker, framed(msgspec.msgpack.encode(word)), []) == [word]


async def test_who_is_gone_is_told_once_and_spoken_to_in_vain() -> None:
    losses: list[str] = []
    line: Line[words.Word] = Line(words.FromParent, lambda _: None, lambda: losses.append("lost"))
    line.connection_lost(None)
    line.say(words.Ready())
    await asyncio.wait_for(line.gone.wait(), 1)
    assert losses == ["lost"]
