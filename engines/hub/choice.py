"""Which quantisation of a model this machine is best served by.

Owns: the choice and the sentence that says why.
Must not: measure the machine or read files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from engines.memory import in_words
from engines.weights.problems import WeightsProblem
from engines.weights.variants import Variant

# More bits than these cost time and memory for no answer that anybody could tell apart.
_WHOLE = ("F16", "BF16", "F32")
# Beside the weights, where nobody knows more than their size: what is computed with, the process,
# and the context's cells, which grow with the model.
_BESIDE_SHARE = 0.15
_BESIDE_BYTES = 700 * 1024 * 1024


NeedOf: TypeAlias = Callable[[Variant], int]


@dataclass(frozen=True, slots=True)
class Choice:
    """The variant, and why it was taken."""

    variant: Variant
    why: str


def need_bytes(size_bytes: int) -> int:
    """Return about how much memory weights of this size take when they serve."""
    return round(size_bytes * (1 + _BESIDE_SHARE)) + _BESIDE_BYTES


def largest_that_fits(
    variants: Sequence[Variant], room_bytes: int, what: str, need_of: NeedOf
) -> Choice:
    """Return the largest variant that fits into so much memory, at most 8 bits a weight.

    `need_of` is asked for those alone whose files fit, the largest first, until one does.

    Raises:
        WeightsProblem: there is none, or even the smallest is too large.
    """
    whole = [variant for variant in variants if not variant.missing]
    if not whole:
        raise WeightsProblem(f"{what} has no GGUF file with a model in it")
    quantised = [variant for variant in whole if variant.quantisation not in _WHOLE] or whole
    by_size = sorted(quantised, key=lambda variant: -variant.size_bytes)
    larger: Variant | None = None
    for variant in by_size:
        if variant.size_bytes <= room_bytes and need_of(variant) <= room_bytes:
            takes = (
                f"it takes {in_words(need_of(variant))} of {in_words(room_bytes)} when it is full"
            )
            if len(whole) == 1:
                return Choice(variant, f"the only one there is: {takes}")
            return Choice(variant, f"{_why(larger, need_of)}: {takes}")
        larger = variant
    smallest = by_size[-1]
    raise WeightsProblem(
        f"no quantisation of {what} fits this machine: the smallest, {_named(smallest)}, takes "
        f"{in_words(need_of(smallest))}, and there are {in_words(room_bytes)}; choose a smaller "
        f"model, or fetch it anyway with --quant {_named(smallest)}"
    )


def _why(larger: Variant | None, need_of: NeedOf) -> str:
    if larger is None:
        return "the largest there is below 16 bits a weight"
    return f"the largest that fits ({_named(larger)} would take {in_words(need_of(larger))})"


def _named(variant: Variant) -> str:
    return variant.quantisation or variant.stem
