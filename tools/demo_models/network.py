"""A small decoder with the exact arithmetic of llama.cpp's `qwen2` and `llama` graphs.

Owns: the network. Must not: know data or files.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes: `width` is the embedding's, `hidden` the feed-forward's."""

    vocabulary: int
    context: int
    width: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    hidden: int = 384
    rope_base: float = 10_000.0

    @property
    def head(self) -> int:
        """Return the width of one head."""
        return self.width // self.heads


class _Norm(nn.Module):  # type: ignore[misc]  # torch is untyped here
    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Any) -> Any:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


class _Block(nn.Module):  # type: ignore[misc]  # torch is untyped here
    def __init__(self, shape: Shape, *, bias: bool, interleaved: bool, eps: float) -> None:
        super().__init__()
        kv_width = shape.kv_heads * shape.head
        self.shape, self.interleaved = shape, interleaved
        self.attn_norm, self.ffn_norm = _Norm(shape.width, eps), _Norm(shape.width, eps)
        self.attn_q = nn.Linear(shape.width, shape.width, bias=bias)
        self.attn_k = nn.Linear(shape.width, kv_width, bias=bias)
        self.attn_v = nn.Linear(shape.width, kv_width, bias=bias)
        self.attn_output = nn.Linear(shape.width, shape.width, bias=False)
        self.ffn_gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.ffn_up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.ffn_down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Any, cos: Any, sin: Any) -> Any:
        batch, length, _ = x.shape
        shape = self.shape

        def heads(y: Any, count: int) -> Any:
            return y.view(batch, length, count, shape.head).transpose(1, 2)

        normed = self.attn_norm(x)
        q = self._rotate(heads(self.attn_q(normed), shape.heads), cos, sin)
        k = self._rotate(heads(self.attn_k(normed), shape.kv_heads), cos, sin)
        v = heads(self.attn_v(normed), shape.kv_heads)
        groups = shape.heads // shape.kv_heads
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn_output(mixed.transpose(1, 2).reshape(batch, length, shape.width))
        normed = self.ffn_norm(x)
        return x + self.ffn_down(functional.silu(self.ffn_gate(normed)) * self.ffn_up(normed))

    def _rotate(self, x: Any, cos: Any, sin: Any) -> Any:
        if self.interleaved:  # Llama: neighbours are pairs
            a, b = x[..., 0::2], x[..., 1::2]
            return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)
        a, b = x.chunk(2, -1)  # Qwen: halves are pairs
        return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)


class Network(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """Tied embeddings, grouped-query attention, SwiGLU. Parameters carry GGUF's names."""

    def __init__(self, shape: Shape, *, bias: bool, interleaved: bool, eps: float) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocabulary, shape.width)
        self.blk = nn.ModuleList(
            _Block(shape, bias=bias, interleaved=interleaved, eps=eps) for _ in range(shape.layers)
        )
        self.output_norm = _Norm(shape.width, eps)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                nn.init.normal_(weight, std=0.02 if "embd" in name else weight.shape[1] ** -0.5)

    def hidden(self, tokens: Any) -> Any:
        """Return the final, normed states: tokens [batch, length] -> [batch, length, width]."""
        half = torch.arange(0, self.shape.head, 2) / self.shape.head
        angles = torch.outer(torch.arange(tokens.shape[1]), self.shape.rope_base**-half)
        cos, sin = angles.cos(), angles.sin()
        x = self.token_embd(tokens)
        for block in self.blk:
            x = block(x, cos, sin)
        return self.output_norm(x)

    def logits(self, states: Any) -> Any:
        """Return the scores of the next token: states [..., width] -> [..., vocabulary]."""
        return states @ self.token_embd.weight.T
