"""From logits to a token: penalties, bias, temperature, top-k, top-p, min-p.

Owns: the order of these and the source of chance of one sequence.
Must not: know models or text.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# Above this many candidates no sampling is observably different, and sorting costs.
_NARROW_TO = 1_024


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """One request's wishes. `temperature` 0 takes the likeliest token; `top_k` 0 or less is off."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)

    @property
    def penalizes(self) -> bool:
        """Whether what was generated before changes what comes next."""
        return bool(
            self.presence_penalty or self.frequency_penalty or self.repetition_penalty != 1.0
        )


class Sampler:
    """Draws the tokens of one sequence; the same seed and logits give the same tokens."""

    def __init__(self, params: SamplingParams, choice: int = 0) -> None:
        self._params = params
        seed = None if params.seed is None else [params.seed & (2**64 - 1), choice]
        self._chance = np.random.default_rng(seed)
        self._seen: Counter[int] = Counter()

    def pick(self, logits: Floats) -> int:
        """Return the next token; `logits` [vocabulary] may be changed."""
        self._adjust(logits)
        params = self._params
        token = int(logits.argmax()) if params.temperature <= 0 else self._draw(logits)
        if params.penalizes:
            self._seen[token] += 1
        return token

    def _adjust(self, logits: Floats) -> None:
        params = self._params
        for token, bias in params.logit_bias.items():
            if 0 <= token < len(logits):
                logits[token] += bias
        if not self._seen:
            return
        tokens = np.fromiter(self._seen.keys(), dtype=np.int64)
        counts = np.fromiter(self._seen.values(), dtype=np.float32)
        values = logits[tokens].astype(np.float64)
        if params.repetition_penalty != 1.0:
            factor = params.repetition_penalty
            values = np.where(values > 0, values / factor, values * factor)
        values = values - counts * params.frequency_penalty - params.presence_penalty
        logits[tokens] = values

    def _draw(self, logits: Floats) -> int:
        params = self._params
        keep = params.top_k if params.top_k > 0 else _NARROW_TO
        keep = min(keep, len(logits))
        if keep < len(logits):
            tokens = np.argpartition(logits, len(logits) - keep)[len(logits) - keep :]
        else:
            tokens = np.arange(len(logits))
        tokens = tokens[np.argsort(-logits[tokens], kind="stable")]
        scores = logits[tokens].astype(np.float64) / params.temperature
        chances = np.exp(scores - scores[0])
        if params.min_p > 0:
            chances = chances[chances >= params.min_p]
        chances /= chances.sum()
        if params.top_p < 1:
            # The smallest set whose sum reaches top_p; the likeliest is always in it.
            count = int(np.searchsorted(np.cumsum(chances), params.top_p)) + 1
            chances = chances[:count] / chances[:count].sum()
        at = int(np.searchsorted(np.cumsum(chances), self._chance.random(), side="right"))
        return int(tokens[min(at, len(chances) - 1)])


def top_logprobs(logits: Floats, token: int, count: int) -> tuple[float, list[tuple[int, float]]]:
    """Return the log probability of `token` and of the `count` likeliest tokens, likeliest first.

    They are those of the model itself, before temperature and penalties.
    """
    shifted = logits.astype(np.float64) - float(logits.max())
    logs = shifted - np.log(np.exp(shifted).sum())
    if count == 0:
        return float(logs[token]), []
    best = np.argpartition(logs, len(logs) - count)[len(logs) - count :]
    best = best[np.argsort(-logs[best], kind="stable")]
    return float(logs[token]), [(int(t), float(logs[t])) for t in best]
