"""The states that a model has for each token, from which vectors and ranks are reckoned anew.

BERT's are reckoned in numpy alone, from the tensors of the file; others by llama.cpp without
pooling, one text at a time.
"""

from pathlib import Path
from typing import Any

import gguf
import llama_cpp as native
import numpy as np
import numpy.typing as npt

from engines.llamacpp.batches import Batch, Piece
from engines.llamacpp.binding import Limits, Runtime

Floats = npt.NDArray[np.float32]
_HEADS = 4
LIMITS = Limits(context=512, cells=512, parallel=1, batch_tokens=512, threads=1, batch_threads=1)


def tensors_in(weights: Path) -> dict[str, Floats]:
    return {tensor.name: np.array(tensor.data) for tensor in gguf.GGUFReader(weights).tensors}


def states_of(weights: Path, tokens: list[int]) -> Floats:
    """Return the last states of a text's tokens [tokens, width]."""
    tensors = tensors_in(weights)
    if "position_embd.weight" in tensors:
        return _encoded(tensors, tokens)
    runtime = Runtime(weights, LIMITS, 0, generates=False)
    params = runtime.context_params(LIMITS.cells, LIMITS.batch_tokens, 1)
    params.embeddings = True
    params.pooling_type = native.LLAMA_POOLING_TYPE_NONE
    context = runtime.new_context(params)
    batch = Batch(LIMITS.batch_tokens)
    filled = batch.fill([Piece(0, 0, tokens, wanted=True)], all_wanted=True)
    assert native.llama_decode(context, filled) == 0
    shape = (len(tokens), native.llama_model_n_embd(runtime.model))
    states = np.array(np.ctypeslib.as_array(native.llama_get_embeddings(context), shape=shape))
    native.llama_free(context)
    runtime.close()
    return states


def _encoded(tensors: dict[str, Floats], tokens: list[int]) -> Floats:
    """Return what BERT makes of a text: each token sees all of them."""
    words, places = tensors["token_embd.weight"], tensors["position_embd.weight"]
    states = words[tokens] + places[: len(tokens)] + tensors["token_types.weight"][0]
    states = _norm(tensors, "token_embd_norm", states)
    layer = 0
    while f"blk.{layer}.attn_q.weight" in tensors:
        block = f"blk.{layer}"
        states = _norm(tensors, f"{block}.attn_output_norm", states + _seen(tensors, block, states))
        hidden = _gelu(states @ tensors[f"{block}.ffn_up.weight"].T)
        made = hidden @ tensors[f"{block}.ffn_down.weight"].T
        states = _norm(tensors, f"{block}.layer_output_norm", states + made)
        layer += 1
    return states


def _seen(tensors: dict[str, Floats], block: str, states: Floats) -> Floats:
    parts = []
    for name in ("attn_q", "attn_k", "attn_v"):
        part = states @ tensors[f"{block}.{name}.weight"].T + tensors[f"{block}.{name}.bias"]
        parts.append(part.reshape(len(states), _HEADS, -1).transpose(1, 0, 2))
    queries, keys, values = parts
    weights = softmax(queries @ keys.transpose(0, 2, 1) / np.sqrt(queries.shape[-1]))
    joined = (weights @ values).transpose(1, 0, 2).reshape(states.shape)
    told: Floats = joined @ tensors[f"{block}.attn_output.weight"].T
    return told


def softmax(values: Any) -> Any:
    grown = np.exp(values - values.max(axis=-1, keepdims=True))
    return grown / grown.sum(axis=-1, keepdims=True)


def _norm(tensors: dict[str, Floats], name: str, states: Floats) -> Floats:
    middle = states - states.mean(axis=-1, keepdims=True)
    spread = np.sqrt((middle**2).mean(axis=-1, keepdims=True) + 1e-6)
    told: Floats = middle / spread * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]
    return told


def _gelu(values: Any) -> Any:
    return values / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (values + 0.044715 * values**3)))
