"""Memory: what an engine will take, what it takes, what is to be had.

Owns: the words for it, the estimates, what was measured before.
Must not: start or end anything; decide who stays in memory (`engines.residency` does).
"""

from engines.memory.gguf_need import GgufSettings, need_of_gguf
from engines.memory.measured import MemoryUse, use_of
from engines.memory.need import RAM, MemoryNeed, Part, gpu, in_words, together
from engines.memory.offload import layers_that_fit, shared_out
from engines.memory.vllm_need import VllmSettings, asleep, need_of_vllm

__all__ = [
    "RAM",
    "GgufSettings",
    "MemoryNeed",
    "MemoryUse",
    "Part",
    "VllmSettings",
    "asleep",
    "gpu",
    "in_words",
    "layers_that_fit",
    "need_of_gguf",
    "need_of_vllm",
    "shared_out",
    "together",
    "use_of",
]
