"""From logits to a token: bias, penalties, DRY, temperature, the sets of `narrowing`, a race.

Owns: the order of these.
Must not: know models or text.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from engines.llamacpp.adaptive import Adaptive, Aim
from engines.llamacpp.chain import Chain, Ordered
from engines.llamacpp.few import FEW, winner_of_few
from engines.llamacpp.heat import GREEDY_BELOW, Dynamic, Weights
from engines.llamacpp.mirostat import Mirostat, Surprise
from engines.llamacpp.narrowing import Narrowing, first_within, least_within, leave_near, likeliest
from engines.llamacpp.penalties import Penalties
from engines.llamacpp.race import MOST_RACERS, Race, Tokens
from engines.llamacpp.repetition import Dry, Repetition

Floats = npt.NDArray[np.float32]

# Stands for an infinite logit: beyond any real one, and far from overflowing.
_CERTAIN = 1e30
_NOTHING = "no token has a finite logit"


class NothingToPick(Exception):
    """No token has a finite logit: the weights or their evaluation are broken."""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """One request's wishes. `temperature` 0 takes the likeliest token.

    `presence_penalty` and `frequency_penalty` look at what was generated, `repetition_penalty` and
    `dry` at the prompt as well; the former at the last `repetition_last_n` tokens, at all where it
    is negative. `mirostat` takes the place of `narrowing`, `dynamic`, `adaptive` and `chain`, as in
    llama.cpp; where there is a `chain`, nothing is done but what is in it, and the bias.
    """

    temperature: float = 1.0
    narrowing: Narrowing = field(default_factory=Narrowing)
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    repetition_last_n: int = -1
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    dry: Dry | None = None
    mirostat: Mirostat | None = None
    dynamic: Dynamic | None = None
    adaptive: Adaptive | None = None
    chain: Chain | None = None

    @property
    def forbids(self) -> bool:
        """Whether there are tokens that may never come."""
        return -math.inf in self.logit_bias.values()

    @property
    def is_greedy(self) -> bool:
        """Whether always the likeliest token is taken."""
        reach = 0.0 if self.dynamic is None or self.mirostat is not None else self.dynamic.reach
        return self.temperature + reach < GREEDY_BELOW

    @property
    def penalizes(self) -> bool:
        """Whether what was generated before changes what comes next."""
        return bool(
            self.presence_penalty or self.frequency_penalty or self.repetition_penalty != 1.0
        )

    @property
    def follows_chances(self) -> bool:
        """Whether what is drawn depends on all chances of what may be drawn."""
        return self.dynamic is not None or self.adaptive is not None

    def draws_from_few(self, luck: float) -> bool:
        """Say whether a draw is among a few tokens that logits alone tell, by min-p and top-p."""
        sets = self.narrowing
        if not 0 < sets.top_k <= FEW or self.mirostat is not None or self.follows_chances:
            return False
        return sets.typical_p >= 1 and luck >= sets.xtc_probability and sets.top_n_sigma <= 0


class Sampler:
    """Draws the tokens of one sequence; the same seed and logits give the same tokens."""

    def __init__(self, params: SamplingParams, choice: int = 0, prompt: Sequence[int] = ()) -> None:
        self._params = params
        seed = None if params.seed is None else [params.seed & (2**64 - 1), choice]
        self._race = Race(seed)
        self._penalties = _penalties_of(params, prompt) if params.penalizes else None
        self._repetition = None if params.dry is None else Repetition(params.dry, prompt)
        self._surprise = None if params.mirostat is None else Surprise(params.mirostat)
        self._aim = None if params.adaptive is None else Aim(params.adaptive)
        self._ordered = None if self._surprise is not None else self._in_order()
        self._bias: tuple[npt.NDArray[np.int64], Floats] | None = None

    def pick(self, logits: Floats) -> int:
        """Return the next token; `logits` [vocabulary] may be changed.

        Raises:
            NothingToPick: no logit is finite.
        """
        self._add_bias(logits)
        if self._ordered is not None:
            token = self._draw_in_order(logits, self._ordered)
        else:
            token = self._draw_as_usual(logits)
        self.note(token)
        return token

    def note(self, token: int) -> None:
        """Remember a token of the text, whoever has chosen it."""
        if self._penalties is not None:
            self._penalties.add(token)
        if self._repetition is not None:
            self._repetition.add(token)

    def _draw_as_usual(self, logits: Floats) -> int:
        self._penalize(logits)
        self._cost_repetitions(logits)
        if self._params.is_greedy:
            token = int(logits.argmax())  # of what is no number the first
            if not math.isfinite(logits[token]):
                token = int(_cleaned(logits).argmax())
            return token
        return self._draw(logits)

    def _in_order(self) -> Ordered | None:
        params, chain = self._params, self._params.chain
        if chain is None:
            return None
        adjust = {"penalties": self._penalize, "dry": self._cost_repetitions}
        return Ordered(chain, params.narrowing, params.temperature, params.dynamic, adjust)

    def _add_bias(self, logits: Floats) -> None:
        if self._params.logit_bias:
            biased, bias = self._biases(len(logits))
            logits[biased] += bias

    def _penalize(self, logits: Floats) -> None:
        if self._penalties is not None:
            self._penalties.apply(logits)

    def _cost_repetitions(self, logits: Floats) -> None:
        if self._repetition is not None:
            for token, cost in self._repetition.costs().items():
                logits[token] -= cost

    def _biases(self, vocabulary: int) -> tuple[npt.NDArray[np.int64], Floats]:
        """Return the tokens that have a bias, and theirs: a request may have one for each."""
        if self._bias is None:
            known = {t: b for t, b in self._params.logit_bias.items() if 0 <= t < vocabulary}
            tokens = np.fromiter(known.keys(), dtype=np.int64)
            self._bias = tokens, np.fromiter(known.values(), dtype=np.float32)
        return self._bias

    def _draw(self, logits: Floats) -> int:
        params, luck = self._params, self._race.begin()
        if params.draws_from_few(luck):
            return self._draw_from_few(logits)
        if not np.isfinite(logits.max()):
            _cleaned(logits)
        if self._surprise is not None:
            weights = _weights(logits, params.temperature)
            tokens = self._surprise.allowed(weights)
            token = int(tokens[self._race.winner(tokens, weights[tokens])])
            self._surprise.learn(weights, tokens, token)
            return token
        if params.narrowing.top_n_sigma > 0:
            leave_near(logits, params.narrowing.top_n_sigma)
        if params.follows_chances:
            return self._draw_by_chances(logits, luck)
        # First the few that logits alone tell: chances of a whole vocabulary are dear.
        if not params.narrowing.narrows(len(logits), luck):
            return self._race.winner_of_all(logits, params.temperature)
        if params.narrowing.is_nucleus(len(logits), luck):
            return self._draw_from_nucleus(logits)
        short = params.narrowing.shortlist(logits, params.temperature)
        weights = _weights(logits if short is None else logits[short], params.temperature)
        kept = params.narrowing.allowed(weights, luck)
        if kept is not None:
            weights = weights[kept]
            short = kept if short is None else short[kept]
        assert short is not None  # noqa: S101 - one of the two narrowed
        return int(short[self._race.winner(short, weights)])

    def _draw_by_chances(self, logits: Floats, luck: float) -> int:
        """Draw where the chances of what may be drawn change themselves.

        A dynamic temperature comes behind the sets, as in llama.cpp: it looks at what they leave.
        """
        params = self._params
        temperature = params.temperature if params.dynamic is None else 1.0
        short = params.narrowing.shortlist(logits, temperature)
        tokens = np.arange(len(logits)) if short is None else short
        tokens = tokens[logits[tokens] > -np.inf]
        narrow = _weights(logits[tokens], temperature)
        kept = params.narrowing.allowed(narrow, luck)
        if kept is not None:
            tokens, narrow = tokens[kept], narrow[kept]
        weights = narrow.astype(np.float64)
        if params.dynamic is not None:
            weights = params.dynamic.heated(weights, params.temperature)
        return self._winner(tokens, weights)

    def _draw_in_order(self, logits: Floats, ordered: Ordered) -> int:
        luck = self._race.begin()
        if not np.isfinite(logits.max()):
            _cleaned(logits)
        tokens = ordered.left(logits, luck)
        return self._winner(tokens, _weights(logits[tokens], 1.0).astype(np.float64))

    def _winner(self, tokens: Tokens, weights: Weights) -> int:
        """Return who of `tokens` wins, whose chances are as these weights; adaptive-p has a say."""
        if self._aim is None:
            return int(tokens[self._race.winner(tokens, weights.astype(np.float32))])
        chances = weights / weights.sum()
        at = self._race.winner(tokens, self._aim.preferred(chances).astype(np.float32))
        self._aim.learn(float(chances[at]))
        return int(tokens[at])

    def _draw_from_few(self, logits: Floats) -> int:
        params = self._params
        short = likeliest(logits, min(params.narrowing.top_k, len(logits)))
        values: list[float] = logits[short].tolist()
        if not all(value < math.inf for value in values):  # what is no number is among the largest
            short = likeliest(_cleaned(logits), len(short))
            values = logits[short].tolist()
        if max(values) == -math.inf:
            raise NothingToPick(_NOTHING)
        return winner_of_few(
            self._race,
            short.tolist(),
            values,
            temperature=params.temperature,
            min_p=params.narrowing.min_p,
            top_p=params.narrowing.top_p,
        )

    def _draw_from_nucleus(self, logits: Floats) -> int:
        """Draw by top-p alone: of many tokens most need not run (docs/decisions/0040)."""
        params = self._params
        weights = _weights(logits.copy(), params.temperature)
        wanted = params.narrowing.top_p * float(weights.sum(dtype=np.float64))
        least, count = least_within(weights, wanted)
        if count > MOST_RACERS:
            inside = np.where(weights >= least, logits, np.float32(-np.inf))
            more = np.count_nonzero(weights >= least) - count
            if more:  # of equals those that stand first
                inside[np.flatnonzero(weights == least)[-more:]] = -np.inf
            return self._race.winner_of_all(inside, params.temperature)
        kept = first_within(weights, least, count)
        return int(kept[self._race.winner(kept, weights[kept])])


def ban(logits: Floats, tokens: Sequence[int]) -> None:
    """Make tokens impossible, unless nothing else is possible."""
    if tokens:
        kept = logits[tokens]
        logits[tokens] = -np.inf
        if logits.max() == -np.inf:
            logits[tokens] = kept


def _penalties_of(params: SamplingParams, prompt: Sequence[int]) -> Penalties:
    return Penalties(
        presence=params.presence_penalty,
        frequency=params.frequency_penalty,
        repetition=params.repetition_penalty,
        last_n=params.repetition_last_n,
        prompt=prompt,
    )


def _cleaned(logits: Floats) -> Floats:
    """Return the same logits, where what is no number has become impossible."""
    np.nan_to_num(logits, copy=False, nan=-np.inf, posinf=_CERTAIN, neginf=-np.inf)
    if logits.max() == -np.inf:
        raise NothingToPick(_NOTHING)
    return logits


def _weights(logits: Floats, temperature: float) -> Floats:
    """Return the chances of tokens, the largest 1; they take the logits' place."""
    logits -= logits.max()
    with np.errstate(over="ignore"):  # what overflows here is as good as impossible
        logits /= np.float32(temperature)
        return np.exp(logits, out=logits)


def top_logprobs(logits: Floats, token: int, count: int) -> tuple[float, list[tuple[int, float]]]:
    """Return the log probability of `token` and of the `count` likeliest tokens, likeliest first.

    They are those of the model itself, before temperature and penalties. What is no number counts
    as impossible.
    """
    if not np.isfinite(logits.max()):
        logits = np.nan_to_num(logits, nan=-np.inf, posinf=_CERTAIN, neginf=-np.inf)
    largest = logits.max()
    # A prompt's tokens ask for this row by row: single precision is three times as fast.
    below = float(largest) + math.log(np.exp(logits - largest).sum(dtype=np.float64))
    own = float(logits[token]) - below
    count = min(count, len(logits))
    if count == 0:
        return own, []
    best = likeliest(logits, count)
    best = best[np.argsort(-logits[best], kind="stable")]
    return own, [(int(t), float(logits[t]) - below) for t in best]
