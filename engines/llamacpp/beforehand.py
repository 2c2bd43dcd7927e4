"""What is known of a worker before one runs: the packages it needs, the sizes it takes by itself.

Owns: these, for the worker itself and for whoever plans one.
Must not: import llama_cpp or anything else that the extra brings.
"""

import importlib.util

# Larger contexts are asked for by name: their KV cache can take more memory than the weights.
LARGEST_OWN_CONTEXT = 16_384
_UNKNOWN_CONTEXT = 4_096
# KV cells in all, beyond one whole context: sequences share them, and most are short.
SHARED_CELLS = 32_768
# What was seen of images lately, so that one that is sent again is not looked at again.
KEPT_PICTURES_BYTES = 128 << 20
_NEEDED = ("llama_cpp", "jinja2", "numpy")


def own_context(trained_tokens: int | None) -> int:
    """Return the context in tokens that a worker takes where nobody asks for another.

    `trained_tokens` is what the weights say, None where they say nothing.
    """
    return min(trained_tokens or _UNKNOWN_CONTEXT, LARGEST_OWN_CONTEXT)


def own_cells(context: int, parallel: int, wanted: int | None = None) -> int:
    """Return how many KV cells sequences share: those that are wanted, else what they may need."""
    return max(context, wanted or min(context * parallel, SHARED_CELLS))


def missing_extra() -> str | None:
    """Return the line that says what to install, or None when a worker can run."""
    if all(importlib.util.find_spec(name) for name in _NEEDED):
        return None
    return "kind: llamacpp needs an extra; run: pip install 'weighbridge[llamacpp]'"
