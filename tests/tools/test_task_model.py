"""The corpus of tasks, and what is trained on it."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gateway.classify.plain import plain
from gateway.classify.task_model import load_weights
from tools.task_model.examples import read_examples
from tools.task_model.fitting import Settings, fit
from tools.task_model.holdout import calibrate, fold_of, hold_out
from tools.task_model.measures import calibration_error, macro_f1, softmax, threshold_for
from tools.task_model.rows import TASKS, Source, digest_of, read_corpus
from tools.task_model.train import weights_of

DEV = Path(__file__).parents[2].parent / "shared" / "data" / "prompts-dev.jsonl"
PIECE = 24  # signs in a row that two texts have in common when one is taken from the other
MOST_SHARED = 0.5


@pytest.fixture(scope="module")
def corpus() -> list[Source]:
    return read_corpus()


def test_every_row_has_a_task_of_the_list_and_a_language(corpus: list[Source]) -> None:
    rows = [row for source in corpus for row in source.rows]
    assert {row.task for row in rows} == set(TASKS)
    assert all(row.text.strip() and row.language for row in rows)
    assert len({row.language for row in rows}) >= 30


def test_no_row_is_there_twice(corpus: list[Source]) -> None:
    texts = Counter((row.text, row.history) for source in corpus for row in source.rows)
    assert not [text for text, count in texts.items() if count > 1]


def test_the_shipped_weights_were_trained_on_this_corpus(corpus: list[Source]) -> None:
    assert load_weights().header.corpus == digest_of(corpus), "run `make task-model`"


def pieces_of(text: str) -> set[str]:
    signs = plain(text).replace(" ", "")
    return {signs[at : at + PIECE] for at in range(max(1, len(signs) - PIECE + 1))}


def test_nothing_of_the_development_file_is_in_the_corpus(corpus: list[Source]) -> None:
    if not DEV.exists():
        pytest.skip("the development prompts are not beside this checkout")
    known: set[str] = set()
    for line in DEV.read_bytes().splitlines():
        text = msgspec.json.decode(line)["text"]
        if len(plain(text)) > PIECE:
            known |= pieces_of(text)
    taken = [
        row.text
        for source in corpus
        for row in source.rows
        if len(pieces := pieces_of(row.text)) > 1
        and len(pieces & known) > MOST_SHARED * len(pieces)
    ]
    assert not taken


def a_tenth(corpus: list[Source]) -> Iterator[Source]:
    for source in corpus[::3]:
        yield Source(source.name, source.rows[::5])


def test_the_same_rows_give_the_same_weights_and_sources_are_held_out(
    corpus: list[Source],
) -> None:
    examples = read_examples(a_tenth(corpus))
    settings = Settings(epochs=3)
    held = hold_out(examples, settings)
    found = calibrate(held)
    first, again = (weights_of(fit(examples, settings), found, "d").dump() for _ in range(2))
    assert first == again
    labels = np.array([example.task for example in examples])
    assert (held.newest.argmax(axis=1) == labels).mean() > 0.4  # chance is 0.11
    assert len({fold_of(example.source) for example in examples}) > 1


def test_macro_f1_is_the_mean_over_tasks() -> None:
    labels = np.array([0, 0, 0, 1])
    assert macro_f1(labels, labels) == 1
    assert macro_f1(np.zeros(4, dtype=np.int64), labels) == pytest.approx(6 / 7 / 2)


def test_the_threshold_is_the_lowest_that_is_right_enough() -> None:
    sure = np.array([0.9, 0.8, 0.7, 0.6])
    shares = np.stack([sure, 1 - sure], axis=1)
    acting = threshold_for(0.95, shares, np.array([0, 0, 1, 0]))
    assert acting.coverage == 0.5
    assert 0.7 < acting.threshold <= 0.8
    assert acting.accuracy == 1


def test_shares_that_come_true_are_calibrated() -> None:
    shares = np.array([[0.75, 0.25]] * 4)
    assert calibration_error(shares, np.array([0, 0, 0, 1])) == pytest.approx(0)
    assert softmax(np.array([[0.0, 0.0]])).tolist() == [[0.5, 0.5]]
