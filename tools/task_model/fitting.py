"""Fits the linear model: multinomial logistic regression by AdaGrad.

Owns: the trainer and its settings, found on held-out sources of the corpus.
Must not: know texts. The same examples give the same weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tools.task_model.examples import Example, Ids, Labels, ids_of, labels_of, vocabulary_of
from tools.task_model.rows import TASKS

Floats = npt.NDArray[np.float32]


COUNT = np.float32(np.sqrt(40))  # a text of so many features is weighed as it is


@dataclass(frozen=True, slots=True)
class Settings:
    """How to fit."""

    epochs: int = 12
    rate: float = 0.05
    last_rate: float = 0.01
    decay: float = 5e-4
    drop: float = 0.2  # of each row's features, so that none is leant on alone
    smoothing: float = 0.02
    batch_rows: int = 32
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was learnt: `weights` by feature and task."""

    vocabulary: dict[str, int]
    weights: Floats
    bias: Floats

    def scores(self, features: Sequence[str] | frozenset[str] | set[str]) -> Floats:
        """Return the score of each task for a text's features."""
        ids = ids_of(features, self.vocabulary)
        total = self.weights[ids].sum(axis=0) * COUNT / np.sqrt(max(1, len(ids))) + self.bias
        return np.asarray(total, dtype=np.float32)


def fit(examples: Sequence[Example], settings: Settings | None = None) -> Fitted:
    """Fit a model to examples."""
    settings = settings or Settings()
    vocabulary = vocabulary_of(examples)
    rows = [ids_of(example.features, vocabulary) for example in examples]
    trainer = _Trainer(len(vocabulary), settings)
    trainer.run(rows, labels_of(examples))
    return Fitted(vocabulary, trainer.weights, trainer.bias)


class _Trainer:
    def __init__(self, features: int, settings: Settings) -> None:
        self._settings = settings
        self._random = np.random.default_rng(settings.seed)
        self.weights = np.zeros((features, len(TASKS)), np.float32)
        self.bias = np.zeros(len(TASKS), np.float32)
        self._squares = np.full_like(self.weights, 1e-2)
        self._bias_squares = np.full_like(self.bias, 1e-2)

    def run(self, rows: Sequence[Ids], labels: Labels) -> None:
        settings = self._settings
        wanted = np.full((len(rows), len(TASKS)), settings.smoothing / len(TASKS), np.float32)
        wanted[np.arange(len(rows)), labels] += 1 - settings.smoothing
        for epoch in range(settings.epochs):
            order = self._random.permutation(len(rows))
            rate = settings.rate * (1 - epoch / settings.epochs) + settings.last_rate
            for start in range(0, len(rows), settings.batch_rows):
                batch = order[start : start + settings.batch_rows]
                self._step([self._thinned(rows[i]) for i in batch], wanted[batch], rate)

    def _thinned(self, row: Ids) -> Ids:
        kept = row[self._random.random(len(row)) > self._settings.drop]
        return kept if len(kept) else row

    def _step(self, rows: Sequence[Ids], wanted: Floats, rate: float) -> None:
        lengths = np.array([len(row) for row in rows])
        ids = np.concatenate(rows)
        ends = np.cumsum(lengths)
        # A sum of many features is surer than it should be: it grows with the root of their count.
        # Fewer features than at run time: each speaks for those that were dropped.
        share = 1 - self._settings.drop
        root = (1 / np.sqrt(np.maximum(lengths / share, 1))).astype(np.float32)[:, None]
        summed = np.zeros((len(rows), len(TASKS)), np.float32)
        full = lengths > 0
        starts = (ends - lengths)[full]
        summed[full] = np.add.reduceat(self.weights[ids], starts, axis=0)
        errors = _softmax(summed * root * COUNT / share + self.bias) - wanted
        step = 8 / self._settings.batch_rows
        order = np.argsort(ids, kind="stable")
        touched, firsts = np.unique(ids[order], return_index=True)
        each = np.repeat(errors * root * COUNT, lengths, axis=0)[order]
        slope = np.add.reduceat(each, firsts, axis=0) * step
        slope += self._settings.decay * 8 * self.weights[touched]
        self._squares[touched] += slope * slope
        self.weights[touched] -= rate * slope / np.sqrt(self._squares[touched])
        slope = errors.sum(axis=0) * step
        self._bias_squares += slope * slope
        self.bias -= rate * slope / np.sqrt(self._bias_squares)


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)
