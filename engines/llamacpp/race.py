"""The draw: every token waits for a random time divided by its chance, and the first wins.

Owns: the source of chance of one sequence.
Must not: know logits, or which tokens may be drawn.

The times are exponential, so that tokens win by their chances, as in any other way of drawing; but
here each token has a number of its own, whatever the chances of the others are. llama.cpp rounds
differently in another batch and behind cached cells: of 100 answers few become others there, where
it was 77 (docs/decisions/0014). None is sure to be the same but in the same batch and the same
state of the cache.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int64]

# Among all tokens those below this part of the best run as one, which is hardly ever the first.
_LIKELY = 1e-3
# With more of them than this a time for every token is the cheaper way.
_MOST_LIKELY = 4_096

# SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S11 = (np.uint64(bits) for bits in (30, 27, 31, 11))


class Race:
    """One sequence's races, one after the other; the same seed runs the same ones.

    Mutable; for one thread at a time.
    """

    def __init__(self, seed: Sequence[int] | None) -> None:
        self._chance = np.random.default_rng(seed)
        self._key = np.uint64(0)
        self._waits = np.empty(0)  # kept: new memory for each draw is dear

    def begin(self) -> float:
        """Begin the next race; return a number below 1, for what else is left to chance in it."""
        self._key = self._chance.integers(2**64, dtype=np.uint64)
        return self._chance.random()

    def winner(self, tokens: Tokens, weights: Floats) -> int:
        """Return which of `tokens`, counted from 0, wins with these `weights`, none below 0."""
        return int((weights / _waits(self._key, tokens)).argmax())

    def winner_of_all(self, weights: Floats) -> int:
        """Return which token wins; `weights` [vocabulary], the largest 1, may be changed."""
        likely = np.flatnonzero(weights >= _LIKELY)
        if len(likely) > _MOST_LIKELY:
            return self._winner_of_each(weights)
        chances = weights[likely]
        weights[likely] = 0
        runners = np.append(likely, len(weights))
        first = self.winner(runners, np.append(chances, weights.sum()))
        if first < len(likely):
            return int(likely[first])
        return self._winner_of_each(weights)

    def _winner_of_each(self, weights: Floats) -> int:
        """Return which token wins where all run."""
        if len(self._waits) != len(weights):
            self._waits = np.empty(len(weights))
        waits = self._chance.standard_exponential(out=self._waits)
        return int(np.divide(weights, waits, out=waits).argmax())


def _waits(key: np.uint64, tokens: Tokens) -> npt.NDArray[np.float64]:
    """Return an exponential time for each token, which depends on the key and the token alone."""
    mixed = (tokens.astype(np.uint64) + np.uint64(1)) * _GOLDEN + key
    mixed = (mixed ^ (mixed >> _S30)) * _MIX_1
    mixed = (mixed ^ (mixed >> _S27)) * _MIX_2
    mixed ^= mixed >> _S31
    waits: npt.NDArray[np.float64] = -np.log(((mixed >> _S11) + 0.5) * 2.0**-53)
    return waits
