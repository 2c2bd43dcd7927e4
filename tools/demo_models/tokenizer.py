"""A byte-level BPE tokenizer that llama.cpp reads the same way.

Owns: training it. Must not: know the network.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from tools.demo_models.families import Family

VOCABULARY = 2_048


def train_tokenizer(texts: Iterable[str], family: Family) -> Any:
    """Return a tokenizer of `VOCABULARY` ids: 256 bytes first, special tokens last."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=family.pre == "llama-bpe"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(family.split), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(family.special),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(
        [AddedToken(text, special=True, normalized=False) for text in family.special]
    )
    return tokenizer


def vocabulary_of(tokenizer: Any) -> tuple[list[str], list[str]]:
    """Return the tokens by id, special ones left out, and the merges, as GGUF writes them."""
    model = msgspec.json.decode(tokenizer.to_str())["model"]
    vocabulary: dict[str, int] = model["vocab"]
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    return tokens, [" ".join(pair) for pair in model["merges"]]
