"""What the next step evaluates. Pure: plain values in, plain values out.

Owns: decode rows first, the rest of the batch for prompts, who begins together, who gives way when
the cache is full, which adapter's turn it is.
Must not: know tokens, models or threads.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

# Changing the adapter costs a third of a small step (docs/decisions/0020): not in every one.
_STEPS_A_TURN = 4
# A prompt of no more tokens is read in one step: in smaller pieces it would cost more for each.
WHOLE = 64
# This part of what prompts get is for the oldest one, however many shorter ones come.
_FOR_THE_OLDEST = 4


@dataclass(frozen=True, slots=True)
class Waiting:
    """A sequence that holds a slot: `pending` tokens are not in the cache yet (1 when decoding).

    `begins`: it has said one token so far.
    """

    slot: int
    pending: int
    begins: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """Steps with one adapter, one after the other: so many, which took so many tokens."""

    adapter: int = 0
    steps: int = 0
    tokens: int = 0

    def after(self, tokens: int) -> "Turn":
        """Return the turn as it is after a step of so many tokens."""
        return replace(self, steps=self.steps + 1, tokens=self.tokens + tokens)


def next_turn(turn: Turn, wanted: Collection[int], batch_tokens: int) -> Turn:
    """Return the turn that the next step belongs to; its adapter is one of those `wanted`.

    They follow each other in a circle. A turn ends when others wait and it has had some steps, or
    the tokens of a full one: so nobody waits for more than that of each of the others.
    """
    spent = turn.steps >= _STEPS_A_TURN or turn.tokens >= batch_tokens
    if turn.adapter in wanted and (not spent or len(wanted) == 1):
        return turn
    return Turn(min((a for a in wanted if a > turn.adapter), default=min(wanted)))


def who_catches_up(sequences: Sequence[Waiting]) -> list[Waiting]:
    """Return whose short prompts are read before anybody decodes; nobody's where one goes on.

    Prompts that came together are more than a step at times. Those of the first step would go on
    meanwhile and end as much earlier, and then those who come next begin beside the others' ends.
    """
    decoding = [sequence for sequence in sequences if sequence.pending == 1]
    if not decoding or not all(sequence.begins for sequence in decoding):
        return []
    return [sequence for sequence in sequences if 1 < sequence.pending <= WHOLE]


def share_step(
    sequences: Sequence[Waiting], batch_tokens: int, prompt_tokens: int | None = None
) -> dict[int, int]:
    """Return how many tokens of each slot the next step takes.

    Every sequence that decodes gets its one token. What is left of `batch_tokens`, but no more than
    `prompt_tokens`, is for prompts: a part for the oldest, all that it needs where it is short, the
    rest for who needs least, one after the other. So a long prompt never holds others up by more
    than a step, a short one is not stuck behind it, and of those that are alike the first is done
    long before the last. With more sequences than `batch_tokens`, the first ones go first.
    """
    shares: dict[int, int] = {}
    room = batch_tokens
    for sequence in sequences:
        if sequence.pending == 1 and room > 0:
            shares[sequence.slot] = 1
            room -= 1
    room = room if prompt_tokens is None else min(room, prompt_tokens)
    prompts = [sequence for sequence in sequences if sequence.pending > 1]
    if prompts and room > 0:
        part = -(-room // _FOR_THE_OLDEST) if prompts[0].pending > WHOLE else room
        shares[prompts[0].slot] = min(prompts[0].pending, part)
        room -= shares[prompts[0].slot]
    for prompt in sorted(prompts, key=lambda s: s.pending):
        had = shares.get(prompt.slot, 0)
        share = min(prompt.pending - had, room)
        if share > 0:
            shares[prompt.slot] = had + share
            room -= share
    return shares


def who_gives_way(held: Sequence[tuple[int, int]], wanted: int, cells: int) -> list[int]:
    """Return the slots that must leave the cache so that `wanted` more tokens fit into `cells`.

    `held` are (slot, cells in use) from the oldest sequence to the youngest; the youngest leave
    first, and the oldest never: it alone always fits.
    """
    leaving: list[int] = []
    free = cells - sum(used for _, used in held)
    for slot, used in reversed(held[1:]):
        if free >= wanted:
            break
        leaving.append(slot)
        free += used
    return leaving
