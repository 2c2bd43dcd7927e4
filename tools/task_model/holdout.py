"""Measures on sources that the model has not seen, and fits what depends on them.

Owns: which sources are held out together; the temperature, the carry, the calm and the threshold.
Must not: see any text beside the corpus.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gateway.classify.task_model import UNLIKELY, lean
from tools.task_model.examples import Example, labels_of
from tools.task_model.fitting import Settings, fit
from tools.task_model.measures import Acting, Array, log_loss, softmax, threshold_for
from tools.task_model.rows import TASKS

_FOLDS = 8
_RIGHT = 0.955  # 0.95 is promised: strangers' prompts fare a little worse than sources of ours


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Scores of examples by models that saw nothing of their sources."""

    examples: Sequence[Example]
    newest: Array
    before: Array  # of the turn before; zeros where there is none


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is fitted on held-out sources."""

    temperature: float
    carry: float
    calm: float
    acting: Acting


def fold_of(source: str) -> int:
    """Return the fold in which a source is held out; it never changes."""
    return int.from_bytes(hashlib.sha256(source.encode()).digest()[:4], "big") % _FOLDS


def hold_out(
    examples: Sequence[Example], settings: Settings | None = None, share: float = 1.0
) -> HeldOut:
    """Score each example by a model that was fitted to other sources, or to a share of their rows.

    The share is of rows, in the order of a digest, so that a smaller one is part of a larger.
    """
    newest = np.zeros((len(examples), len(TASKS)))
    before = np.zeros_like(newest)
    folds = np.array([fold_of(example.source) for example in examples])
    ranks = np.random.default_rng(7).permutation(len(examples)) / max(1, len(examples))
    for fold in np.unique(folds):
        kept = [
            e for e, f, r in zip(examples, folds, ranks, strict=True) if f != fold and r < share
        ]
        fitted = fit(kept, settings)
        for i in np.flatnonzero(folds == fold).tolist():
            newest[i] = fitted.scores(set(examples[i].features))
            if examples[i].before:
                before[i] = fitted.scores(set(examples[i].before))
    return HeldOut(examples, newest, before)


def shares_of(held: HeldOut, temperature: float, carry: float, calm: float) -> Array:
    """Return the shares that the gateway would compute."""
    scores = held.newest / temperature
    leans = np.array([lean(e.chars) if e.before else 0.0 for e in held.examples])
    earlier = np.log(softmax(held.before / temperature) + UNLIKELY)
    calms = np.array([calm if e.before else 1.0 for e in held.examples])
    return softmax(calms[:, None] * (scores + carry * leans[:, None] * earlier))


def calibrate(held: HeldOut) -> Calibration:
    """Fit the temperature, then the carry, then the calm, then the threshold."""
    labels = labels_of(held.examples)
    alone = np.array([not example.before for example in held.examples])
    temperature = min(
        np.arange(0.4, 3, 0.05).round(2),
        key=lambda t: log_loss(softmax(held.newest[alone] / t), labels[alone]),
    )
    carry = min(
        np.arange(0, 2, 0.1).round(1),
        key=lambda c: log_loss(shares_of(held, temperature, c, 1.0), labels),
    )
    calm = min(
        np.arange(0.3, 1.05, 0.05).round(2),
        key=lambda c: log_loss(shares_of(held, temperature, carry, c), labels),
    )
    shares = shares_of(held, temperature, carry, calm)
    acting = threshold_for(_RIGHT, shares, labels)
    return Calibration(float(temperature), float(carry), float(calm), acting)
