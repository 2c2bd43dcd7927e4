"""Tiny random models in the shape of each architecture that the catalogue names.

Owns: the table of toys.
Must not: know which tensors an architecture has (`toy_tensors`), or write files (`toy_files`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Key: TypeAlias = int | float | bool | list[int]


@dataclass(frozen=True, slots=True)
class Toy:
    """The shape of one toy; widths as numbers of values.

    `pre` is the pre-tokenizer of a byte-level vocabulary, None for SentencePiece, `bert` for
    WordPiece. `parts` are what the architecture has beside the plain Llama block; `keys` its own
    keys, without its name before them.
    """

    name: str
    architecture: str
    pre: str | None = None
    parts: frozenset[str] = frozenset()
    keys: Mapping[str, Key] = field(default_factory=dict)
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    head: int = 16
    width: int = 64
    hidden: int = 96
    experts: int = 0


def _with(*parts: str) -> frozenset[str]:
    return frozenset(parts)


_LATENT = {  # DeepSeek's attention: keys and values are made of one short vector a token
    "attention.kv_lora_rank": 32,
    "attention.key_length": 40,
    "attention.value_length": 32,
    "attention.key_length_mla": 24,
    "attention.value_length_mla": 16,
    "rope.dimension_count": 8,
    "leading_dense_block_count": 1,
    "expert_feed_forward_length": 32,
    "expert_shared_count": 1,
    "expert_used_count": 2,
}
_MOE = {"expert_used_count": 2, "expert_feed_forward_length": 32}

TOYS = (
    Toy("qwen2", "qwen2", "qwen2", _with("biases")),
    Toy(
        "qwen2moe",
        "qwen2moe",
        "qwen2",
        _with("biases", "shared", "shared-gate"),
        _MOE | {"expert_shared_feed_forward_length": 32},
        experts=4,
    ),
    Toy("qwen2vl", "qwen2vl", "qwen2", _with("biases"), {"rope.dimension_sections": [2, 3, 3, 0]}),
    Toy("qwen3", "qwen3", "qwen2", _with("qk-norms", "tied"), head=24),
    Toy("qwen3moe", "qwen3moe", "qwen2", _with("qk-norms"), _MOE, head=24, experts=4),
    Toy("llama-2", "llama", kv_heads=4),
    Toy("llama-3", "llama", "llama-bpe", _with("rope-factors", "tied")),
    Toy(
        "llama-4",
        "llama4",
        "llama4",
        _with("shared"),
        {"expert_used_count": 1, "expert_feed_forward_length": 32, "interleave_moe_layer_step": 1},
        layers=4,
        experts=16,
    ),
    Toy("mllama", "mllama", "llama-bpe"),
    Toy(
        "deepseek-v2-lite",
        "deepseek2",
        "deepseek-llm",
        _with("latent", "shared"),
        _LATENT,
        layers=27,  # that many mean to llama.cpp that queries are not compressed
        kv_heads=1,
        experts=4,
    ),
    Toy(
        "deepseek-v3",
        "deepseek2",
        "deepseek-v3",
        _with("latent", "query-latent", "shared", "expert-biases"),
        _LATENT
        | {
            "attention.q_lora_rank": 24,
            "expert_gating_func": 2,
            "expert_weights_norm": True,
            "expert_weights_scale": 2.5,
        },
        layers=3,
        kv_heads=1,
        experts=4,
    ),
    Toy("mistral-7b", "llama"),
    Toy("mistral-nemo", "llama", "tekken", head=24),
    Toy("mixtral", "llama", None, _with(), {"expert_used_count": 2}, experts=8),
    Toy("yi", "llama"),
    Toy("internlm2", "internlm2"),
    Toy("baichuan-7b", "baichuan", kv_heads=4),
    # Forty layers mean to llama.cpp that distance biases attention, where the others rotate.
    Toy("baichuan-13b", "baichuan", layers=40, kv_heads=4),
    Toy("falcon-7b", "falcon", "falcon", _with("fused", "layer-norms", "tied"), kv_heads=1),
    Toy("falcon-40b", "falcon", "falcon", _with("fused", "layer-norms", "two-norms")),
    Toy("falcon3", "llama", "falcon3"),
    Toy(
        "gemma2",
        "gemma2",
        None,
        _with("tied", "post-norms", "no-space"),
        {
            "attention.sliding_window": 8,
            "attn_logit_softcapping": 50.0,
            "final_logit_softcapping": 30.0,
        },
        head=24,
    ),
    Toy(
        "gemma3",
        "gemma3",
        None,
        _with("tied", "post-norms", "qk-norms", "no-space"),
        {"attention.sliding_window": 8},
        layers=6,  # the sixth looks at everything
        head=24,
    ),
)
