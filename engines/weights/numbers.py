"""Numbers of a GGUF header on which llama.cpp ends its whole process instead of refusing the file.

Owns: what they must be, and the words for what they are not.
Must not: repeat what llama.cpp refuses by itself in a clear line.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

_EPSILONS = ("attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon")
_HEAD_SIZES = ("attention.key_length", "attention.value_length")


def absurd_numbers(architecture: str, fields: Mapping[str, Any], tensors: int) -> Iterator[str]:
    """Yield what is wrong with a header, each as the end of "x.gguf ...".

    `fields` are its keys, `tensors` how many the whole model has: 0 where nobody knows.
    """
    said = _Said(architecture, fields)
    blocks = said.whole("block_count")
    if blocks is not None and (blocks < 1 or 0 < tensors < blocks):
        yield said.wrong("block_count", f"and has {tensors} tensors for them" if blocks else "")
    yield from _about_experts(said)
    yield from _about_heads(said)
    for key in _EPSILONS:
        epsilon = said.value(key)
        if isinstance(epsilon, float) and not 0 <= epsilon < math.inf:
            yield said.wrong(key, "which must be a number of 0 or more")


class _Said:
    """What a header says of its architecture, by short keys."""

    def __init__(self, architecture: str, fields: Mapping[str, Any]) -> None:
        self._architecture = architecture
        self._fields = fields

    def value(self, key: str) -> Any:
        return self._fields.get(f"{self._architecture}.{key}")

    def whole(self, key: str) -> int | None:
        """Return a whole number, None where there is none, or one for each layer."""
        value = self.value(key)
        return value if type(value) is int else None

    def wrong(self, key: str, why: str) -> str:
        said = f"says that {self._architecture}.{key} is {self.value(key)}"
        return f"{said}, {why}" if why else said


def _about_experts(said: _Said) -> Iterator[str]:
    experts, used = said.whole("expert_count") or 0, said.whole("expert_used_count") or 0
    if used > experts:
        yield said.wrong("expert_used_count", f"of {experts} experts")
    elif experts and not used:
        yield said.wrong("expert_count", "of which none is used")


def _about_heads(said: _Said) -> Iterator[str]:
    for key in _HEAD_SIZES:
        if said.whole(key) == 0:
            yield said.wrong(key, "which must be 1 or more")
    width, heads = said.whole("embedding_length"), said.whole("attention.head_count")
    size = said.whole("attention.key_length") or (width // heads if width and heads else None)
    turned = said.whole("rope.dimension_count")
    if size and turned and turned > size:
        yield said.wrong("rope.dimension_count", f"more than the {size} of a head")
