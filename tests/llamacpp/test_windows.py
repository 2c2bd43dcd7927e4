"""Layers that look through a window keep that alone, and say what they would with everything."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.llamacpp.batches import Piece
from engines.llamacpp.binding import Floats, Limits, Runtime
from tools.families.toy_files import write_toy
from tools.families.toys import TOYS, Toy

_LENGTH, _STEP, _PARALLEL = 300, 48, 3
# As many as three windows and a step take, rounded up: all three texts together do not fit in.
_WINDOWED_CELLS = 256
_LIMITS = Limits(512, 1_024, _PARALLEL, _STEP, threads=1, batch_threads=1)
_WINDOWED = tuple(toy for toy in TOYS if toy.name in ("gemma2", "gemma3"))


class Everything(Runtime):
    """A runtime whose layers keep all that was read, also what they do not look at."""

    def context_params(self, cells: int, batch_tokens: int, sequences: int) -> Any:
        params = super().context_params(cells, batch_tokens, sequences)
        params.swa_full = True
        return params


def text(slot: int) -> list[int]:
    return [(7 * at + 31 * slot) % 200 + 5 for at in range(_LENGTH)]


def read(runtime: Runtime, slot: int, start: int, end: int) -> Floats:
    """Evaluate a stretch of a text; return what was made of its last token."""
    found: Floats | None = None
    for at in range(start, end, _STEP):
        tokens = text(slot)[at : min(end, at + _STEP)]
        found = runtime.decode([Piece(slot, at, tokens, 1)])
        assert found is not None, "there was no room"
    assert found is not None
    return np.array(found)


@contextmanager
def loaded(kind: type[Runtime], toy: Toy, folder: Path) -> Iterator[Runtime]:
    path = write_toy(toy, folder / "toy.gguf")
    runtime = kind(path, _LIMITS, 0)
    yield runtime
    runtime.close()


def said(runtime: Runtime) -> list[Floats]:
    """Read three texts in turns, then one token of each in one step, and so on."""
    found = [
        read(runtime, slot, start, start + 60)
        for start in range(0, _LENGTH - 60, 60)
        for slot in range(_PARALLEL)
    ]
    for at in range(_LENGTH - 60, _LENGTH):
        pieces = [Piece(slot, at, [text(slot)[at]], 1) for slot in range(_PARALLEL)]
        logits = runtime.decode(pieces)
        assert logits is not None, "there was no room"
        found.append(np.array(logits))
    return found


def check_alike(one: Floats, other: Floats) -> None:
    """Sums are made in another order, which noise for weights makes much of; texts differ by 1."""
    assert np.abs(one - other).mean() < 0.02


@pytest.mark.parametrize("toy", _WINDOWED, ids=lambda toy: toy.name)
def test_what_a_layer_does_not_look_at_changes_no_answer(toy: Toy, tmp_path: Path) -> None:
    assert _PARALLEL * _LENGTH > _WINDOWED_CELLS
    with loaded(Runtime, toy, tmp_path) as runtime:
        windowed = said(runtime)
    with loaded(Everything, toy, tmp_path) as runtime:
        whole = said(runtime)
    for one, other in zip(windowed, whole, strict=True):
        check_alike(one, other)


@pytest.mark.parametrize("toy", _WINDOWED, ids=lambda toy: toy.name)
def test_who_has_left_goes_on_from_its_window_while_others_read(toy: Toy, tmp_path: Path) -> None:
    with loaded(Runtime, toy, tmp_path) as runtime:
        read(runtime, 0, 0, 240)
        state = runtime.leaving(0)
        expected = read(runtime, 0, 240, 250)
        runtime.forget(0)
        read(runtime, 1, 0, _LENGTH)
        assert runtime.arrive(0, state, 240)
        check_alike(read(runtime, 0, 240, 250), expected)
    with loaded(Everything, toy, tmp_path) as runtime:
        read(runtime, 0, 0, 240)
        assert runtime.leaving(0).nbytes >= state.nbytes
