"""Batches for llama.cpp, over numpy arrays: of tokens, or of what is seen of a picture.

Owns: the arrays that a `llama_batch` points to.
Must not: decide what is evaluated.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import llama_cpp as native
import numpy as np

from engines.llamacpp.pictures import Picture


@dataclass(frozen=True, slots=True)
class Piece:
    """A sequence's part of a step: tokens from a position on; `wanted`: the last ones' logits."""

    slot: int
    position: int
    tokens: Sequence[int]
    wanted: int


@dataclass(frozen=True, slots=True)
class View:
    """Some tokens of a picture that begins at `position` of a sequence: `count` from `begun` on."""

    slot: int
    position: int
    picture: Picture
    begun: int
    count: int


class Batch:
    """A `llama_batch` over numpy arrays: no ctypes assignment for each token."""

    def __init__(self, size: int) -> None:
        self._token = np.zeros(size, dtype=np.int32)
        self._position = np.zeros(size, dtype=np.int32)
        self._slot = np.zeros(size, dtype=np.int32)
        self._wanted = np.zeros(size, dtype=np.int8)
        self._ones = np.ones(size, dtype=np.int32)
        self._slots = self._slot.ctypes.data + 4 * np.arange(size, dtype=np.uint64)
        pointer = ctypes.POINTER(ctypes.c_int32)
        self._batch = native.llama_batch(
            n_tokens=0,
            token=self._token.ctypes.data_as(pointer),
            embd=None,
            pos=self._position.ctypes.data_as(pointer),
            n_seq_id=self._ones.ctypes.data_as(pointer),
            seq_id=self._slots.ctypes.data_as(ctypes.POINTER(pointer)),
            logits=self._wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    def fill(self, pieces: Sequence[Piece], *, all_wanted: bool = False) -> Any:
        """Return the C batch that holds these pieces; it is overwritten by the next call."""
        tokens: list[int] = []
        positions: list[int] = []
        slots: list[int] = []
        wanted: list[int] = []
        for piece in pieces:
            count = len(piece.tokens)
            tokens += piece.tokens
            positions += range(piece.position, piece.position + count)
            slots += [piece.slot] * count
            wanted += range(len(tokens) - piece.wanted, len(tokens))
        count = len(tokens)
        self._token[:count] = tokens
        self._position[:count] = positions
        self._slot[:count] = slots
        self._wanted[:count] = all_wanted
        self._wanted[wanted] = 1
        self._batch.n_tokens = count
        return self._batch


def rows_of(view: View) -> Any:
    """Return a `llama_batch` of vectors: the tokens of a view of a picture.

    It keeps what it points to: a structure of ctypes holds addresses, and no array alive.
    """
    count, here = view.count, slice(view.begun, view.begun + view.count)
    vectors = np.ascontiguousarray(view.picture.vectors[here])
    places = np.array(view.picture.places[:, here], order="C")  # a copy to be changed
    places[:3] += view.position  # the fourth dimension is no position of the text's
    ones = np.ones(count, dtype=np.int32)
    slot = np.full(1, view.slot, dtype=np.int32)
    slots = np.full(count, slot.ctypes.data, dtype=np.uint64)
    wanted = np.zeros(count, dtype=np.int8)
    pointer = ctypes.POINTER(ctypes.c_int32)
    batch = native.llama_batch(
        n_tokens=count,
        token=None,
        embd=vectors.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
        pos=places.ctypes.data_as(pointer),
        n_seq_id=ones.ctypes.data_as(pointer),
        seq_id=slots.ctypes.data_as(ctypes.POINTER(pointer)),
        logits=wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
    )
    batch.arrays = (vectors, places, ones, slot, slots, wanted)
    return batch
