"""The draw: every token waits for a random time divided by its chance, and the first wins.

Owns: the source of chance of one sequence.
Must not: know logits, or which tokens may be drawn.

The times are exponential, so that tokens win by their chances, as in any other way of drawing; but
here each token has a number of its own, whatever the chances of the others are. llama.cpp rounds
differently in another batch and behind cached cells: of 100 answers few become others there, where
it was 77 (docs/decisions/0014). None is sure to be the same but in the same batch and the same
state of the cache.
"""

import hashlib
import math
import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int64]

# Among all tokens those below this part of the best are hardly ever the first; where too many are
# above it, or above the next, all of them are taken as such.
_UNLIKELY = (1e-3, 1e-1)
MOST_RACERS = 4_096
_FEWEST_POINTS, _MOST_POINTS = 64, 1_024
_SALT = 0xD1B54A32D192ED03
_WORD = 2**64 - 1

# SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1, _MIX_2 = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_S30, _S27, _S31, _S11 = 30, 27, 31, 11


class Race:
    """One sequence's races, one after the other; the same seed runs the same ones.

    Mutable; for one thread at a time.
    """

    def __init__(self, seed: Sequence[int] | None) -> None:
        # Its own, and in Python's numbers: numpy's generators take ten times as long behind a step.
        given = os.urandom(8) if seed is None else repr(tuple(seed)).encode()
        self._state = int.from_bytes(hashlib.blake2b(given, digest_size=8).digest())
        self._key = 0

    def begin(self) -> float:
        """Begin the next race; return a number below 1, for what else is left to chance in it."""
        self._state = (self._state + _GOLDEN) & _WORD
        self._key = _mixed_one(self._state)
        return (_mixed_one(self._key ^ _SALT) >> _S11) * 2.0**-53

    def wait(self, token: int) -> float:
        """Return the time that a token waits for in this race if it is sure to come."""
        mixed = _mixed_one(((token + 1) * _GOLDEN + self._key) & _WORD)
        return -math.log(((mixed >> _S11) + 0.5) * 2.0**-53)

    def winner(self, tokens: Tokens, weights: Floats) -> int:
        """Return which of `tokens`, counted from 0, wins with these `weights`, none below 0."""
        return int((weights / _waits(self._key, tokens)).argmax())

    def winner_of_all(self, logits: Floats, temperature: float) -> int:
        """Return which token wins by `logits` [vocabulary], of which the largest is finite."""
        best = logits.max()
        unlikely, token, time = 1.0, -1, math.inf
        for part in _UNLIKELY:
            above = logits >= best + temperature * math.log(part)
            if np.count_nonzero(above) <= MOST_RACERS:
                likely = np.flatnonzero(above)
                times = _waits(self._key, likely) / _chances(logits[likely], best, temperature)
                first = int(times.argmin())
                unlikely, token, time = part, int(likely[first]), float(times[first])
                break
        return self._among_unlikely(logits, temperature, unlikely, token, time)

    def _among_unlikely(
        self, logits: Floats, temperature: float, unlikely: float, token: int, time: float
    ) -> int:
        """Return who is there before `token` is at its `time`, or this one.

        Tokens begin to run one after the other, as points of one Poisson process that chance gives
        to tokens, and whoever begins at a time arrives no sooner than at this time divided by
        `unlikely`: so few of them have to be looked at.
        """
        best, size = logits.max(), len(logits)
        key, begun, count = self._key ^ _SALT, 0.0, 0
        while begun < unlikely * time:
            wanted = _MOST_POINTS if time == math.inf else int(2 * size * unlikely * time)
            numbers = np.arange(
                2 * count, 2 * (count + min(max(wanted, _FEWEST_POINTS), _MOST_POINTS))
            )
            count += len(numbers) // 2
            starts = begun + np.cumsum(_waits(key, numbers[::2])) / size
            tokens = (_mixed(key, numbers[1::2]) % np.uint64(size)).astype(np.int64)
            chances = _chances(logits[tokens], best, temperature)
            if unlikely < 1:
                chances[logits[tokens] >= best + temperature * math.log(unlikely)] = 0
            with np.errstate(divide="ignore", over="ignore"):  # who hardly ever comes is last
                times = starts / chances
            first = int(times.argmin())
            if times[first] < time:
                token, time = int(tokens[first]), float(times[first])
            begun = float(starts[-1])
        return token


def _chances(logits: Floats, best: np.float32, temperature: float) -> npt.NDArray[np.float64]:
    """Return how likely tokens are, against the best."""
    chances: npt.NDArray[np.float64] = np.exp((logits - best).astype(np.float64) / temperature)
    return chances


def _waits(key: int, tokens: Tokens) -> npt.NDArray[np.float64]:
    """Return an exponential time for each token, which depends on the key and the token alone."""
    mixed = _mixed(key, tokens)
    waits: npt.NDArray[np.float64] = -np.log(((mixed >> np.uint64(_S11)) + 0.5) * 2.0**-53)
    return waits


def _mixed(key: int, numbers: Tokens) -> npt.NDArray[np.uint64]:
    """Return 64 bits of chance for each number."""
    mixed = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN) + np.uint64(key)
    mixed = (mixed ^ (mixed >> np.uint64(_S30))) * np.uint64(_MIX_1)
    mixed = (mixed ^ (mixed >> np.uint64(_S27))) * np.uint64(_MIX_2)
    mixed ^= mixed >> np.uint64(_S31)
    return mixed


def _mixed_one(number: int) -> int:
    """Return the same of one number, to which the key has been added."""
    mixed = ((number ^ (number >> _S30)) * _MIX_1) & _WORD
    mixed = ((mixed ^ (mixed >> _S27)) * _MIX_2) & _WORD
    return mixed ^ (mixed >> _S31)
