"""Proves of one file that our engine can run it: loads, batches, reuses what it has read, frees.

Owns: what is asked of a model, and when two answers are the same.
Must not: know architectures, or make files (`toys`).
"""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engines.llamacpp.batcher import Batcher
from engines.llamacpp.batches import Piece
from engines.llamacpp.binding import Floats, Limits, Runtime
from engines.llamacpp.orders import Order, Progress, TokenTold
from engines.llamacpp.pooled import Pooled
from engines.llamacpp.sampling import SamplingParams
from engines.llamacpp.sequence import SequenceState

_LIMITS = Limits(context=256, cells=1_024, parallel=4, batch_tokens=48, threads=1, batch_threads=1)
_START = "the weighbridge weighs one, two, three things: "
# All end alike: only who looks back sees them differ.
_ENDS = (
    "a cart of hay and two",
    "thirty sheep, one dog and two",
    "a bridge, the weight of which nobody knew, and two",
    "nothing but two",
)
_MORE = "; then the next cart came, and"
_TOKENS = 16
_WAIT_S = 60
# Sums in another order differ by about this much: between two tokens as close as that, either
# may be the likeliest.
_NOISE = 0.05
_MAPS = Path("/proc/self/maps")


class NotProved(Exception):
    """The engine ran the model, and not as it should; the message says how."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What was seen: `cuts`, whether what was read once is used again for prompts that begin so."""

    cuts: bool


@dataclass(eq=False)
class _Stream:
    """One greedy sequence, and what it has been told."""

    prompt: tuple[int, ...]
    most_tokens: int = _TOKENS
    told: list[TokenTold] = field(default_factory=list)
    error: str | None = None
    cached: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def sequence(self) -> SequenceState:
        greedy = SamplingParams(temperature=0)
        order = Order(self.prompt, self.most_tokens, greedy, ignore_eos=True, logprobs=2)
        return SequenceState(order, self._hear)

    def _hear(self, progress: Progress) -> None:
        self.told += progress.told
        self.cached += progress.cached
        self.error = progress.error
        if progress.finish_reason or progress.error:
            self.ended.set()

    @property
    def likelihoods(self) -> tuple[float, ...]:
        """How likely its tokens were."""
        return tuple(told.logprob for told in self.told)


async def prove(weights: Path) -> Proof:
    """Return what the engine could do with a file.

    Raises:
        LoadFailed: llama.cpp cannot load it.
        NotProved: an answer depends on who else is there, or on what was read before.
    """
    with _loaded(weights, reuse=False) as runtime:
        alone = await _ask_one_by_one(runtime)
        if len({stream.likelihoods for stream in alone}) < len(alone):
            raise NotProved("different prompts are answered alike: it does not look back")
        _check_same("four at once", await _ask(runtime), alone)
        later = await _ask_one_by_one(runtime, _going_on(runtime, alone))
    with _loaded(weights, reuse=True) as runtime:
        first, again = await _ask_twice(runtime)
        _check_same("four that share what they begin with", first, alone)
        _check_same("four that were asked before", again, alone)
        _check_cached(again, runtime.shares)
        more = await _run(runtime, _streams(runtime), _going_on(runtime, alone))
        _check_same("four that go on from their answers", more, later)
        _check_gone_on(more, alone)
        cuts = runtime.shares
    if _is_mapped(weights):
        raise NotProved("the file is still in memory after its end")
    return Proof(cuts)


class _Held(Runtime):
    """Holds a step until all have asked: every run has the same steps, and the same sums."""

    def __init__(self, weights: Path, *, reuse: bool) -> None:
        super().__init__(weights, _LIMITS, 0, prefix_cache=reuse)
        self.arrived, self.opened = threading.Event(), threading.Event()

    def decode(self, pieces: Sequence[Piece], adapter: int = 0, added: int = 0) -> Floats | None:
        """Wait, then evaluate."""
        self.arrived.set()
        self.opened.wait(_WAIT_S)
        return super().decode(pieces, adapter, added)


@contextmanager
def _loaded(weights: Path, *, reuse: bool) -> Iterator[_Held]:
    runtime = _Held(weights, reuse=reuse)
    try:
        yield runtime
    finally:
        runtime.close()


async def _ask_one_by_one(
    runtime: _Held, streams: Sequence[_Stream] | None = None
) -> list[_Stream]:
    asked = _streams(runtime) if streams is None else streams
    return [(await _run(runtime, [stream]))[0] for stream in asked]


async def _ask(runtime: _Held) -> list[_Stream]:
    return await _run(runtime, _streams(runtime))


async def _ask_twice(runtime: _Held) -> tuple[list[_Stream], list[_Stream]]:
    first, again = _streams(runtime), _streams(runtime)
    await _run(runtime, first, again)
    return first, again


async def _run(runtime: _Held, *rounds: list[_Stream]) -> list[_Stream]:
    """Let each round run together, one round after the other; return the last."""
    pooled = Pooled(runtime, "mean", in_pieces=True)
    batcher = Batcher(runtime, pooled, asyncio.get_running_loop())
    try:
        for streams in rounds:
            runtime.arrived.clear()
            runtime.opened.clear()
            opener = _Stream(streams[0].prompt[:1], most_tokens=1)
            batcher.submit(opener.sequence())
            await asyncio.to_thread(runtime.arrived.wait, _WAIT_S)
            for stream in streams:
                batcher.submit(stream.sequence())
            runtime.opened.set()
            async with asyncio.timeout(_WAIT_S):
                for stream in streams:
                    await stream.ended.wait()
    finally:
        runtime.opened.set()
        await asyncio.to_thread(batcher.close)
    return rounds[-1]


def _streams(runtime: _Held) -> list[_Stream]:
    texts = [_START + end for end in _ENDS]
    read = runtime.vocabulary.tokens
    return [_Stream(tuple(read(text, add_special=True, parse_special=False))) for text in texts]


def _going_on(runtime: _Held, said: Sequence[_Stream]) -> list[_Stream]:
    """Return streams whose prompts are those before, with their answers and some words more."""
    words = runtime.vocabulary.tokens(_MORE, add_special=False, parse_special=False)
    return [_Stream((*one.prompt, *(told.token for told in one.told), *words)) for one in said]


def _check_gone_on(later: Sequence[_Stream], said: Sequence[_Stream]) -> None:
    """What comes back of an answer is all but its last token, which was drawn and never read."""
    for stream, before in zip(later, said, strict=True):
        read = len(before.prompt) + len(before.told) - 1
        if stream.cached != read:
            raise NotProved(f"{stream.cached} tokens of a conversation were reused, not {read}")


def _check_same(who: str, streams: Sequence[_Stream], alone: Sequence[_Stream]) -> None:
    for stream, other in zip(streams, alone, strict=True):
        if stream.error is not None:
            raise NotProved(f"{who}: {stream.error}")
        for at, (here, there) in enumerate(zip(stream.told, other.told, strict=True)):
            (_, first), (_, second) = there.alternatives
            if here.token != there.token and first - second < _NOISE:
                break  # as good as equal: from here on both are right
            if here.token != there.token or abs(here.logprob - there.logprob) > _NOISE:
                raise NotProved(f"{who} say other than alone, from token {at} on")


def _check_cached(again: Sequence[_Stream], shares: bool) -> None:
    for stream in again:
        read = len(stream.prompt) - 1 if shares else 0
        if stream.cached != read:
            raise NotProved(f"{stream.cached} tokens of a known prompt were reused, not {read}")


def _is_mapped(weights: Path) -> bool:
    """Say whether this process has the file in memory; False where the system does not tell."""
    return _MAPS.exists() and str(weights) in _MAPS.read_text(encoding="utf-8")
