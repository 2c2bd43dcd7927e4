"""Tiny random models that make vectors or ranks of texts, in their real tensor layout.

    python -m tools.families.pooled_toys --out FOLDER

Owns: the table of them; encoders' layers, the heads that ranks come from.
Must not: know the layers of models that generate (`toys`).
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import gguf

from tools.families.toy_files import CONTEXT, write_file
from tools.families.toy_tensors import Shape, bias, tensors_of, weight
from tools.families.toys import Toy
from tools.families.vocabularies import size_of

T = gguf.MODEL_TENSOR
_MEAN, _CLS, _LAST, _RANK = 1, 2, 3, 4

# The words of Qwen3-Reranker's own template between the marks of our small vocabulary.
_RANK_TEMPLATE = (
    "<|begin|>system\nJudge the Document.<|turn|>\n"
    "<|begin|>user\n<Query>: {query}\n<Document>: {document}<|turn|>\n<|begin|>assistant\n"
)


@dataclass(frozen=True, slots=True)
class PooledToy:
    """A toy, and what it has beside layers.

    `scores` is how many numbers its rank head gives, 0 where it has none. `template` is how it
    reads a query and a document; `ends` whether a text ends with a token of its own.
    """

    toy: Toy
    scores: int = 0
    template: str | None = None
    ends: bool = False

    @property
    def is_encoder(self) -> bool:
        """Whether its tokens see those behind them too."""
        return self.toy.keys.get("attention.causal") is False


def _encoder(name: str, architecture: str, pooling: int, *parts: str) -> Toy:
    keys = {"attention.causal": False, "pooling_type": pooling}
    names = frozenset({"layer-norms", *parts})
    return Toy(name, architecture, "bert", names, keys, kv_heads=4)


def _decoder(name: str, pooling: int) -> Toy:
    parts = frozenset({"qk-norms", "tied"})
    return Toy(name, "qwen3", "qwen2", parts, {"pooling_type": pooling}, head=24)


BERT = PooledToy(_encoder("bert", "bert", _CLS, "positions"))
NOMIC = PooledToy(_encoder("nomic", "nomic-bert", _MEAN, "fused", "gate"))
MODERN_BERT = PooledToy(
    replace(
        _encoder("modern-bert", "modern-bert", _CLS, "modern"),
        layers=4,  # the first and the fourth look at everything
        keys={"attention.causal": False, "pooling_type": _CLS, "attention.sliding_window": 8},
    )
)
BERT_RERANKER = PooledToy(_encoder("bert-reranker", "bert", _RANK, "positions"), scores=1)
QWEN3_EMBEDDING = PooledToy(_decoder("qwen3-embedding", _LAST), ends=True)
QWEN3_RERANKER = PooledToy(_decoder("qwen3-reranker", _RANK), scores=2, template=_RANK_TEMPLATE)
POOLED_TOYS = (BERT, NOMIC, MODERN_BERT, BERT_RERANKER, QWEN3_EMBEDDING, QWEN3_RERANKER)


def write_pooled_toy(pooled: PooledToy, path: Path, seed: int = 0) -> Path:
    """Write a toy as GGUF; the same toy and seed are always the same file. Return the path."""
    toy = pooled.toy
    tensors = _layers(pooled) | dict(_head(pooled))
    return write_file(toy, tensors, path, seed, partial(_write_more, pooled))


def _layers(pooled: PooledToy) -> dict[str, Shape]:
    if not pooled.is_encoder:
        return tensors_of(pooled.toy)
    modern = "modern" in pooled.toy.parts
    return dict(_modern_tensors(pooled.toy) if modern else _encoder_tensors(pooled.toy))


def _encoder_tensors(toy: Toy) -> Iterator[tuple[str, Shape]]:
    yield weight(T.TOKEN_EMBD), (size_of(toy.pre), toy.width)
    yield weight(T.TOKEN_TYPES), (2, toy.width)
    if "positions" in toy.parts:
        yield weight(T.POS_EMBD), (CONTEXT, toy.width)
    yield from _both(T.TOKEN_EMBD_NORM, 0, toy.width)
    for layer in range(toy.layers):
        yield from _attention(toy, layer)
        yield from _both(T.ATTN_OUT_NORM, layer, toy.width)
        if "gate" in toy.parts:
            yield weight(T.FFN_GATE, layer), (toy.hidden, toy.width)
        yield weight(T.FFN_UP, layer), (toy.hidden, toy.width)
        yield weight(T.FFN_DOWN, layer), (toy.width, toy.hidden)
        yield from _both(T.LAYER_OUT_NORM, layer, toy.width)


def _modern_tensors(toy: Toy) -> Iterator[tuple[str, Shape]]:
    """Return ModernBERT's: norms before each half and no biases, gates beside what they gate."""
    yield weight(T.TOKEN_EMBD), (size_of(toy.pre), toy.width)
    yield weight(T.TOKEN_EMBD_NORM), (toy.width,)
    yield weight(T.OUTPUT_NORM), (toy.width,)
    for layer in range(toy.layers):
        if layer:
            yield weight(T.ATTN_NORM, layer), (toy.width,)
        yield weight(T.ATTN_QKV, layer), (3 * toy.width, toy.width)
        yield weight(T.ATTN_OUT, layer), (toy.width, toy.width)
        yield weight(T.FFN_NORM, layer), (toy.width,)
        yield weight(T.FFN_UP, layer), (2 * toy.hidden, toy.width)
        yield weight(T.FFN_DOWN, layer), (toy.width, toy.hidden)


def _attention(toy: Toy, layer: int) -> Iterator[tuple[str, Shape]]:
    square = (toy.width, toy.width)
    if "fused" in toy.parts:
        yield weight(T.ATTN_QKV, layer), (3 * toy.width, toy.width)
    else:
        for tensor in (T.ATTN_Q, T.ATTN_K, T.ATTN_V):
            yield weight(tensor, layer), square
            yield bias(tensor, layer), (toy.width,)
    yield weight(T.ATTN_OUT, layer), square


def _both(tensor: Any, layer: int, width: int) -> Iterator[tuple[str, Shape]]:
    yield weight(tensor, layer), (width,)
    yield bias(tensor, layer), (width,)


def _head(pooled: PooledToy) -> Iterator[tuple[str, Shape]]:
    if not pooled.scores:
        return
    width = pooled.toy.width
    if pooled.is_encoder:
        yield weight(T.CLS), (width, width)
        yield bias(T.CLS), (width,)
        yield bias(T.CLS_OUT), (pooled.scores,)
    yield weight(T.CLS_OUT), (pooled.scores, width)


def _write_more(pooled: PooledToy, writer: Any) -> None:
    if pooled.ends:
        writer.add_add_eos_token(True)
    if pooled.template is not None:
        writer.add_chat_template([{"name": "rerank", "template": pooled.template}])
    if pooled.scores > 1:
        labels = ("yes", "no", "perhaps")
        writer.add_classifier_output_labels(labels[: pooled.scores])


def main() -> None:
    """Write all of them."""
    parser = argparse.ArgumentParser(description="Write tiny random models that pool.")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    for pooled in POOLED_TOYS:
        print(write_pooled_toy(pooled, folder / f"{pooled.toy.name}.gguf"))


if __name__ == "__main__":
    main()
