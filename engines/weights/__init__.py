"""Weights: where the files are, and what their headers say.

Owns: what a `weights:` value means.
Must not: load a model.
"""

from engines.weights.resolve import WeightsProblem, resolve

__all__ = ["WeightsProblem", "resolve"]
