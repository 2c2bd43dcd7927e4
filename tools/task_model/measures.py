"""How right predictions are, and how well they know it.

Owns: macro-F1, calibration, and coverage against accuracy.
Must not: train.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tools.task_model.examples import Labels

Array = npt.NDArray[np.float64]
_BINS = 10


def softmax(scores: Array) -> Array:
    """Return shares that add up to one in each row."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def log_loss(shares: Array, labels: Labels) -> float:
    """Return the mean of minus the logarithm of the right task's share."""
    return float(-np.log(shares[np.arange(len(labels)), labels] + 1e-9).mean())


def macro_f1(told: Labels, labels: Labels) -> float:
    """Return the mean of F1 over the tasks that occur."""
    scores = []
    for task in np.unique(labels):
        right = int(((told == task) & (labels == task)).sum())
        scores.append(2 * right / int((told == task).sum() + (labels == task).sum()))
    return float(np.mean(scores))


def calibration_error(shares: Array, labels: Labels) -> float:
    """Return the mean gap between confidence and accuracy, over ten ranges of confidence."""
    sure, right = shares.max(axis=1), shares.argmax(axis=1) == labels
    bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    gaps = [
        abs(sure[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean()
        for b in np.unique(bins)
    ]
    return float(np.sum(gaps))


@dataclass(frozen=True, slots=True)
class Acting:
    """What comes of acting only where the confidence is high enough."""

    threshold: float
    coverage: float
    accuracy: float


def acting_from(threshold: float, shares: Array, labels: Labels) -> Acting:
    """Return what comes of a threshold."""
    acts = shares.max(axis=1) >= threshold
    right = shares.argmax(axis=1) == labels
    return Acting(threshold, float(acts.mean()), float(right[acts].mean()) if acts.any() else 1.0)


def threshold_for(accuracy: float, shares: Array, labels: Labels) -> Acting:
    """Return the lowest threshold, in steps of 0.005, from which on acting is as right as asked."""
    best = acting_from(1.0, shares, labels)
    for threshold in np.arange(0.995, 0.2, -0.005):
        acting = acting_from(round(float(threshold), 3), shares, labels)
        if acting.accuracy >= accuracy:
            best = acting
    return best
