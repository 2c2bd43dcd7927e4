"""Weights: where the files are, and what their headers say.

Owns: what a `weights:` value means, and where fetched files lie.
Must not: load a model, or ask a network.
"""

from engines.weights.abilities import Abilities, Pooling, abilities_of
from engines.weights.description import Description, Tensor
from engines.weights.formats import Weights
from engines.weights.gguf import GgufHeader, describe, describe_open, header_of, read_header
from engines.weights.problems import NotPulled, WeightsProblem
from engines.weights.resolve import locate, resolve

__all__ = [
    "Abilities",
    "Description",
    "GgufHeader",
    "NotPulled",
    "Pooling",
    "Tensor",
    "Weights",
    "WeightsProblem",
    "abilities_of",
    "describe",
    "describe_open",
    "header_of",
    "locate",
    "read_header",
    "resolve",
]
