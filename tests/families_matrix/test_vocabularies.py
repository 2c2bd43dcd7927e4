"""Each family's vocabulary reads and writes as its makers' does."""

from pathlib import Path

import pytest

from tools.families.kin import KIN
from tools.families.official import vectors, vocabulary
from tools.token_counts.table import FAMILIES

NAMES = sorted({name for kin in KIN for name in kin.vocabularies} | set(FAMILIES))
# Published without vectors: it is held to the texts of another.
WITHOUT_VECTORS = {"baichuan": "llama-spm"}


@pytest.mark.parametrize("name", NAMES)
def test_texts_become_the_makers_tokens_and_those_the_texts(models: Path, name: str) -> None:
    known = vectors(models, WITHOUT_VECTORS.get(name, name))
    assert len(known) > 40
    with vocabulary(models, name) as words:
        for text, expected in known:
            tokens = words.tokens(text, add_special=False, parse_special=False)
            assert tokens == expected or name in WITHOUT_VECTORS
            assert words.text(tokens) == text


def test_those_without_vectors_have_none_to_hold_to(models: Path) -> None:
    assert {name for name in NAMES if not vectors(models, name)} == set(WITHOUT_VECTORS)
