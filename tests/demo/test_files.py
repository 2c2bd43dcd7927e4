"""The demo weights as files: small, known, and as their provenance note says."""

import hashlib

import msgspec
import pytest

from engines.demo import DEMO_MODELS, weights_path
from engines.weights import read_header
from tools.demo_models.families import FAMILIES


@pytest.mark.parametrize("model", DEMO_MODELS)
def test_no_file_is_above_three_megabytes(model: str) -> None:
    assert weights_path(model).stat().st_size <= 3_000_000


@pytest.mark.parametrize("model", DEMO_MODELS)
def test_each_file_is_the_one_whose_making_was_noted(model: str) -> None:
    path = weights_path(model)
    notes = msgspec.json.decode(path.with_name("provenance.json").read_bytes())
    assert notes[model]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert notes[model].keys() >= {"steps", "seed", "torch", "cpu"}


@pytest.mark.parametrize("model", DEMO_MODELS)
def test_each_file_says_whose_toy_it_is(model: str) -> None:
    header = read_header(weights_path(model))
    assert header.architecture == FAMILIES[model].architecture
    assert header.name == f"demo-{model}"
    assert header.context_length == FAMILIES[model].context
    assert header.embeddings is (model == "qwen")
    assert header.has_chat_template
