"""Which of llama.cpp's vocabularies stands for which families of the catalogue.

Owns: the table. Must not: read a vocabulary.
"""

from collections.abc import Mapping

# A vocabulary -> the families that have it, or one much like it: DeepSeek's newer models and the
# older Gemmas have others of the same makers. Families whose models differ too much are left out.
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "qwen2": ("qwen2.5", "qwen3", "qwq"),
    "llama-bpe": ("llama-3", "llama-3.1", "llama-3.2", "llama-3.3"),
    "gemma-4": ("gemma",),
    "deepseek-llm": ("deepseek",),
    "llama-spm": ("llama-2", "mixtral"),
}
# What a model of an unknown family most likely has: one of these.
LIKELY = ("qwen2", "llama-bpe", "gemma-4")
DEMO = "demo"
