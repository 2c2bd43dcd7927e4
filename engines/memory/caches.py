"""What llama.cpp keeps of tokens that were read: cells for each, or a state for each sequence.

Owns: reckoning it from a header's own figures.
Must not: read files beyond its own data.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from engines.weights.description import Description

# Bytes of 32 values.
_CELL_BLOCKS = {"f16": 64, "q8_0": 34, "q4_0": 18}
_STATE_BYTES = 4
# llama.cpp rounds the number of cells up to a multiple of this.
_CELLS_ROUNDED = 256


@dataclass(frozen=True, slots=True)
class LayerCache:
    """What one layer keeps: values for each cell, values for each sequence.

    With a `window` it looks no further back than so many tokens, and keeps no more.
    """

    cell_values: int
    state_values: int
    window: int = 0

    def size_bytes(self, cells: int, sequences: int, step_tokens: int, kv_type: str) -> int:
        """Return the bytes for so many cells and sequences, where a step has so many tokens."""
        if self.window:
            cells = window_cells(self.window, cells, sequences, step_tokens)
        by_cells = cells * self.cell_values * _CELL_BLOCKS[kv_type] // 32
        return by_cells + sequences * self.state_values * _STATE_BYTES


def window_cells(window: int, cells: int, sequences: int, step_tokens: int) -> int:
    """Return the cells of layers with a window: each sequence's, and a step on top."""
    return whole_cells(min(cells, window * sequences + step_tokens))


def whole_cells(cells: int) -> int:
    """Return how many cells llama.cpp makes where so many are asked for."""
    return -(-cells // _CELLS_ROUNDED) * _CELLS_ROUNDED


def masked_cells(described: Description, cells: int, sequences: int, step_tokens: int) -> int:
    """Return over how many cells a step's masks reach: those with a window have their own."""
    window, every = window_of(described), whole_cells(cells)
    if not window:
        return every
    return every + window_cells(window, every, sequences, step_tokens)


def layer_caches(described: Description) -> tuple[LayerCache, ...]:
    """Return what each layer keeps, the first to the last."""
    layers = described.number("block_count") - described.number("nextn_predict_layers")
    if described.architecture in _facts()["cacheless"]:
        return (LayerCache(0, 0),) * max(0, layers)
    cells, states = _cell_values(described, layers), _state_values(described)
    recurrent = _recurrent(described, layers)
    everywhere = described.architecture in _facts()["cells_everywhere"]
    with_cells = _layers_with_cells(described, layers)
    window, windows = window_of(described), _windows(described, layers)
    return tuple(
        LayerCache(
            cells[layer] if layer < with_cells and (everywhere or not recurrent[layer]) else 0,
            states if everywhere or recurrent[layer] else 0,
            window if windows[layer] else 0,
        )
        for layer in range(layers)
    )


def window_of(described: Description) -> int:
    """Return how far back some layers look at most, in tokens; 0 where all look at everything."""
    facts, architecture = _facts(), described.architecture
    own = facts["windows"].get(architecture, 0)
    if architecture in facts["never_windowed"]:
        return 0
    said = described.said("attention.sliding_window")
    if architecture in facts["own_windows"]:
        return 0 if said == 0 else int(own)
    return described.number("attention.sliding_window", own)


def _cell_values(described: Description, layers: int) -> list[int]:
    """Return how many values a cell of each layer has: a key and a value for each KV head."""
    heads = described.each_layer("attention.head_count", layers)
    kv_heads = described.each_layer("attention.head_count_kv", layers, heads[0] if heads else 0)
    default = described.number("embedding_length") // max(1, *heads) if heads else 0
    key = described.number("attention.key_length", default)
    value = described.number("attention.value_length", default)
    if described.said("attention.key_length_mla"):
        value = 0  # it is read out of the key
    windows = _windows(described, layers)
    near_key = described.number("attention.key_length_swa", key)
    near_value = described.number("attention.value_length_swa", value)
    return [
        kv_heads[layer] * (near_key + near_value if windows[layer] else key + value)
        for layer in range(layers)
    ]


def _windows(described: Description, layers: int) -> tuple[bool, ...]:
    """Return which layers look through a window: as the file says of each, or every n-th not."""
    said = described.said("attention.sliding_window_pattern")
    if isinstance(said, tuple) and said:
        return tuple(bool(said[min(layer, len(said) - 1)]) for layer in range(layers))
    every = _facts()["full_every"].get(described.architecture, 0)
    if every and type(said) is int:
        every = said
    if not every or not window_of(described):
        return (False,) * layers
    first = described.architecture in _facts()["full_first"]
    return tuple(layer % every != (0 if first else every - 1) for layer in range(layers))


def _recurrent(described: Description, layers: int) -> tuple[bool, ...]:
    """Return which layers keep a state for each sequence."""
    said = described.said("attention.recurrent_layers")
    if isinstance(said, tuple) and said:
        return tuple(bool(said[min(layer, len(said) - 1)]) for layer in range(layers))
    every = _facts()["full_attention_interval"].get(described.architecture)
    if every is not None:
        every = described.number("full_attention_interval", every)
        return tuple((layer + 1) % every != 0 for layer in range(layers))
    if not _state_values(described):
        return (False,) * layers
    heads = described.said("attention.head_count_kv")
    if isinstance(heads, tuple):
        # Nemotron-H has layers that keep nothing: they are wide, where states are not.
        wide = described.each_layer("feed_forward_length", layers)
        several = isinstance(described.said("feed_forward_length"), tuple)
        none = described.each_layer("attention.head_count_kv", layers)
        return tuple(not none[at] and not (several and wide[at]) for at in range(layers))
    return (True,) * layers


def _state_values(described: Description) -> int:
    """Return how many values a recurrent layer keeps of a sequence."""
    width = described.number("embedding_length")
    head = described.number("wkv.head_size")
    if head:
        return width * (described.number("token_shift_count", 2) + head)
    short = described.number("shortconv.l_cache")
    if short:
        return width * (short - 1)
    heads, head = described.number("attention.head_count"), described.number("kda.head_dim")
    reach = described.number("ssm.conv_kernel")
    if head:
        return 3 * max(0, reach - 1 if reach else 3) * heads * head + head * head * heads
    inner, state = described.number("ssm.inner_size"), described.number("ssm.state_size")
    rows = inner + 2 * described.number("ssm.group_count") * state
    return max(0, reach - 1) * rows + state * inner


def _layers_with_cells(described: Description, layers: int) -> int:
    shared = described.number("attention.shared_kv_layers")
    if shared:
        return layers - shared
    return int(_facts()["layers_with_cells"].get(described.architecture, layers))


@cache
def _facts() -> Mapping[str, Any]:
    text = files("engines.memory").joinpath("data", "architectures.toml").read_text("utf-8")
    return tomllib.loads(text)
