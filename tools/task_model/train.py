"""`python -m tools.task_model.train`: reads the corpus, measures, writes the model that is shipped.

Owns: the order of steps, the file, and the report.
Must not: have a step that chance, time or the machine's speed decides.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gateway.classify.task_model import BIAS, FILE, Header, Weights
from tools.task_model.examples import Example, labels_of, read_examples
from tools.task_model.fitting import COUNT, Fitted, fit
from tools.task_model.holdout import Calibration, HeldOut, calibrate, hold_out, shares_of
from tools.task_model.measures import acting_from, calibration_error, macro_f1
from tools.task_model.rows import TASKS, digest_of, read_corpus

_OUT = Path(__file__).parents[2] / "gateway" / "classify" / "data" / FILE
_LARGEST = 127
_CURVE = (0.125, 0.25, 0.5, 0.75)
_LEVELS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def weights_of(fitted: Fitted, calibration: Calibration, corpus: str) -> Weights:
    """Return the model as it is shipped: scaled to bytes, without the features that say nothing."""
    largest = float(np.abs(fitted.weights).max())
    steps = np.rint(fitted.weights * (_LARGEST / largest)).astype(int)
    rows = {
        name: bytes((steps[number] + BIAS).tolist())
        for name, number in fitted.vocabulary.items()
        if np.abs(steps[number]).max() >= _LEAST_STEPS
    }
    heat = calibration.temperature
    header = Header(
        tasks=TASKS,
        scale=float(f"{largest / _LARGEST / heat * COUNT:.6g}"),
        bias=tuple(float(f"{value / heat:.4g}") for value in fitted.bias),
        carry=calibration.carry,
        calm=calibration.calm,
        threshold=calibration.acting.threshold,
        corpus=corpus,
    )
    return Weights(header, rows)


_LEAST_STEPS = 2


def main() -> None:
    """Train, report, write."""
    options = argparse.ArgumentParser(description="Train the model of tasks on the corpus.")
    options.add_argument("--out", type=Path, default=_OUT)
    options.add_argument("--curve", action="store_true", help="measure on parts of the corpus too")
    chosen = options.parse_args()
    sources = read_corpus()
    examples = read_examples(sources)
    print(f"{len(examples):,} rows of {len(sources)} sources")
    held = hold_out(examples)
    calibration = calibrate(held)
    _report(held, calibration)
    if chosen.curve:
        _curve(examples)
    weights = weights_of(fit(examples), calibration, digest_of(sources))
    file = weights.dump()
    chosen.out.write_bytes(file)
    print(f"{len(weights.rows):,} features, {len(file):,} bytes in {chosen.out.name}")


def _report(held: HeldOut, calibration: Calibration) -> None:
    labels = labels_of(held.examples)
    shares = shares_of(held, calibration.temperature, calibration.carry, calibration.calm)
    told = shares.argmax(axis=1)
    print("On sources that were held out:")
    print(f"  macro-F1 {macro_f1(told, labels):.3f}, right {(told == labels).mean():.3f}")
    print(
        f"  temperature {calibration.temperature}, carry {calibration.carry}, "
        f"calm {calibration.calm}"
    )
    print(f"  calibration error {calibration_error(shares, labels):.3f}")
    for level in (*_LEVELS, calibration.acting.threshold):
        acting = acting_from(level, shares, labels)
        print(f"  from {level:.3f}: acts on {acting.coverage:.3f}, {acting.accuracy:.3f} right")
    _by_source(held.examples, told == labels, shares.max(axis=1) >= calibration.acting.threshold)
    for task, name in enumerate(TASKS):
        most = [f"{TASKS[t]} {((told == t) & (labels == task)).sum()}" for t in range(len(TASKS))]
        print(f"  {name:<14} {', '.join(most)}")


def _by_source(examples: Sequence[Example], right: np.ndarray, acts: np.ndarray) -> None:
    names = np.array([example.source for example in examples])
    for name in sorted(set(names.tolist())):
        of = names == name
        sure = right[of & acts]
        print(
            f"  {name:<16} {of.sum():>4} rows, {right[of].mean():.3f} right; "
            f"acts on {acts[of].mean():.3f}, {sure.mean() if len(sure) else 1:.3f} right"
        )


def _curve(examples: Sequence[Example]) -> None:
    labels = labels_of(examples)
    for share in _CURVE:
        held = hold_out(examples, share=share)
        found = calibrate(held)
        told = shares_of(held, found.temperature, found.carry, found.calm).argmax(axis=1)
        print(f"  on {share:.3f} of the rows: macro-F1 {macro_f1(told, labels):.3f}", flush=True)


if __name__ == "__main__":
    main()
