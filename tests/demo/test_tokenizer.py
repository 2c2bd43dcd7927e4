"""The tokenizers of the demo models: any Unicode comes back; special tokens are single ids."""

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import WorkerOf
from tests.demo.conftest import MODELS, OPTIONS
from tools.demo_models.families import FAMILIES

SPECIAL = sorted({token for family in FAMILIES.values() for token in family.special})
# Characters, and now and then a text that is a special token, or nearly one.
TEXTS = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        st.sampled_from([*SPECIAL, "<|im_", "end|>", "\r\n", "\0", " \t "]),
    ),
    max_size=8,
).map("".join)


@pytest.mark.parametrize("model", MODELS)
def test_any_text_comes_back_from_its_tokens(model: str, worker_of: WorkerOf) -> None:
    with httpx.Client(base_url=worker_of(f"demo:{model}", *OPTIONS).url) as http:

        @settings(max_examples=150)
        @given(TEXTS)
        def comes_back(text: str) -> None:
            ask = {"prompt": text, "add_special_tokens": False}
            tokens = http.post("/tokenize", json=ask).json()["tokens"]
            told = http.post("/detokenize", json={"tokens": tokens}).json()
            assert told["prompt"] == text

        comes_back()


@pytest.mark.parametrize("model", MODELS)
def test_every_special_token_is_one_id_of_its_own(model: str, worker_of: WorkerOf) -> None:
    found = set()
    with httpx.Client(base_url=worker_of(f"demo:{model}", *OPTIONS).url) as http:
        for token in FAMILIES[model].special:
            ask = {"prompt": token, "add_special_tokens": False}
            (number,) = http.post("/tokenize", json=ask).json()["tokens"]
            found.add(number)
    assert len(found) == len(FAMILIES[model].special)


@pytest.mark.parametrize("model", MODELS)
def test_only_a_family_that_wants_it_puts_its_first_token_before_a_text(
    model: str, worker_of: WorkerOf
) -> None:
    with httpx.Client(base_url=worker_of(f"demo:{model}", *OPTIONS).url) as http:
        without, by_default = [
            http.post("/tokenize", json={"prompt": "Hello"} | more).json()["count"]
            for more in ({"add_special_tokens": False}, {})
        ]
    assert by_default == without + FAMILIES[model].add_bos
