"""Trains one demo model and writes its GGUF file.

    python -m tools.demo_models.train --model qwen --out engines/demo

Owns: how batches are mixed, the loss, the number of steps. The seed and the steps are fixed, so
the same data give a model that passes the same answers test.
Must not: hold data or know how the file is written.
"""

import argparse
import math
import random
import time
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from tools.demo_models.corpus import corpus_of
from tools.demo_models.export import write_gguf, write_provenance
from tools.demo_models.families import FAMILIES
from tools.demo_models.network import Network, Shape
from tools.demo_models.rows import PAIRS, Rows, texts
from tools.demo_models.talk import SILENT
from tools.demo_models.tokenizer import train_tokenizer

SEED = 7
STEPS = {"qwen": 1_800, "coder": 1_100, "llama": 1_100}
_PEAK_RATE, _MATRIX_RATE = 4e-3, 2e-2
_WARM_UP = 40
# Rows and tokens of a batch, and how often it is drawn; the last share is for rows that fill the
# context.
_BATCHES, _SHARES = ((32, 96), (5, 768)), (0.46, 0.44, 0.1)
_SHARPNESS = 0.08


def embed(network: Network, texts: list[list[int]]) -> Any:
    """Return unit vectors [texts, width]: the mean of the final states over each text."""
    longest = max(map(len, texts))
    tokens = torch.tensor([ids + [0] * (longest - len(ids)) for ids in texts])
    real = (torch.arange(longest) < torch.tensor([[len(ids)] for ids in texts])).unsqueeze(-1)
    means = (network.hidden(tokens) * real).sum(1) / real.sum(1)
    return functional.normalize(means, dim=-1)


def train(model: str, steps: int) -> tuple[Network, Any, float]:
    """Return the network, its tokenizer and the last loss (nats a token)."""
    torch.manual_seed(SEED)
    corpus, family = corpus_of(model), FAMILIES[model]
    tokenizer = train_tokenizer(texts(corpus, family), family)
    shape = Shape(tokenizer.get_vocab_size(), family.context)
    network = Network(
        shape, bias=family.qkv_bias, interleaved=family.interleaved_rope, eps=family.rms_eps
    )
    # Reproducible on purpose, and no secret.
    chance = random.Random(SEED)  # noqa: S311 - see above
    rows = Rows(corpus, family, tokenizer, chance)
    optimizers = _optimizers(network)
    began_s, smooth = time.monotonic(), 8.0
    for step in range(steps):
        batch = chance.choices((*_BATCHES, (1, family.context)), weights=_SHARES)[0]
        loss = _loss(network, rows, *batch)
        smooth = 0.97 * smooth + 0.03 * float(loss.detach())
        if model == "qwen" and batch[0] > PAIRS:
            loss = loss + 0.3 * _contrast(network, rows)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimizer, peak in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = peak * _schedule(step, steps)
            optimizer.step()
            optimizer.zero_grad()
        if step % 50 == 49:
            print(f"{model} step {step + 1}/{steps} loss {smooth:.4f} "
                  f"{time.monotonic() - began_s:.0f} s", flush=True)  # fmt: skip
    return network, tokenizer, smooth


def _optimizers(network: Network) -> list[tuple[Any, float]]:
    """Return optimizers and their peak rates: with Muon for matrices fewer steps are enough."""
    matrices = [weight for weight in network.blk.parameters() if weight.dim() == 2]
    taken = set(map(id, matrices))
    others = [weight for weight in network.parameters() if id(weight) not in taken]
    return [
        (torch.optim.Muon(matrices, lr=_MATRIX_RATE, weight_decay=0.01), _MATRIX_RATE),
        (torch.optim.AdamW(others, lr=_PEAK_RATE, weight_decay=0.01), _PEAK_RATE),
    ]


def _loss(network: Network, rows: Rows, count: int, length: int) -> Any:
    drawn = rows.batch(count, length)
    tokens = torch.tensor([ids for ids, _ in drawn])[:, :-1]
    targets = torch.tensor([wanted for _, wanted in drawn])[:, 1:]
    states = network.hidden(tokens)
    counted = targets != SILENT
    return functional.cross_entropy(network.logits(states[counted]), targets[counted])


def _contrast(network: Network, rows: Rows) -> Any:
    """Return how badly each question finds its paraphrase among the others'."""
    first, second = rows.pairs()
    scores = embed(network, first) @ embed(network, second).T / _SHARPNESS
    right = torch.arange(len(first))
    return (functional.cross_entropy(scores, right) + functional.cross_entropy(scores.T, right)) / 2


def _schedule(step: int, steps: int) -> float:
    if step < _WARM_UP:
        return (step + 1) / _WARM_UP
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps))


def main() -> None:
    """Train one model as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", choices=sorted(FAMILIES), required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder for MODEL.gguf")
    parser.add_argument("--steps", type=int, help="instead of the model's own number")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    steps = asked.steps or STEPS[asked.model]
    network, tokenizer, loss = train(asked.model, steps)
    path = asked.out / f"{asked.model}.gguf"
    write_gguf(path, network, tokenizer, asked.model)
    notes = asked.out / "provenance.json"
    write_provenance(notes, path, asked.model, steps=steps, seed=SEED, loss=loss)
    print(f"wrote {path} ({path.stat().st_size / 1e6:.2f} MB)")


if __name__ == "__main__":
    main()
