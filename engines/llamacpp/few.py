"""A draw among few tokens, in plain numbers.

Owns: the sets that a draw among a few dozen tokens mostly has: min-p and top-p.
Must not: know logits of a whole vocabulary, or which tokens are the few.

llama.cpp leaves nothing of us in the processor's caches. Behind a step, the two dozen calls of
numpy that a draw takes are three times as slow as in a row, as the code of each has to come from
memory; one loop over a few numbers is not (docs/decisions/0051).
"""

import math
from collections.abc import Sequence

from engines.llamacpp.race import Race

FEW = 64


def winner_of_few(
    race: Race,
    tokens: Sequence[int],
    logits: Sequence[float],
    *,
    temperature: float,
    min_p: float,
    top_p: float,
) -> int:
    """Return which of a few tokens wins, by their logits, of which the largest is finite.

    Drawn are those of at least `min_p` of the best's chance, and of these the smallest set that
    comes to `top_p`.
    """
    best = max(logits)
    chances = [math.exp((logit - best) / temperature) for logit in logits]
    order = sorted(range(len(chances)), key=chances.__getitem__, reverse=True)
    kept = [at for at in order if chances[at] >= min_p and chances[at] > 0]
    wanted = top_p * math.fsum(chances[at] for at in kept)
    winner, first, reached = tokens[order[0]], math.inf, 0.0
    for at in kept:
        time = race.wait(tokens[at]) / chances[at]
        if time < first:
            winner, first = tokens[at], time
        reached += chances[at]
        if reached >= wanted and top_p < 1:
            break
    return winner
