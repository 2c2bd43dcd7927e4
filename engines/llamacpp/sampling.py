"""From logits to a token: bias, penalties, temperature, top-k, min-p, top-p, in this order.

Owns: the order of these and the source of chance of one sequence.
Must not: know models or text.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# As many candidates are sorted before the whole vocabulary is.
_NARROW_TO = 1_024
# Below this temperature nothing but the likeliest token is ever drawn, and divisions overflow.
_GREEDY_BELOW = 1e-5
# Stands for an infinite logit: beyond any real one, and far from overflowing.
_CERTAIN = 1e30


class NothingToPick(Exception):
    """No token has a finite logit: the weights or their evaluation are broken."""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """One request's wishes. `temperature` 0 takes the likeliest token; `top_k` 0 or less is off.

    `presence_penalty` and `frequency_penalty` look at what was generated, `repetition_penalty` at
    the prompt as well.
    """

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

    def __init__(self, params: SamplingParams, choice: int = 0, prompt: Sequence[int] = ()) -> None:
        self._params = params
        seed = None if params.seed is None else [params.seed & (2**64 - 1), choice]
        self._chance = np.random.default_rng(seed)
        self._generated: Counter[int] = Counter()
        self._seen = set(prompt) if params.repetition_penalty != 1.0 else set()

    def pick(self, logits: Floats) -> int:
        """Return the next token; `logits` [vocabulary] may be changed.

        Raises:
            NothingToPick: no logit is finite.
        """
        if not np.isfinite(logits.max()):
            np.nan_to_num(logits, copy=False, nan=-np.inf, posinf=_CERTAIN, neginf=-np.inf)
        if logits.max() == -np.inf:
            raise NothingToPick("no token has a finite logit")
        self._adjust(logits)
        params = self._params
        greedy = params.temperature < _GREEDY_BELOW
        token = int(logits.argmax()) if greedy else self._draw(logits)
        if params.penalizes:
            self._generated[token] += 1
            self._seen.add(token)
        return token

    def _adjust(self, logits: Floats) -> None:
        params = self._params
        for token, bias in params.logit_bias.items():
            if 0 <= token < len(logits):
                logits[token] += bias
        if params.repetition_penalty != 1.0 and self._seen:
            tokens = np.fromiter(self._seen, dtype=np.int64)
            values, factor = logits[tokens], params.repetition_penalty
            logits[tokens] = np.where(values > 0, values / factor, values * factor)
        if self._generated:
            tokens = np.fromiter(self._generated.keys(), dtype=np.int64)
            counts = np.fromiter(self._generated.values(), dtype=np.float32)
            logits[tokens] -= counts * params.frequency_penalty + params.presence_penalty

    def _draw(self, logits: Floats) -> int:
        params = self._params
        with np.errstate(over="ignore"):  # what overflows here is as good as impossible
            weights = np.exp((logits - logits.max()) / np.float32(params.temperature))
        tokens = _allowed(logits, weights, params)
        sums = np.cumsum(weights if tokens is None else weights[tokens], dtype=np.float64)
        at = int(np.searchsorted(sums, self._chance.random() * sums[-1], side="right"))
        at = min(at, len(sums) - 1)
        return at if tokens is None else int(tokens[at])


def _allowed(
    logits: Floats, weights: Floats, params: SamplingParams
) -> npt.NDArray[np.int64] | None:
    """Return the tokens that may be drawn, None for all; `weights` are chances, the largest 1."""
    tokens: npt.NDArray[np.int64] | None = None
    if 0 < params.top_k < len(logits):
        # By the logits: two that differ may have chances that do not.
        tokens = np.argpartition(logits, -params.top_k)[-params.top_k :]
    if params.min_p > 0:
        likely = np.flatnonzero(weights >= params.min_p)
        tokens = likely if tokens is None else np.intersect1d(tokens, likely)
    if params.top_p < 1:
        if tokens is None:
            return _nucleus(weights, params.top_p)
        return tokens[_nucleus(weights[tokens], params.top_p)]
    return tokens


def _nucleus(weights: Floats, top_p: float) -> npt.NDArray[np.int64]:
    """Return the smallest set whose part of all chances reaches `top_p`; the likeliest is in it."""
    wanted = top_p * float(weights.sum(dtype=np.float64))
    tokens = np.arange(0)
    if len(weights) > _NARROW_TO:
        # Sorting a whole vocabulary takes twenty times as long, and is hardly ever needed.
        tokens = np.argpartition(weights, -_NARROW_TO)[-_NARROW_TO:]
    if weights[tokens].sum(dtype=np.float64) < wanted or not len(tokens):
        tokens = np.arange(len(weights))
    tokens = tokens[np.argsort(-weights[tokens], kind="stable")]
    count = int(np.searchsorted(np.cumsum(weights[tokens], dtype=np.float64), wanted)) + 1
    return tokens[:count]


def top_logprobs(logits: Floats, token: int, count: int) -> tuple[float, list[tuple[int, float]]]:
    """Return the log probability of `token` and of the `count` likeliest tokens, likeliest first.

    They are those of the model itself, before temperature and penalties. What is no number counts
    as impossible.
    """
    values = np.nan_to_num(logits.astype(np.float64), nan=-np.inf, neginf=-np.inf)
    shifted = values - values.max()
    logs = shifted - np.log(np.exp(shifted).sum())
    count = min(count, len(logs))
    if count == 0:
        return float(logs[token]), []
    best = np.argpartition(logs, len(logs) - count)[len(logs) - count :]
    best = best[np.argsort(-logs[best], kind="stable")]
    return float(logs[token]), [(int(t), float(logs[t])) for t in best]
