"""Weights: where the files are, and what their headers say.

Owns: what a `weights:` value means.
Must not: load a model.
"""

from engines.weights.abilities import Abilities, Pooling, abilities_of
from engines.weights.gguf import GgufHeader, read_header
from engines.weights.resolve import WeightsProblem, resolve

__all__ = [
    "Abilities",
    "GgufHeader",
    "Pooling",
    "WeightsProblem",
    "abilities_of",
    "read_header",
    "resolve",
]
