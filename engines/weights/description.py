"""What the header of a GGUF file says, as values: keys, and where which tensor lies.

Owns: how many bytes values of a kind take.
Must not: read files.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Number of a kind -> (its name, values in a block, bytes of a block).
_KINDS = {
    0: ("f32", 1, 4),
    1: ("f16", 1, 2),
    2: ("q4_0", 32, 18),
    3: ("q4_1", 32, 20),
    6: ("q5_0", 32, 22),
    7: ("q5_1", 32, 24),
    8: ("q8_0", 32, 34),
    9: ("q8_1", 32, 40),
    10: ("q2_k", 256, 84),
    11: ("q3_k", 256, 110),
    12: ("q4_k", 256, 144),
    13: ("q5_k", 256, 176),
    14: ("q6_k", 256, 210),
    15: ("q8_k", 256, 292),
    16: ("iq2_xxs", 256, 66),
    17: ("iq2_xs", 256, 74),
    18: ("iq3_xxs", 256, 98),
    19: ("iq1_s", 256, 50),
    20: ("iq4_nl", 32, 18),
    21: ("iq3_s", 256, 110),
    22: ("iq2_s", 256, 82),
    23: ("iq4_xs", 256, 136),
    24: ("i8", 1, 1),
    25: ("i16", 1, 2),
    26: ("i32", 1, 4),
    27: ("i64", 1, 8),
    28: ("f64", 1, 8),
    29: ("iq1_m", 256, 56),
    30: ("bf16", 1, 2),
    34: ("tq1_0", 256, 54),
    35: ("tq2_0", 256, 66),
    39: ("mxfp4", 32, 17),
    40: ("nvfp4", 64, 36),
    41: ("q1_0", 128, 18),
}
_UNKNOWN = ("unknown", 1, 2)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor: its sizes, the innermost first, how its values are stored, where they begin."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int

    @property
    def values(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)

    @property
    def kind_name(self) -> str:
        """How its values are stored, as `q4_0`."""
        return _KINDS.get(self.kind, _UNKNOWN)[0]

    @property
    def size_bytes(self) -> int:
        """How many bytes it takes; for a kind that nobody knows, two for each value."""
        _, values, size = _KINDS.get(self.kind, _UNKNOWN)
        return -(-self.values // values) * size


@dataclass(frozen=True, slots=True)
class Description:
    """All that a file says of its model.

    `fields` are its keys; short arrays of numbers are tuples, other arrays None. `lengths` are the
    lengths of arrays. `parts` is into how many files the model is split, of which this is one.
    """

    architecture: str
    fields: Mapping[str, Any]
    lengths: Mapping[str, int]
    tensors: tuple[Tensor, ...]
    parts: int = 1

    def said(self, key: str) -> Any:
        """Return what is said of the architecture by a short key, None where nothing is."""
        return self.fields.get(f"{self.architecture}.{key}")

    def number(self, key: str, default: int = 0) -> int:
        """Return a whole number that is said of the architecture; of several the largest."""
        value = self.said(key)
        if isinstance(value, tuple):
            value = max((one for one in value if type(one) is int), default=default)
        return value if type(value) is int else default

    def each_layer(self, key: str, layers: int, default: int = 0) -> tuple[int, ...]:
        """Return a number for each layer, whether one is said for all or one for each."""
        value = self.said(key)
        if isinstance(value, tuple) and value:
            return tuple(int(value[min(layer, len(value) - 1)]) for layer in range(layers))
        return (value if type(value) is int else default,) * layers

    @property
    def words(self) -> int:
        """How many tokens its vocabulary has."""
        return self.lengths.get("tokenizer.ggml.tokens", 0)
