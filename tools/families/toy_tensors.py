"""Which tensors a toy has, under the names and in the layout of its real architecture.

Owns: names and shapes. Must not: fill them, or know a particular toy.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import gguf

from tools.families.toys import Toy
from tools.families.vocabularies import size_of

T = gguf.MODEL_TENSOR
Shape: TypeAlias = tuple[int, ...]


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
