"""Which of a model's replicas gets a request: the one that has the fewest tokens before it.

Owns: what a request weighs on a replica, and the decision.
Must not: know how replicas are doing or what a request says; keep anything.

A replica's own tokens are those that its requests have outstanding: prompts that have not been
answered yet, and what is missing of answers. To them comes what it would have to read of this
prompt: all of it, or what goes beyond the beginning that it has read before. So a conversation goes
back to where it was until that replica is busier by more than its reading again would cost.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from gateway.fleet.prefixes import Beginnings


def _none(_model: str) -> Beginnings:
    return Beginnings()


class Load(msgspec.Struct, frozen=True):
    """What a request asks of a replica: tokens to read and tokens to say, both estimates.

    `beginnings` are those of its prompt, told apart by model; only where there is a choice is
    anybody to ask for them.
    """

    prompt_tokens: int = 0
    answer_tokens: int = 0
    beginnings: Callable[[str], Beginnings] = _none


NOTHING = Load()


class Offer(NamedTuple):
    """A replica that may be asked.

    `seen` is the share of the prompt, from its beginning, that it has read before. The number of
    its `turn` is the greater the later it was used.
    """

    suspect: bool
    outstanding_tokens: int
    in_flight: int
    capacity: int | None
    turn: int
    seen: float = 0.0


def best(offers: Sequence[Offer], prompt_tokens: int) -> int:
    """Return the place of the offer to take, of one or more.

    One whose last request failed stands behind all others. Tokens count by what a replica can run
    at once. Where they are equal fewer requests decide, and then who has waited longest.
    """
    return min(range(len(offers)), key=lambda place: _busyness(offers[place], prompt_tokens))


def _busyness(offer: Offer, prompt_tokens: int) -> tuple[bool, float, float, int]:
    at_once = offer.capacity or 1
    tokens = offer.outstanding_tokens + prompt_tokens * (1 - offer.seen)
    return offer.suspect, tokens / at_once, offer.in_flight / at_once, offer.turn
