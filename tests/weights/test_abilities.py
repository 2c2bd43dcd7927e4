"""What a file can be asked for, by its header and by what people say."""

from pathlib import Path

import pytest

from engines.weights import GgufHeader, abilities_of, read_header
from tests.support.gguf_files import GgufFile, flag, number, string, tensor
from tools.families.pooled_toys import POOLED_TOYS, PooledToy, write_pooled_toy

CHAT = GgufHeader("qwen2", None, 512, 100, None, has_chat_template=True)
MADE = {"bert": "cls", "modern-bert": "cls", "nomic": "mean", "qwen3-embedding": "last"}


@pytest.mark.parametrize("pooled", POOLED_TOYS, ids=lambda pooled: pooled.toy.name)
def test_what_was_made_for_vectors_or_ranks_generates_nothing(
    pooled: PooledToy, tmp_path: Path
) -> None:
    name = pooled.toy.name
    found = abilities_of(read_header(write_pooled_toy(pooled, tmp_path / "toy.gguf")))
    assert not found.generates
    assert (found.embeds, found.reranks) == (name in MADE, name not in MADE)
    assert found.pooling == MADE.get(name, "rank")


@pytest.mark.parametrize(
    ("declared", "said", "embeds"),
    [(None, None, False), (True, None, True), (True, False, False), (None, True, True)],
)
def test_a_file_that_generates_makes_vectors_where_somebody_says_so(
    declared: bool | None, said: bool | None, embeds: bool
) -> None:
    header = GgufHeader("qwen2", None, 512, 100, declared, has_chat_template=True)
    found = abilities_of(header, embeddings=said)
    assert (found.generates, found.embeds, found.reranks) == (True, embeds, False)
    assert found.pooling == "mean"


def test_a_pooling_that_people_name_wins_and_makes_vectors() -> None:
    found = abilities_of(CHAT, pooling="last")
    assert (found.generates, found.embeds, found.pooling) == (True, True, "last")


def test_ranks_need_a_head() -> None:
    assert not abilities_of(CHAT, pooling="rank").reranks


def header_of(folder: Path, *fields: bytes, architecture: str = "bert") -> GgufHeader:
    file = GgufFile(
        fields=[string("general.architecture", architecture), *fields],
        tensors=[tensor("cls.weight", (2, 2), 0)],
    )
    (folder / "x.gguf").write_bytes(file.bytes())
    return read_header(folder / "x.gguf")


def test_a_header_tells_pooling_attention_and_head(tmp_path: Path) -> None:
    header = header_of(
        tmp_path, number("bert.pooling_type", 3), flag("bert.attention.causal", False)
    )
    assert (header.pooling, header.is_causal, header.has_rank_head) == ("last", False, True)
    plain = header_of(tmp_path, number("bert.pooling_type", 0))
    assert (plain.pooling, plain.is_causal) == (None, True)
    assert not header_of(tmp_path, architecture="gemma-embedding").is_causal
