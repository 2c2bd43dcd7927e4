"""Tiny random models in the real tensor layout of each architecture that the catalogue names.

    python -m tools.families.toys --out FOLDER [NAME ...]

Owns: the table of toys; which tensors and keys an architecture has.
Must not: train, or know chat templates: the weights are noise and say noise.
"""

import argparse
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import gguf
import numpy as np

from tools.families.vocabularies import size_of, write_vocabulary

T = gguf.MODEL_TENSOR
Key: TypeAlias = int | float | bool | list[int]
Shape: TypeAlias = tuple[int, ...]
CONTEXT = 512


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
_RMS = {"attention.layer_norm_rms_epsilon": 1e-6}

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


def write_toy(toy: Toy, path: Path, seed: int = 0, kind: str = "F32") -> Path:
    """Write a toy as GGUF; the same toy and seed are always the same file. Return the path."""
    return write_file(toy, tensors_of(toy), path, seed, kind=kind)


def write_file(
    toy: Toy,
    tensors: Mapping[str, Shape],
    path: Path,
    seed: int = 0,
    more: Callable[[Any], None] = lambda _writer: None,
    *,
    kind: str = "F32",
) -> Path:
    """Write a toy that has these tensors; `more` adds keys. Return the path.

    Matrices are stored as `kind` (`Q4_0`, `Q8_0`), where it is not `F32`.
    """
    writer = gguf.GGUFWriter(str(path), toy.architecture)
    writer.add_name(f"toy-{toy.name}")
    _write_keys(writer, toy)
    write_vocabulary(writer, toy.pre, space_first="no-space" not in toy.parts)
    more(writer)
    chance = np.random.default_rng(zlib.crc32(toy.name.encode()) + seed)
    for name, shape in tensors.items():
        values, stored = _values(toy, name, shape, chance), gguf.GGMLQuantizationType[kind]
        if len(shape) > 1 and "gate_inp" not in name and kind != "F32":
            writer.add_tensor(name, gguf.quants.quantize(values, stored), raw_dtype=stored)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def tensors_of(toy: Toy) -> dict[str, Shape]:
    """Return the tensors of a toy with their shapes, rows first."""
    words = size_of(toy.pre)
    found = {weight(T.TOKEN_EMBD): (words, toy.width), **_norm(toy, T.OUTPUT_NORM)}
    if "tied" not in toy.parts:
        found[weight(T.OUTPUT)] = (words, toy.width)
    if "rope-factors" in toy.parts:
        found[weight(T.ROPE_FREQS)] = (toy.head // 2,)
    for layer in range(toy.layers):
        found |= dict((*_attention(toy, layer), *_forward(toy, layer)))
    return found


def _attention(toy: Toy, layer: int) -> Iterator[tuple[str, Shape]]:
    queries, keys = toy.heads * toy.head, toy.kv_heads * toy.head
    yield from _norm(toy, T.ATTN_NORM, layer).items()
    if "two-norms" in toy.parts:
        yield from _norm(toy, T.ATTN_NORM_2, layer).items()
    if "post-norms" in toy.parts:
        yield from _norm(toy, T.ATTN_POST_NORM, layer).items()
    if "latent" in toy.parts:
        yield from _latent_attention(toy, layer)
        return
    if "fused" in toy.parts:
        yield weight(T.ATTN_QKV, layer), (queries + 2 * keys, toy.width)
    else:
        for tensor, rows in ((T.ATTN_Q, queries), (T.ATTN_K, keys), (T.ATTN_V, keys)):
            yield weight(tensor, layer), (rows, toy.width)
            if "biases" in toy.parts:
                yield bias(tensor, layer), (rows,)
    if "qk-norms" in toy.parts:
        yield weight(T.ATTN_Q_NORM, layer), (toy.head,)
        yield weight(T.ATTN_K_NORM, layer), (toy.head,)
    yield weight(T.ATTN_OUT, layer), (toy.width, queries)


def _latent_attention(toy: Toy, layer: int) -> Iterator[tuple[str, Shape]]:
    keys = {name: value for name, value in toy.keys.items() if type(value) is int}
    rank, turned = keys["attention.kv_lora_rank"], keys["rope.dimension_count"]
    key, value = keys["attention.key_length_mla"], keys["attention.value_length_mla"]
    if "query-latent" in toy.parts:
        short = keys["attention.q_lora_rank"]
        yield weight(T.ATTN_Q_A, layer), (short, toy.width)
        yield weight(T.ATTN_Q_A_NORM, layer), (short,)
        yield weight(T.ATTN_Q_B, layer), (toy.heads * key, short)
    else:
        yield weight(T.ATTN_Q, layer), (toy.heads * key, toy.width)
    yield weight(T.ATTN_KV_A_MQA, layer), (rank + turned, toy.width)
    yield weight(T.ATTN_KV_A_NORM, layer), (rank,)
    yield weight(T.ATTN_K_B, layer), (toy.heads, rank, key - turned)
    yield weight(T.ATTN_V_B, layer), (toy.heads, value, rank)
    yield weight(T.ATTN_OUT, layer), (toy.width, toy.heads * value)


def _forward(toy: Toy, layer: int) -> Iterator[tuple[str, Shape]]:
    if "layer-norms" not in toy.parts:  # Falcon's block has one norm for both halves
        yield weight(T.FFN_NORM, layer), (toy.width,)
    if "post-norms" in toy.parts:
        yield weight(T.FFN_POST_NORM, layer), (toy.width,)
    if toy.experts and layer >= int(str(toy.keys.get("leading_dense_block_count", 0))):
        yield from _experts(toy, layer)
        return
    if "layer-norms" not in toy.parts:
        yield weight(T.FFN_GATE, layer), (toy.hidden, toy.width)
    yield weight(T.FFN_UP, layer), (toy.hidden, toy.width)
    yield weight(T.FFN_DOWN, layer), (toy.width, toy.hidden)


def _experts(toy: Toy, layer: int) -> Iterator[tuple[str, Shape]]:
    hidden = int(str(toy.keys.get("expert_feed_forward_length", toy.hidden)))
    yield weight(T.FFN_GATE_INP, layer), (toy.experts, toy.width)
    yield weight(T.FFN_GATE_EXP, layer), (toy.experts, hidden, toy.width)
    yield weight(T.FFN_UP_EXP, layer), (toy.experts, hidden, toy.width)
    yield weight(T.FFN_DOWN_EXP, layer), (toy.experts, toy.width, hidden)
    if "expert-biases" in toy.parts:
        yield bias(T.FFN_EXP_PROBS_B, layer), (toy.experts,)
    if "shared" in toy.parts:
        yield weight(T.FFN_GATE_SHEXP, layer), (hidden, toy.width)
        yield weight(T.FFN_UP_SHEXP, layer), (hidden, toy.width)
        yield weight(T.FFN_DOWN_SHEXP, layer), (toy.width, hidden)
    if "shared-gate" in toy.parts:
        yield weight(T.FFN_GATE_INP_SHEXP, layer), (toy.width,)


def _norm(toy: Toy, tensor: Any, layer: int = 0) -> dict[str, Shape]:
    found: dict[str, Shape] = {weight(tensor, layer): (toy.width,)}
    if "layer-norms" in toy.parts:
        found[bias(tensor, layer)] = (toy.width,)
    return found


def weight(tensor: Any, layer: int = 0) -> str:
    """Return the name of a tensor's weights."""
    return f"{gguf.TENSOR_NAMES[tensor].format(bid=layer)}.weight"


def bias(tensor: Any, layer: int = 0) -> str:
    """Return the name of a tensor's biases."""
    return f"{gguf.TENSOR_NAMES[tensor].format(bid=layer)}.bias"


def _write_keys(writer: Any, toy: Toy) -> None:
    norm = "attention.layer_norm_epsilon" if "layer-norms" in toy.parts else next(iter(_RMS))
    own: dict[str, Key] = {
        "context_length": CONTEXT,
        "embedding_length": toy.width,
        "block_count": toy.layers,
        "feed_forward_length": toy.hidden,
        "attention.head_count": toy.heads,
        "attention.head_count_kv": toy.kv_heads,
        "attention.key_length": toy.head,
        "attention.value_length": toy.head,
        "rope.dimension_count": toy.head,
        "rope.freq_base": 10_000.0,
        norm: 1e-6,
    }
    if toy.experts:
        own["expert_count"] = toy.experts
    for name, value in (own | dict(toy.keys)).items():
        key = f"{toy.architecture}.{name}"
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        elif isinstance(value, float):
            writer.add_float32(key, value)
        else:
            writer.add_array(key, value)


def _values(toy: Toy, name: str, shape: Shape, chance: np.random.Generator) -> Any:
    """Return noise that keeps its size from layer to layer.

    It is not rounded to f16, which would round activations too: experts that are as good as equal
    would change places with the size of the batch.
    """
    noise = chance.standard_normal(shape)
    tied = "tied" in toy.parts
    if name.endswith(".ssm_a"):  # states fade
        return -(1 + np.abs(noise)).astype(np.float32)
    if len(shape) == 1:
        middle = 5.0 if tied and name == weight(T.OUTPUT_NORM) else 1.0
        middle = 0.0 if name.endswith(".bias") else middle
        return (middle + 0.1 * noise).astype(np.float32)
    spread = 1.5 / np.sqrt(shape[-1])
    if name == weight(T.TOKEN_EMBD):
        # Where the last matrix is the first one, every large word would call for itself.
        spread = 0.1 if tied else 1.0
    elif "attn_output" in name or "ffn_down" in name:
        spread *= np.sqrt(2 / toy.layers)  # many layers would make much of any rounding
    return (spread * noise).astype(np.float32)


def main() -> None:
    """Write the toys that are named, or all."""
    parser = argparse.ArgumentParser(description="Write tiny random models, one a family.")
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *(t.name for t in TOYS)])
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    for toy in TOYS:
        if toy.name in asked.names or not asked.names:
            print(write_toy(toy, asked.out / f"{toy.name}.gguf"))


if __name__ == "__main__":
    main()
