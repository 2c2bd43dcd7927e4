"""Which quantisation of a model this machine is best served by.

Owns: the choice and the sentence that says why.
Must not: measure the machine or read files.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engines.weights.problems import WeightsProblem
from engines.weights.variants import Variant

# More bits than these cost time and memory for no answer that anybody could tell apart.
_WHOLE = ("F16", "BF16", "F32")
# Beside the weights: what is computed with, the process, and the context's cells, which grow with
# the model. Measured after loading; before it this is what has to do.
_BESIDE_SHARE = 0.15
_BESIDE_BYTES = 700 * 1024 * 1024
_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Choice:
    """The variant, and why it was taken."""

    variant: Variant
    why: str


def need_bytes(size_bytes: int) -> int:
    """Return about how much memory weights of this size take when they serve."""
    return round(size_bytes * (1 + _BESIDE_SHARE)) + _BESIDE_BYTES


def largest_that_fits(variants: Sequence[Variant], room_bytes: int, what: str) -> Choice:
    """Return the largest variant that fits into so much memory, at most 8 bits a weight.

    Raises:
        WeightsProblem: there is none, or even the smallest is too large.
    """
    whole = [variant for variant in variants if not variant.missing]
    if not whole:
        raise WeightsProblem(f"{what} has no GGUF file with a model in it")
    quantised = [variant for variant in whole if variant.quantisation not in _WHOLE] or whole
    by_size = sorted(quantised, key=lambda variant: variant.size_bytes)
    fitting = [variant for variant in by_size if need_bytes(variant.size_bytes) <= room_bytes]
    if not fitting:
        raise WeightsProblem(
            f"no quantisation of {what} fits this machine: the smallest, {_named(by_size[0])}, "
            f"takes about {_gib(need_bytes(by_size[0].size_bytes))}, and there are "
            f"{_gib(room_bytes)}; choose a smaller model, or take it all the same with "
            f"--quant {by_size[0].quantisation or by_size[0].stem}"
        )
    chosen = fitting[-1]
    if len(whole) == 1:
        return Choice(chosen, "the only one there is")
    return Choice(chosen, _why(chosen, by_size[len(fitting) :], room_bytes))


def _why(chosen: Variant, larger: Sequence[Variant], room_bytes: int) -> str:
    takes = f"it takes about {_gib(need_bytes(chosen.size_bytes))} of {_gib(room_bytes)}"
    if larger:
        more = _gib(need_bytes(larger[0].size_bytes))
        return f"the largest that fits: {takes}; {_named(larger[0])} would take {more}"
    return f"the largest there is below 16 bits a weight: {takes}"


def _named(variant: Variant) -> str:
    return variant.quantisation or variant.stem


def _gib(count: int) -> str:
    return f"{count / _GIB:.1f} GiB"
