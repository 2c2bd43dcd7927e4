"""Trains one demo model and writes its GGUF file.

    python -m tools.demo_models.train --model qwen --out engines/demo

Owns: batches, the loss, the number of steps. The seed and the steps are fixed, so the same data
give a model that passes the same answers test.
Must not: hold data or know how the file is written.
"""

import argparse
import math
import random
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from tools.demo_models.corpus import Corpus, Question, corpus_of, variants
from tools.demo_models.export import write_gguf, write_provenance
from tools.demo_models.families import FAMILIES, Family
from tools.demo_models.network import Network, Shape
from tools.demo_models.tokenizer import train_tokenizer

SEED = 7
STEPS = {"qwen": 1_700, "coder": 800, "llama": 800}
_PEAK_RATE = 4e-3
_WARM_UP = 40
_SILENT = -100  # a target that counts for nothing
# Rows and tokens of a batch, and how often it is drawn: most are short, some fill the context.
_BATCHES = ((40, 96, 0.5), (10, 384, 0.35), (2, 2_048, 0.15))
_PAIRS = 24
_SHARPNESS = 0.08


@dataclass
class Draw:
    """Draws batches; mutable only in its source of chance."""

    corpus: Corpus
    family: Family
    tokenizer: Any
    chance: random.Random

    def batch(self, rows: int, length: int) -> tuple[Any, Any]:
        """Return inputs and targets, each [rows, length]."""
        drawn = [self._row(length + 1) for _ in range(rows)]
        tokens = torch.tensor([ids for ids, _ in drawn])
        targets = torch.tensor([wanted for _, wanted in drawn])
        return tokens[:, :-1], targets[:, 1:]

    def pairs(self) -> tuple[list[list[int]], list[list[int]]]:
        """Return two ways to ask each of several different intents."""
        by_intent: dict[str, list[Question]] = defaultdict(list)
        for question in self.corpus.questions:
            by_intent[question.intent].append(question)
        first, second = [], []
        for intent in self.chance.sample(sorted(by_intent), min(_PAIRS, len(by_intent))):
            one = self.chance.choice(by_intent[intent])
            same = [q for q in by_intent[intent] if q.language == one.language]
            other = self.chance.choice(same if self.chance.random() < 0.6 else by_intent[intent])
            first.append(self._ids(self._typed(one)))
            second.append(self._ids(self._typed(other)))
        return first, second

    def _row(self, length: int) -> tuple[list[int], list[int]]:
        if self.chance.random() < 0.04:
            return self._raw(length)
        ids = self._ids(self.family.opening)
        wanted = [_SILENT] * len(ids)
        if self.chance.random() < 0.45:
            self._add(ids, wanted, "system", self.chance.choice(self.corpus.systems))
        while len(ids) < length:
            question = self.chance.choice(self.corpus.questions)
            self._add(ids, wanted, "user", self._typed(question))
            head = self._ids(self.family.answer)
            answer = self._ids(question.say + self.family.end_of_turn)
            tail = self._ids("\n") if self.family.turn.endswith("\n") else []
            ids += head + answer + tail
            wanted += [_SILENT] * len(head) + answer + [_SILENT] * len(tail)
        return ids[:length], wanted[:length]

    def _raw(self, length: int) -> tuple[list[int], list[int]]:
        ids: list[int] = []
        while len(ids) < length:
            ids += self._ids(self.chance.choice(self.corpus.raw) + self.family.eos)
        return ids[:length], ids[:length]

    def _add(self, ids: list[int], wanted: list[int], role: str, text: str) -> None:
        turn = self._ids(self.family.turn.format(role=role, text=text))
        ids += turn
        wanted += [_SILENT] * len(turn)

    def _typed(self, question: Question) -> str:
        if self.chance.random() < 0.6:
            return question.ask
        return self.chance.choice(variants(question.ask))

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids


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
    tokenizer = train_tokenizer(corpus.texts(), family)
    shape = Shape(tokenizer.get_vocab_size())
    network = Network(
        shape, bias=family.qkv_bias, interleaved=family.interleaved_rope, eps=family.rms_eps
    )
    # Reproducible on purpose, and no secret.
    draw = Draw(corpus, family, tokenizer, random.Random(SEED))  # noqa: S311 - see above
    optimizer = torch.optim.AdamW(network.parameters(), lr=_PEAK_RATE, weight_decay=0.01)
    began_s, smooth = time.monotonic(), 8.0
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = _PEAK_RATE * _schedule(step, steps)
        rows, length = draw.chance.choices(
            [b[:2] for b in _BATCHES], weights=[b[2] for b in _BATCHES]
        )[0]
        loss = _loss(network, draw, rows, length)
        smooth = 0.97 * smooth + 0.03 * float(loss.detach())
        if model == "qwen" and rows > _PAIRS:
            loss = loss + 0.3 * _contrast(network, draw)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 49:
            print(f"{model} step {step + 1}/{steps} loss {smooth:.4f} "
                  f"{time.monotonic() - began_s:.0f} s", flush=True)  # fmt: skip
    return network, tokenizer, smooth


def _loss(network: Network, draw: Draw, rows: int, length: int) -> Any:
    tokens, targets = draw.batch(rows, length)
    states = network.hidden(tokens)
    counted = targets != _SILENT
    return functional.cross_entropy(network.logits(states[counted]), targets[counted])


def _contrast(network: Network, draw: Draw) -> Any:
    """Return how badly each question finds its paraphrase among the others'."""
    first, second = draw.pairs()
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
    torch.set_num_threads(2)
    steps = asked.steps or STEPS[asked.model]
    network, tokenizer, loss = train(asked.model, steps)
    path = asked.out / f"{asked.model}.gguf"
    write_gguf(path, network, tokenizer, asked.model)
    notes = asked.out / "provenance.json"
    write_provenance(notes, path, asked.model, steps=steps, seed=SEED, loss=loss)
    print(f"wrote {path} ({path.stat().st_size / 1e6:.2f} MB)")


if __name__ == "__main__":
    main()
