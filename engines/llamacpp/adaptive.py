"""Adaptive-p: the draw prefers tokens whose chance is near a target, and keeps the mean at it.

Owns: the preference, and what the chances of one text's tokens have been.
Must not: draw.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Chances = npt.NDArray[np.float64]

# llama.cpp's: how far from the target a token is half out of favour, and how much favour there is.
_WIDTH = 0.3
_FAVOUR = 10.0


@dataclass(frozen=True, slots=True)
class Adaptive:
    """`target` is the chance that is preferred; `decay`, below 1, how long the past counts."""

    target: float
    decay: float = 0.9


class Aim:
    """What one text aims at next. Mutable; belongs to one sampler."""

    def __init__(self, adaptive: Adaptive) -> None:
        self._adaptive = adaptive
        self._count = 1 / (1 - adaptive.decay)
        self._sum = adaptive.target * self._count

    def preferred(self, chances: Chances) -> Chances:
        """Return weights for tokens with these chances, the largest at most 1."""
        target = min(1.0, max(0.0, 2 * self._adaptive.target - self._sum / self._count))
        far = np.abs(chances - target) / _WIDTH
        weights: Chances = np.exp(-_FAVOUR * far * far / (1 + far))
        return weights

    def learn(self, chance: float) -> None:
        """Take the chance that the drawn token had."""
        decay = self._adaptive.decay
        self._sum = chance + decay * self._sum
        self._count = 1 + decay * self._count
