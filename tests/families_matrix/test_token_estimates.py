"""Estimates of tokens keep to their stated error, held to the makers' vocabularies."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.classify.counting import SignCounter
from gateway.classify.tokens import load_vocabularies
from tools.families.official import vocabulary
from tools.token_counts.table import FAMILIES

ROOT = Path(__file__).resolve().parent.parent.parent
# Labelled prompts of others, to which nothing was fitted; they are not ours to commit.
PROMPTS = ROOT.parent / "shared" / "data" / "prompts-dev.jsonl"
KNOWN = load_vocabularies()
COUNTER = SignCounter()


def texts_of(file: Path) -> Iterator[str]:
    for line in file.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)["text"]


def kept(models: Path, name: str, texts: list[str]) -> float:
    """Return the share of texts whose tokens are as estimated, within the error."""
    held = 0
    estimator = KNOWN.by_name[name]
    with vocabulary(models, name) as words:
        for text in texts:
            tokens, error = estimator.of_text(COUNTER.count(text).values)
            true = len(words.tokens(text, add_special=False, parse_special=False))
            held += abs(true - tokens) <= max(1, error)
    return held / len(texts)


@pytest.mark.parametrize("name", FAMILIES)
def test_short_texts_of_thirty_languages_keep_to_the_error(models: Path, name: str) -> None:
    texts = list(texts_of(ROOT / "tests" / "classify" / "data" / "short.jsonl"))
    assert kept(models, name, texts) >= 0.95


@pytest.mark.parametrize("name", FAMILIES)
def test_files_of_this_repository_keep_to_the_error(models: Path, name: str) -> None:
    files = [*(ROOT / "gateway").rglob("*.py"), *(ROOT / "docs").rglob("*.md")]
    texts = [file.read_text(encoding="utf-8") for file in files]
    assert kept(models, name, [text for text in texts if text]) >= 0.95


@pytest.mark.parametrize("name", FAMILIES)
def test_prompts_of_others_keep_to_the_error(models: Path, name: str) -> None:
    if not PROMPTS.is_file():
        pytest.skip("the labelled prompts are not here; they lie beside the checkout, in shared/")
    assert kept(models, name, list(texts_of(PROMPTS))) >= 0.95
