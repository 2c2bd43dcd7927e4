"""Which matrices llama.cpp lays out anew in memory for the processor at hand, beside the file.

Owns: the rule. Must not: read files.
"""

from engines.weights.description import Tensor

# Kind -> the instructions that one of these sets wants whole, and of what its rows are a multiple.
_RULES: dict[str, tuple[tuple[frozenset[str], int], ...]] = {
    "q4_0": ((frozenset({"avx2"}), 8), (frozenset({"asimddp"}), 4)),
    "q4_k": ((frozenset({"avx2"}), 8), (frozenset({"asimddp"}), 8)),
    "q2_k": ((frozenset({"avx512f"}), 8),),
    "q5_k": ((frozenset({"asimddp"}), 8),),
    "q6_k": ((frozenset({"asimddp"}), 8),),
    "iq4_nl": ((frozenset({"avx2"}), 8), (frozenset({"asimddp"}), 4)),
    "mxfp4": ((frozenset({"avx2"}), 8), (frozenset({"asimddp"}), 4)),
    "q8_0": ((frozenset({"asimddp"}), 4),),
    "q1_0": ((frozenset({"asimddp"}), 4),),
}
# Intel's matrix unit takes these as well.
_TILES = frozenset({"q4_0", "q4_1", "q8_0", "q4_k", "q5_k", "q6_k", "iq4_xs"})


def is_repacked(tensor: Tensor, instructions: frozenset[str]) -> bool:
    """Say whether a tensor is copied: it is multiplied with, and of a kind that gains by it."""
    if len(tensor.shape) < 2 or not tensor.name.endswith(".weight"):
        return False
    kind, rows = tensor.kind_name, tensor.shape[1]
    if "amx_int8" in instructions and kind in _TILES:
        return True
    return any(
        wanted <= instructions and rows % multiple == 0 for wanted, multiple in _RULES.get(kind, ())
    )
