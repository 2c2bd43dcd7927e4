"""Text becomes tokens and text again, in the vocabularies that families use."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llama_cpp as native
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engines.llamacpp.binding import Limits, Runtime
from engines.llamacpp.vocabulary import Vocabulary
from tools.families.toy_files import write_toy
from tools.families.toys import TOYS

LIMITS = Limits(64, 64, 1, 16, threads=1, batch_threads=1)
FAMILIES = ("qwen2", "llama-2", "gemma2")
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\u2581\x00"))


@pytest.fixture(scope="module")
def vocabularies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Vocabulary]]:
    folder: Path = tmp_path_factory.mktemp("toys")
    toys = [toy for toy in TOYS if toy.name in FAMILIES]
    made = {toy.name: Runtime(write_toy(toy, folder / toy.name), LIMITS, 0) for toy in toys}
    yield {name: runtime.vocabulary for name, runtime in made.items()}
    for runtime in made.values():
        runtime.close()


@pytest.mark.parametrize("family", FAMILIES)
@given(text=TEXTS)
@example(" the weighbridge")
@example("  ")
@example("\n 秤")
def test_text_comes_back_as_it_was(
    vocabularies: dict[str, Vocabulary], family: str, text: str
) -> None:
    vocabulary = vocabularies[family]
    tokens = vocabulary.tokens(text, add_special=False, parse_special=False)
    assert vocabulary.text(tokens) == text


@pytest.mark.parametrize("family", FAMILIES)
@given(text=st.one_of(TEXTS, st.sampled_from((" ", "<s>", "<|im_start|>")).map(lambda t: t * 99)))
def test_no_text_has_fewer_tokens_than_its_length_tells(
    vocabularies: dict[str, Vocabulary], family: str, text: str
) -> None:
    vocabulary = vocabularies[family]
    tokens = vocabulary.tokens(text, add_special=False, parse_special=True)
    assert (len(text) > 0) <= vocabulary.fewest(text) <= len(tokens)


def test_a_text_may_have_more_tokens_than_bytes(
    vocabularies: dict[str, Vocabulary], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with XLM-R's vocabulary, which reads one sign for "peace be upon him" as four words."""
    vocabulary, text = vocabularies["qwen2"], "the weighbridge weighs"
    tokens = vocabulary.tokens(text, add_special=False, parse_special=False)
    tokenize = native.llama_tokenize

    def verbose(vocab: Any, raw: bytes, length: int, found: Any, room: int, *how: bool) -> int:
        count: int = tokenize(vocab, raw, length, found, room, *how)
        whole = count + 2 * length
        if whole > room:
            return -whole
        found[count:whole] = [tokens[0]] * (whole - count)
        return whole

    monkeypatch.setattr(native, "llama_tokenize", verbose)
    more = vocabulary.tokens(text, add_special=False, parse_special=False)
    assert more == tokens + [tokens[0]] * 2 * len(text)


@pytest.mark.parametrize("family", FAMILIES)
@given(text=TEXTS)
@example("{")
@example(" the bridge")
def test_a_text_that_goes_on_has_nothing_before_it(
    vocabularies: dict[str, Vocabulary], family: str, text: str
) -> None:
    vocabulary = vocabularies[family]
    pieces = [vocabulary.piece(token) for token in vocabulary.continued(text)]
    assert b"".join(pieces) == text.encode()


@pytest.mark.parametrize(
    ("family", "begin"), [("qwen2", ""), ("llama-2", "<s>"), ("gemma2", "<s>")]
)
def test_control_tokens_are_written_out_where_that_is_asked_for(
    vocabularies: dict[str, Vocabulary], family: str, begin: str
) -> None:
    vocabulary = vocabularies[family]
    tokens = vocabulary.tokens("the bridge", add_special=True, parse_special=False)
    assert vocabulary.text(tokens) == "the bridge"
    assert vocabulary.text(tokens, special=True) == f"{begin}the bridge"


@pytest.mark.parametrize("family", FAMILIES)
def test_no_tokens_are_no_text(vocabularies: dict[str, Vocabulary], family: str) -> None:
    assert vocabularies[family].text([]) == ""
