"""Room for the results within one step of llama.cpp: what its graph holds at its widest place.

Owns: reckoning it from the shapes of the tensors.
Must not: read files.

The graph's memory is used again as it goes on, so what counts is the widest of its places. That is
behind the two matrices that widen a token, or where experts' answers are added up; measured on
llama.cpp's own figures for a score of shapes (tests/memory).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engines.weights.description import Description, Tensor

_FLOAT = 4
_MASK_BYTES = 2
# What goes past a layer's widest place: its input, the sum so far, the normed, the result.
_BESIDE = 4


@dataclass(slots=True)
class _Layer:
    """Rows of the matrices of one layer."""

    up: int = 0
    gate: int = 0
    down: int = 0
    expert: int = 0
    queries: int = 0


def step_bytes(parts: Sequence[Description], cells: int, tokens: int) -> int:
    """Return the bytes of a step with so many tokens whose masks reach over so many cells."""
    described = parts[0]
    width = described.number("embedding_length")
    used = described.number("expert_used_count")
    layers = _layers(tensor for part in parts for tensor in part.tensors)
    widest = max((_widest(layer, width, used) for layer in layers), default=0)
    # To multiply, a token's numbers are stored in eight bits first.
    longest = max((max(one.down, one.expert * used) for one in layers), default=0)
    work = longest * 34 // 32
    return tokens * (widest * _FLOAT + cells * _MASK_BYTES + work)


def _widest(layer: _Layer, width: int, used: int) -> int:
    """Return how many numbers of a token the widest place of a layer holds."""
    queries = layer.queries or width
    places = [_BESIDE * width + queries]
    if layer.expert:
        places.append(3 * used * layer.expert + _BESIDE * width)
        places.append(2 * used * width + _BESIDE * width + queries)
    if layer.down:
        wide = layer.up + layer.gate
        if wide > layer.down:
            wide += layer.down  # the product of the two
        places.append(wide + _BESIDE * width)
    return max(places)


def _layers(tensors: Iterable[Tensor]) -> list[_Layer]:
    found: dict[str, _Layer] = {}
    for tensor in tensors:
        block, _, name = tensor.name.removeprefix("blk.").partition(".")
        if tensor.name.startswith("blk.") and len(tensor.shape) > 1:
            _note(found.setdefault(block, _Layer()), name, tensor)
    return list(found.values())


def _note(layer: _Layer, name: str, tensor: Tensor) -> None:
    rows = tensor.shape[1]
    kind = name.removesuffix(".weight")
    if kind in ("ffn_up", "ffn_up_shexp"):
        layer.up = max(layer.up, rows)
    elif kind in ("ffn_gate", "ffn_gate_shexp"):
        layer.gate = max(layer.gate, rows)
    elif kind in ("ffn_down", "ffn_down_shexp"):
        layer.down = max(layer.down, tensor.shape[0])
    elif kind == "ffn_down_exps":
        layer.expert = tensor.shape[0]
    elif kind in ("attn_q", "attn_output"):
        layer.queries = max(layer.queries, rows if kind == "attn_q" else tensor.shape[0])
