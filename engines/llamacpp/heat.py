"""Dynamic temperature: high where many tokens are as likely, low where the model is sure.

Owns: how the temperature follows from the chances.
Must not: draw.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.float64]

# Below this temperature nothing but the likeliest token is ever drawn, and divisions overflow.
GREEDY_BELOW = 1e-5


@dataclass(frozen=True, slots=True)
class Dynamic:
    """It goes at most `reach` from the given temperature, never below 0; `exponent` bends it."""

    reach: float
    exponent: float = 1.0

    def heated(self, weights: Weights, temperature: float) -> Weights:
        """Return the weights at the temperature that follows from them, the largest 1.

        They are those at temperature 1, of all tokens that may be drawn.
        """
        weights = weights / float(weights.max())
        if len(weights) == 1:
            return weights
        heat = self.heat(weights, temperature)
        if heat < GREEDY_BELOW:
            likeliest: Weights = (np.arange(len(weights)) == weights.argmax()).astype(np.float64)
            return likeliest
        heated: Weights = weights ** (1 / heat)
        return heated

    def heat(self, weights: Weights, temperature: float) -> float:
        """Return the temperature that follows from these weights, which are more than one."""
        chances = weights / weights.sum()
        some = chances[chances > 0]
        unsure = float(-(some * np.log(some)).sum()) / np.log(len(chances))
        low, high = max(0.0, temperature - self.reach), temperature + self.reach
        return float(low + (high - low) * max(0.0, unsure) ** self.exponent)
